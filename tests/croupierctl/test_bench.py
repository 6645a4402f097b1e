"""`croupierctl bench` is croupier-bench, where it is installed."""

import importlib
import sys

import pytest
from typer.testing import CliRunner

from croupierctl import bench
from croupierctl.app import app


class Nowhere:
    """Finds no distribution of that name."""

    def find_spec(self, name, path=None, target=None):
        if name == "croupier_bench":
            raise ModuleNotFoundError("it is not installed", name=name)


@pytest.fixture
def without(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "croupier_bench"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Nowhere(), *sys.meta_path])
    yield importlib.reload(bench)
    monkeypatch.undo()
    importlib.reload(bench)


def invoke(*words):
    return CliRunner().invoke(app, ["bench", *words])


@pytest.mark.parametrize("words", [[], ["run", "a.toml"], ["run", "a.toml", "--json", "b.json"]])
def test_where_it_is_not_installed_it_says_how(without, words):
    ended = invoke(*words)
    assert ended.exit_code == 1
    assert ended.stderr.splitlines() == [
        "error: croupier-bench, which tests loads, is not installed",
        "hint: install it: pip install croupier-bench; in a checkout: pip install ./bench/harness",
    ]


def test_its_help_is_there_without_it(without):
    assert invoke("--help").exit_code == 0


def test_where_it_is_broken_that_is_not_called_missing(monkeypatch):
    """A part of it that cannot be imported is another matter."""
    pytest.importorskip("croupier_bench")
    monkeypatch.setitem(sys.modules, "croupier_bench.app", None)
    with pytest.raises(ModuleNotFoundError, match=r"croupier_bench\.app"):
        importlib.reload(bench)
    monkeypatch.undo()
    importlib.reload(bench)


def test_options_behind_it_are_its_own(tmp_path):
    """--json is a file there, and a switch of the root elsewhere."""
    pytest.importorskip("croupier_bench")
    ended = invoke("run", str(tmp_path / "none.toml"), "--json", "b.json")
    assert ended.exit_code == 2
    assert "cannot read" in ended.stderr


def test_a_tenant_may_be_called_so(manager):
    ended = CliRunner().invoke(app, ["--manager", manager.target, "models", "ls", "bench", "--json"])
    assert (ended.exit_code, ended.stdout) == (0, "[]\n")
