import json
from types import SimpleNamespace

import pytest
from support.graphs import matmul
from support.version_manager_fake import FakeManager, cell
from typer.testing import CliRunner

from croupier.artifacts.packers.onnx import pack_onnx
from croupierctl.app import app


@pytest.fixture
def manager():
    with FakeManager() as fake:
        yield fake


@pytest.fixture
def fleet(manager):
    """Eight cells in four zones, all seated, hands of three."""
    manager.cells = [cell(number, f"zone-{'abcd'[number % 4]}") for number in range(8)]
    return manager


@pytest.fixture
def run(manager):
    """Run the command line against the manager; checks the exit code."""

    def call(*words, code=0, **options):
        result = CliRunner().invoke(app, ["--manager", manager.target, *map(str, words)], **options)
        assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
        return SimpleNamespace(out=result.stdout, err=result.stderr)

    return call


@pytest.fixture
def ask(run):
    """Run the command line with --json; the value that it printed."""
    return lambda *words: json.loads(run(*words, "--json").out)


@pytest.fixture
def packed(tmp_path):
    path = tmp_path / "model.artifact"
    path.write_bytes(pack_onnx(matmul(), features=["x", "y"]))
    return path


@pytest.fixture
def other(tmp_path):
    """Another packed one: no process is needed for it either."""
    path = tmp_path / "other.artifact"
    path.write_bytes(pack_onnx(matmul(), features=["a", "b"]))
    return path
