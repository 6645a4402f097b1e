"""Which files of keys a router takes, and what each key in them is good for."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from support.token_keys import ec_jwk, ec_key, key_set, rsa_jwk, rsa_key, secret_jwk

from router.keys import BadKeys, read_jwks, secret_key


def pem() -> bytes:
    return (
        rsa_key()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def test_the_type_of_a_key_says_its_algorithm() -> None:
    keys = read_jwks(key_set(secret_jwk(), rsa_jwk(), ec_jwk()))
    assert {name: key.algorithm for name, key in keys.items()} == {
        "secret": "HS256",
        "rsa": "RS256",
        "ec": "ES256",
    }
    assert repr(keys["secret"]).count("s" * 8) == 0


def test_a_key_is_the_same_by_its_id_and_its_numbers() -> None:
    one, same = (read_jwks(key_set(ec_jwk(use="sig"), rsa_jwk())) for _ in range(2))
    assert one == same
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert read_jwks(key_set(ec_jwk(other)))["ec"] != one["ec"]
    assert read_jwks(key_set(ec_jwk(kid="e2")))["e2"] != one["ec"]


@pytest.mark.parametrize(
    "other",
    [
        rsa_jwk(use="enc"),
        rsa_jwk(alg="RSA-OAEP"),
        rsa_jwk(alg="RS512"),
        rsa_jwk(alg="HS256"),
        rsa_jwk(key_ops=["encrypt"]),
        rsa_jwk(key_ops="verify"),
        secret_jwk(alg="RS256"),
        ec_jwk(ec_key(ec.SECP384R1).public_key()),
        ec_jwk(alg="ES384"),
        {"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "ed"},
        {"kty": ["RSA"]},
        {"kty": "EC", "crv": {}},
        {},
    ],
)
def test_keys_for_something_else_are_passed_over(other: dict[str, Any]) -> None:
    assert list(read_jwks(key_set(other, ec_jwk()))) == ["ec"]
    with pytest.raises(BadKeys, match="no key for"):
        read_jwks(key_set(other))


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (rsa_jwk(rsa_key()), "private"),
        (ec_jwk(ec_key()), "private"),
        (secret_jwk(b"x"), "shorter than 32"),
        (secret_jwk(b""), "cannot be read|shorter than 32"),
        (secret_jwk(pem()), "no secret"),
        (secret_jwk(k=7), "cannot be read"),
        ({"kty": "oct", "kid": "x"}, "cannot be read"),
        (rsa_jwk(rsa_key(1024).public_key()), "1024 bits"),
        (rsa_jwk(n="AA"), "cannot be read"),
        (rsa_jwk(e="Ag"), "cannot be read"),
        (rsa_jwk(n=None), "cannot be read"),
        (ec_jwk(x="AA"), "cannot be read"),
        (ec_jwk(x=ec_jwk()["y"]), "cannot be read"),
        (ec_jwk(kid=""), "no kid"),
        (ec_jwk(kid=None), "no kid"),
        (ec_jwk(kid=["ec"]), "no kid"),
        (ec_jwk(kid="x" * 257), "no kid"),
    ],
)
def test_what_nobody_can_have_meant_spoils_the_set(bad: dict[str, Any], why: str) -> None:
    with pytest.raises(BadKeys, match=why):
        read_jwks(key_set(ec_jwk(kid="good"), bad))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": [[]]}',
        b'{"keys": []}',
        b"\xff\xfe",
        key_set(ec_jwk(), ec_jwk()),
        key_set(*(secret_jwk(kid=str(number)) for number in range(101))),
        key_set(ec_jwk(x5c="x" * 300_000)),
    ],
    ids=range(12),
)
def test_a_set_that_is_none(data: bytes) -> None:
    with pytest.raises(BadKeys):
        read_jwks(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([secret_jwk(), rsa_jwk(), ec_jwk()]), st.data())
def test_any_change_of_a_set_is_taken_or_refused(jwk: dict[str, Any], data: st.DataObject) -> None:
    member = data.draw(st.sampled_from(sorted(jwk)))
    try:
        keys = read_jwks(json.dumps({"keys": [jwk | {member: data.draw(JSON)}]}).encode())
    except BadKeys:
        return
    assert all(key.algorithm in {"HS256", "RS256", "ES256"} for key in keys.values())


def test_a_secret_is_long_and_no_public_key() -> None:
    assert secret_key(b"k" * 32).algorithm == "HS256"
    for bad in (b"", b"k" * 31, pem(), b"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ"):
        with pytest.raises(BadKeys):
            secret_key(bad)
