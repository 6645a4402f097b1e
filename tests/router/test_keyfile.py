"""Key files that are replaced, broken and taken away while a router runs."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.fakes import metric
from support.token_keys import ec_jwk, key_set, rsa_jwk, secret_jwk

from router.keyfile import KeyFiles
from router.keys import BadKeys, Keys


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "keys.json").write_bytes(key_set(ec_jwk()))
    return tmp_path / "keys.json"


def replace(path: Path, data: bytes) -> None:
    beside = path.with_name("beside")
    beside.write_bytes(data)
    beside.replace(path)


def test_a_new_file_is_read_once(path: Path) -> None:
    files = KeyFiles(None, path)
    assert list(files.read()) == ["ec"]
    assert files.read_if_changed() is None
    replace(path, key_set(ec_jwk(), rsa_jwk()))
    assert list(files.read_if_changed() or ()) == ["ec", "rsa"]
    assert files.read_if_changed() is None
    assert metric("croupier_router_token_keys") == 2


def _truncate(path: Path) -> None:
    replace(path, path.read_bytes()[:-5])


def _empty(path: Path) -> None:
    replace(path, key_set())


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("spoil", [_truncate, _empty, _fifo, Path.unlink])
def test_a_bad_file_changes_nothing_and_is_told_once(
    path: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    before = metric("croupier_router_token_key_failures_total")
    files = KeyFiles(None, path)
    files.read()
    spoil(path)
    for _ in range(3):
        assert files.read_if_changed() is None
    assert metric("croupier_router_token_key_failures_total") == before + 1
    assert "stay in use" in caplog.text
    replace(path, key_set(rsa_jwk()))
    assert list(files.read_if_changed() or ()) == ["rsa"]
    with pytest.raises(BadKeys, match="absent cannot be read"):
        KeyFiles(path.with_name("absent"), None).read()


def test_what_a_link_points_to_counts(tmp_path: Path) -> None:
    """As a kubelet swaps the folder behind its links."""
    for name, jwk in (("one", ec_jwk()), ("two", rsa_jwk())):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys").write_bytes(key_set(jwk))
    (tmp_path / "data").symlink_to("one")
    (tmp_path / "keys").symlink_to("data/keys")
    files = KeyFiles(None, tmp_path / "keys")
    assert list(files.read()) == ["ec"]
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(tmp_path / "data")
    assert list(files.read_if_changed() or ()) == ["rsa"]


def test_a_secret_beside_a_set(path: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"k" * 32 + b"\n")
    keys = KeyFiles(tmp_path / "secret", path).read()
    assert {name: key.algorithm for name, key in keys.items()} == {"": "HS256", "ec": "ES256"}
    assert keys[""].material == b"k" * 32


async def test_keys_are_handed_on_when_they_change(path: Path) -> None:
    files = KeyFiles(None, path)
    files.read()
    steps: list[Callable[[], None]] = [
        lambda: None,
        lambda: replace(path, key_set(rsa_jwk())),
        lambda: _truncate(path),
        lambda: replace(path, key_set(ec_jwk())),
    ]
    handed: list[Keys] = []

    async def sleep(seconds: float) -> None:
        steps.pop(0)() if steps else pytest.fail("over")

    with pytest.raises(pytest.fail.Exception, match="over"):
        await files.follow(handed.append, sleep)
    assert [list(keys) for keys in handed] == [["rsa"], ["ec"]]


@pytest.mark.parametrize(
    ("jwk", "mode", "warned"),
    [
        (secret_jwk(), 0o644, True),
        (secret_jwk(), 0o640, True),
        (secret_jwk(), 0o600, False),
        (ec_jwk(), 0o644, False),
    ],
)
def test_secrets_that_others_may_read_are_told_of(
    path: Path, jwk: object, mode: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    replace(path, key_set(jwk))
    path.chmod(mode)
    files = KeyFiles(None, path)
    files.read()
    assert ("others may read the secrets" in caplog.text) == warned
    # A file that is lent to this user is read again, with nothing else of it changed.
    path.chmod(0o400)
    assert (files.read_if_changed() or {}).keys() == files.read().keys()
