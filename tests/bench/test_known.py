from pathlib import Path

import pytest

from bench.peers import known
from bench.peers.known import PEERS


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine has a HAProxy of its own, and `make peers` has brought none."""
    program = tmp_path / "haproxy"
    program.write_text(f"#!/bin/sh\necho '{program} version 1.2'\necho more\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(known, "_NEWEST", tmp_path / "newest")
    return program


def test_a_version_is_the_first_line_that_the_program_says_without_its_folder(installed: Path) -> None:
    assert PEERS["haproxy-debian"].binary == str(installed)
    assert PEERS["haproxy-debian"].said_version() == "haproxy version 1.2"


def test_the_machines_own_version_is_never_told_as_the_newest(installed: Path) -> None:
    assert PEERS["haproxy"].binary is None
