import time

import pytest

from croupier.errors import Unauthenticated
from croupierctl.signing import read_signer
from croupierctl.token import mint
from router.identity import TokenIdentity
from router.keys import BadKeys, secret_key

KEY = b"k" * 32


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(KEY + b"\n")
    return path


def router(now=time.time):
    return TokenIdentity({"": secret_key(KEY)}, now)


def bearer(token):
    return lambda name: (f"Bearer {token}".encode(),) if name == b"authorization" else ()


def test_the_router_believes_a_token(run, key_file):
    token = run("token", "acme", "--key-file", key_file).out.strip()
    assert router().tenant(bearer(token)) == "acme"


def test_a_token_expires(key_file):
    token, expires = mint(read_signer(key_file), "acme", now=1000.0, seconds=60.0)
    assert expires == 1060
    assert router(lambda: 1059.0).tenant(bearer(token)) == "acme"
    with pytest.raises(Unauthenticated):
        router(lambda: 1060.0).tenant(bearer(token))


def test_programs_get_the_expiry(ask, key_file):
    printed = ask("token", "acme", "--key-file", key_file, "--hours", 2)
    assert (printed["tenant"], printed["kid"]) == ("acme", "")
    assert printed["expires"] == pytest.approx(time.time() + 7200, abs=30)


def test_a_token_that_a_router_would_refuse_is_not_made(run, key_file):
    assert "longer than" in run("token", "acme", "--key-file", key_file, "--hours", 10_000, code=1).err


def test_a_short_key_is_refused(run, key_file):
    key_file.write_bytes(b"short")
    with pytest.raises(BadKeys):
        read_signer(key_file)
    assert "shorter than 32 bytes" in run("token", "acme", "--key-file", key_file, code=1).err


def test_a_name_that_is_none(run, key_file):
    assert "slash" in run("token", "a/b", "--key-file", key_file, code=1).err


def test_a_key_file_is_needed(run):
    run("token", "acme", code=2)
