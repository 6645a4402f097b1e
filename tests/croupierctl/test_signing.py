"""Keys that sign: what is made is taken by routers, what is no key is refused by name, and secrets stay."""

import json
import stat

import jwt
import pytest
from support.token_keys import SECRET, rsa_jwk, secret_jwk

from croupier.errors import InvalidRequest
from croupierctl.signing import (
    NoSuchKey,
    new_key,
    public_half,
    read_keys,
    read_signer,
    remove,
    write_keys,
)
from router.keys import BadKeys, read_jwks

ALGORITHMS = ["ES256", "RS256", "HS256"]
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.json"


@pytest.fixture(scope="module")
def made():
    """A key of each kind; one for RS256 takes a while."""
    return {algorithm: new_key(algorithm, algorithm.lower()) for algorithm in ALGORITHMS}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_made_signs_and_is_verified_by_its_public_half(path, made, algorithm):
    write_keys(path, [made[algorithm]])
    signer = read_signer(path)
    (public,) = read_jwks(json.dumps({"keys": [public_half(made[algorithm])]}).encode()).values()
    assert (signer.key.id, signer.key.algorithm) == (public.id, algorithm)
    token = jwt.encode({"sub": "acme"}, signer.material, algorithm=algorithm)
    assert jwt.decode(token, public.material, algorithms=[algorithm]) == {"sub": "acme"}


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_the_public_half_has_nothing_private(made, algorithm):
    assert not PRIVATE & public_half(made[algorithm]).keys()
    assert PRIVATE & made[algorithm].keys()


def test_of_a_foreign_key_only_what_is_known_to_be_public_is_kept():
    odd = {"kty": "EC", "kid": "a", "x": "1", "y": "2", "d": "secret", "k": "secret", "note": "secret"}
    assert public_half(odd) == {"kty": "EC", "kid": "a", "x": "1", "y": "2"}


def test_keys_are_random_and_named_by_the_day():
    one, other = new_key("HS256"), new_key("HS256")
    assert one["k"] != other["k"]
    assert one["kid"] != other["kid"]
    assert one["kid"][:4].isdigit()


def test_a_file_is_its_owners_and_keeps_the_order(path, made):
    write_keys(path, list(made.values()))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_keys(path) == list(made.values())
    assert read_signer(path).key.id == "hs256"
    assert read_signer(path, "es256").key.id == "es256"


def test_no_file_is_no_key(path):
    assert read_keys(path) == []
    with pytest.raises(BadKeys, match="No such file"):
        read_signer(path)


def test_a_file_that_is_no_set_is_the_secret_itself(path):
    path.write_bytes(SECRET + b"\n")
    signer = read_signer(path)
    assert (signer.key.id, signer.key.algorithm, signer.material) == ("", "HS256", SECRET)


@pytest.mark.parametrize("secret", [b"", b"short", b"\n" * 64])
def test_a_short_secret_is_refused(path, secret):
    path.write_bytes(secret)
    with pytest.raises(BadKeys):
        read_signer(path)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        '{"keys": {}}',
        '{"keys": ""}',
        '{"keys": [{"kid": "a"}, []]}',
        '{"keys": ' + "[" * 100_000,
        '{"keys": 7}',
        '{"keys": [7]}',
        '{"keys": [{"kid": 7}]}',
    ],
)
def test_what_is_no_set_is_refused_by_its_path(path, text):
    path.write_text(text)
    for read in (read_keys, read_signer):
        with pytest.raises(BadKeys, match=r"keys\.json is no set of keys with ids"):
            read(path)


def test_a_folder_is_no_file(tmp_path):
    for read in (read_keys, read_signer):
        with pytest.raises(BadKeys, match="cannot be read"):
            read(tmp_path)


def test_a_public_half_cannot_sign(path, made):
    write_keys(path, [public_half(made["ES256"]), rsa_jwk(kid="rsa", alg="RS256")])
    for key in ("es256", "rsa"):
        with pytest.raises(BadKeys, match=f"key '{key}' has no private half"):
            read_signer(path, key)


def test_a_key_whose_numbers_are_none_is_refused(path, made):
    write_keys(path, [{**made["ES256"], "d": "AA"}])
    with pytest.raises(BadKeys, match="es256"):
        read_signer(path)


def test_a_key_that_is_not_there(path):
    write_keys(path, [secret_jwk()])
    with pytest.raises(NoSuchKey, match="there is no key 'other'"):
        read_signer(path, "other")
    write_keys(path, [])
    with pytest.raises(NoSuchKey, match="there is no key yet"):
        read_signer(path)


def test_a_key_goes_and_the_last_one_stays(made):
    keys = list(made.values())
    assert remove(keys, "rs256") == [made["ES256"], made["HS256"]]
    assert keys == list(made.values())
    with pytest.raises(NoSuchKey):
        remove(keys, "none")
    with pytest.raises(InvalidRequest) as refused:
        remove([made["ES256"]], "es256")
    assert refused.value.field == "kid"
