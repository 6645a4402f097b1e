"""Keys are made, rotated and given to routers, and no token is void before its key goes."""

import json
import stat

import pytest

from croupier.errors import Unauthenticated
from router.identity import TokenIdentity
from router.keyfile import KeyFiles
from router.keys import read_jwks
from router.tokens import TokenRules


@pytest.fixture
def files(tmp_path):
    return tmp_path / "signing.json", tmp_path / "router.json"


def bearer(token):
    return lambda name: (f"Bearer {token}".encode(),) if name == b"authorization" else ()


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "HS256"])
def test_a_router_verifies_by_the_public_half(run, ask, files, algorithm):
    signing, public = files
    (made,) = ask("keys", "add", signing, "--algorithm", algorithm)
    ask("keys", "public", signing, public)
    assert stat.S_IMODE(signing.stat().st_mode) == stat.S_IMODE(public.stat().st_mode) == 0o600
    (jwk,) = json.loads(public.read_text())["keys"]
    assert "d" not in jwk
    assert ("k" in jwk) == (algorithm == "HS256")
    (key,) = read_jwks(public.read_bytes()).values()
    assert (key.id, key.algorithm) == (made["kid"], made["algorithm"]) == (made["kid"], algorithm)
    token = run("token", "acme", "--key-file", signing).out.strip()
    assert (
        TokenIdentity({key.id: key}, lambda: 0.0, TokenRules(max_seconds=1e12)).tenant(bearer(token))
        == "acme"
    )


def test_a_rotation_voids_no_token_before_its_key_goes(run, ask, files):
    signing, public = files
    ask("keys", "add", signing, "--kid", "old")
    ask("keys", "public", signing, public)
    followed = KeyFiles(None, public)
    router = TokenIdentity(followed.read(), lambda: 0.0, TokenRules(max_seconds=1e12))
    old = run("token", "acme", "--key-file", signing).out.strip()
    assert [row["kid"] for row in ask("keys", "add", signing, "--kid", "new")] == ["new"]
    ask("keys", "public", signing, public)
    router.use(followed.read_if_changed())
    token = ask("token", "globex", "--key-file", signing)
    assert token["kid"] == "new"
    assert ask("token", "globex", "--key-file", signing, "--kid", "old")["kid"] == "old"
    assert router.tenant(bearer(old)) == "acme"
    assert router.tenant(bearer(token["token"])) == "globex"
    assert [row["kid"] for row in ask("keys", "list", signing)] == ["old", "new"]
    ask("keys", "remove", signing, "old")
    ask("keys", "public", signing, public)
    router.use(followed.read_if_changed())
    assert router.tenant(bearer(token["token"])) == "globex"
    with pytest.raises(Unauthenticated, match="not known"):
        router.tenant(bearer(old))


def test_what_cannot_be_done_changes_nothing(run, ask, files):
    signing, public = files
    assert "no key yet" in run("token", "acme", "--key-file", _empty(signing), code=1).err
    ask("keys", "add", signing, "--kid", "one")
    before = signing.read_bytes()
    assert "already" in run("keys", "add", signing, "--kid", "one", code=1).err
    assert "one key at least" in run("keys", "remove", signing, "one", code=1).err
    assert "no key 'two'" in run("keys", "remove", signing, "two", code=1).err
    assert "no key 'two'" in run("token", "acme", "--key-file", signing, "--kid", "two", code=1).err
    assert signing.read_bytes() == before
    ask("keys", "public", signing, public)
    assert "no private half" in run("token", "acme", "--key-file", public, code=1).err
    signing.write_text('{"keys": [{"kty": "EC"}]}')
    assert "no set of keys" in run("keys", "add", signing, code=1).err


def _empty(path):
    path.write_text('{"keys": []}')
    return path
