import json
from types import SimpleNamespace

import pytest
from support.graphs import matmul
from support.version_manager_fake import FakeManager, cell
from typer.testing import CliRunner

from croupier.artifacts.checked import with_checked
from croupier.artifacts.comparison import Comparison
from croupier.artifacts.packers.checks.check import Report
from croupier.artifacts.packers.onnx import pack_onnx
from croupier.artifacts.packers.trial import Trial
from croupierctl.app import app
from croupierctl.feature_store import ask_store
from croupierctl.servers import Servers, begin
from croupierctl.stack_process import Process


@pytest.fixture(autouse=True)
def _no_options():
    """Those of the command line that another test ran last its process still has."""
    begin(Servers())


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


COMPARED = Comparison("onnxruntime", "1.32.0", 0, 400, 0.0)


@pytest.fixture(autouse=True)
def _nothing_is_tried(monkeypatch):
    """A trial and a comparison take a second each: they are made up here, and real in `test_prepare`."""
    monkeypatch.setattr("croupierctl.prepare.try_made", lambda *_: Trial([], [], 4_096, 0.5, True))
    monkeypatch.setattr("croupierctl.prepare.check_file", lambda *_: Report(COMPARED, 4_096, 0.5))


@pytest.fixture
def packed(tmp_path):
    path = tmp_path / "model.artifact"
    path.write_bytes(with_checked(pack_onnx(matmul(), features=["x", "y"]), COMPARED))
    return path


@pytest.fixture
def other(tmp_path):
    """Another packed one: no process is needed for it either."""
    path = tmp_path / "other.artifact"
    path.write_bytes(with_checked(pack_onnx(matmul(), features=["a", "b"]), COMPARED))
    return path


@pytest.fixture
def shell(tmp_path):
    """Starts a shell's script, by default one that runs on, as a process of a stack; kills it at the end."""
    made = []

    def start(script="exec sleep 60", name="cell-1"):
        process = Process(name, ["sh", "-c", script], tmp_path / f"{name}.log")
        process.start()
        made.append(process)
        return process

    yield start
    for process in made:
        process.kill()


@pytest.fixture
def store_url(tmp_path):
    """An embedded feature store."""
    return f"lmdb:{tmp_path}/features"


@pytest.fixture
def stored(store_url):
    """Run a coroutine function with the feature store, and give back what it returns."""
    return lambda work: ask_store(store_url, work)
