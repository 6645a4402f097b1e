"""Tokens of every algorithm, and what a token cannot choose."""

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from support.token_keys import SECRET, ec_jwk, ec_key, key_set, rsa_jwk, rsa_key, secret_jwk

from croupier.errors import Unauthenticated
from router.keys import read_jwks
from router.tokens import DEFAULT_RULES, TokenRules, verify

NOW = 1_000_000.0
KEYS = read_jwks(key_set(secret_jwk(), rsa_jwk(), ec_jwk()))
SIGNING = {"secret": (SECRET, "HS256"), "rsa": (rsa_key(), "RS256"), "ec": (ec_key(), "ES256")}


def sign(kid: str, *, key: Any = None, algorithm: str = "", **claims: Any) -> str:
    material, usual = SIGNING.get(kid, (SECRET, "HS256"))
    given = {"sub": "acme", "aud": "croupier", "exp": NOW + 60, **claims}
    return jwt.encode(given, key or material, algorithm=algorithm or usual, headers={"kid": kid})


def refused(token: str, rules: TokenRules = DEFAULT_RULES) -> str:
    with pytest.raises(Unauthenticated) as caught:
        verify(token, KEYS, rules, lambda: NOW)
    return caught.value.reason


@pytest.mark.parametrize("kid", SIGNING)
def test_each_key_verifies_what_it_signed(kid: str) -> None:
    found = verify(sign(kid), KEYS, DEFAULT_RULES, lambda: NOW)
    assert (found.tenant, found.expires, found.key.id) == ("acme", NOW + 60, kid)
    assert refused(sign(kid)[:-3] + "AAA") == "INVALID_TOKEN"


@pytest.mark.parametrize("kid", SIGNING)
@pytest.mark.parametrize("named", list(SIGNING))
def test_a_key_verifies_for_no_other(kid: str, named: str) -> None:
    key, algorithm = SIGNING[kid]
    if kid != named:
        assert refused(sign(named, key=key, algorithm=algorithm)) == "INVALID_TOKEN"


@pytest.mark.parametrize("encoding", [serialization.Encoding.PEM, serialization.Encoding.DER])
@pytest.mark.parametrize("kid", ["rsa", "ec"])
def test_a_public_key_is_no_secret(kid: str, encoding: serialization.Encoding) -> None:
    public = (rsa_key() if kid == "rsa" else ec_key()).public_key()
    shown = public.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    # PyJWT would not sign with it; whoever attacks has another library.
    token = sign(kid, key=SECRET, algorithm="HS256").rpartition(".")[0]
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(token.encode(), shown)
    assert refused(f"{token}.{jwt.utils.base64url_encode(mac).decode()}") == "INVALID_TOKEN"


@pytest.mark.parametrize("kid", SIGNING)
def test_unsigned_tokens_are_refused(kid: str) -> None:
    given = {"sub": "acme", "aud": "croupier", "exp": NOW + 60}
    assert refused(jwt.encode(given, None, algorithm="none", headers={"kid": kid})) == "INVALID_TOKEN"


@pytest.mark.parametrize("kid", ["", "other", "../../dev/null", "/etc/passwd", "rsa\0", "' OR 1=1"])
def test_an_id_names_a_key_and_nothing_else(kid: str) -> None:
    assert refused(sign(kid)) == "UNKNOWN_KEY"


@pytest.mark.parametrize(
    "headers",
    [
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/keys"},
        {"jwk": secret_jwk(b"e" * 32)},
    ],
    ids=["jku", "x5u", "jwk"],
)
def test_keys_that_a_token_brings_are_not_looked_at(headers: dict[str, Any]) -> None:
    given = {"sub": "acme", "aud": "croupier", "exp": NOW + 60}
    forged = jwt.encode(given, b"e" * 32, algorithm="HS256", headers={"kid": "secret", **headers})
    assert refused(forged) == "INVALID_TOKEN"


def test_whom_it_is_for_and_from() -> None:
    rules = TokenRules("prod", "https://issuer.example", 3600.0)
    good = {"aud": ["prod", "other"], "iss": "https://issuer.example"}
    assert verify(sign("ec", **good), KEYS, rules, lambda: NOW).tenant == "acme"
    for bad in ({"aud": "croupier"}, {"iss": "other"}, {"exp": NOW + 3601}, {"nbf": NOW + 1}):
        assert refused(sign("ec", **good | bad), rules) == "INVALID_TOKEN"
    without = {"sub": "acme", "aud": "prod", "exp": NOW + 60}
    assert refused(jwt.encode(without, ec_key(), "ES256", headers={"kid": "ec"}), rules) == "INVALID_TOKEN"
