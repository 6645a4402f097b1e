import time

import pytest

from croupier.errors import Unauthenticated
from croupier.settings import InvalidSettings
from croupierctl.token import mint
from router.identity import TokenIdentity

KEY = b"k" * 32


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(KEY + b"\n")
    return path


def bearer(token):
    return lambda name: (f"Bearer {token}".encode(),) if name == b"authorization" else ()


def test_the_router_believes_a_token(run, key_file):
    token = run("token", "acme", "--key-file", key_file).out.strip()
    assert TokenIdentity(KEY, time.time).tenant(bearer(token)) == "acme"


def test_a_token_expires():
    token, expires = mint(KEY, "acme", now=1000.0, seconds=60.0)
    assert expires == 1060
    assert TokenIdentity(KEY, lambda: 1059.0).tenant(bearer(token)) == "acme"
    with pytest.raises(Unauthenticated):
        TokenIdentity(KEY, lambda: 1060.0).tenant(bearer(token))


def test_programs_get_the_expiry(ask, key_file):
    printed = ask("token", "acme", "--key-file", key_file, "--hours", 2)
    assert printed["tenant"] == "acme"
    assert printed["expires"] == pytest.approx(time.time() + 7200, abs=30)


def test_a_short_key_is_refused(run, key_file):
    with pytest.raises(InvalidSettings):
        mint(b"short", "acme", now=0.0, seconds=1.0)
    key_file.write_bytes(b"short")
    assert "shorter than 32 bytes" in run("token", "acme", "--key-file", key_file, code=1).err


def test_a_name_that_is_none(run, key_file):
    assert "slash" in run("token", "a/b", "--key-file", key_file, code=1).err


def test_a_key_file_is_needed(run):
    run("token", "acme", code=2)
