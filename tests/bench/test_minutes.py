import json
from pathlib import Path

import pytest

from bench import minutes


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `make` that fails for the target in this file."""
    file = tmp_path / "broken"
    file.write_text("none")
    make = tmp_path / "make"
    make.write_text(f'#!/bin/sh\n[ "$3" != "$(/bin/cat {file})" ]\n')
    make.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return file


@pytest.mark.usefixtures("broken")
def test_what_passes_is_written_with_its_seconds(tmp_path: Path) -> None:
    assert minutes.run(["demo", "test"], tmp_path / "minutes.json")
    found = json.loads((tmp_path / "minutes.json").read_text())
    assert set(found) == {"about", "seconds"}
    assert set(found["seconds"]) == {"demo", "test"}


def test_nothing_is_written_if_one_fails(tmp_path: Path, broken: Path) -> None:
    broken.write_text("test")
    assert not minutes.run(["demo", "test"], tmp_path / "minutes.json")
    assert not (tmp_path / "minutes.json").exists()
