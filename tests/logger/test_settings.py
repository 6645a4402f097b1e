"""Settings that cannot be used are refused; the secret of hashes stays out of what is said."""

from pathlib import Path
from typing import Any

import pytest

from croupier.settings import InvalidSettings
from logger.settings import LoggerSettings


def test_the_defaults_are_safe() -> None:
    LoggerSettings().check()
    assert LoggerSettings().read_key() == b""


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics_listen": "0.0.0.0:9"},
        {"flush_seconds": 0.0},
        {"file_bytes": 0},
        {"poll_seconds": float("nan")},
        {"put_seconds": -1.0},
        {"grace_seconds": -1.0},
        {"undecodable_bytes": -1},
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettings):
        LoggerSettings(**changes).check()


def test_a_key_is_long_enough(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"0123456789abcdef\n")
    assert LoggerSettings(hash_key=path).read_key() == b"0123456789abcdef"
    for secret in (b"short", b"x" * 65):
        path.write_bytes(secret)
        with pytest.raises(InvalidSettings, match="16 to 64") as refused:
            LoggerSettings(hash_key=path).read_key()
        assert secret.decode() not in str(refused.value)
    with pytest.raises(InvalidSettings, match="cannot be read"):
        LoggerSettings(hash_key=tmp_path / "none").read_key()
