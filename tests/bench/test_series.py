import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import typer
from blocks import benchmarks, front

from bench import series
from bench.__main__ import app
from bench.series import SERIES, Run

BENCHES = typer.main.get_command(app)


class FakeBenches:
    """Each writes its name as its result, but for those that fail or write nothing."""

    def __init__(self, failing: str = "", silent: str = "") -> None:
        self.failing, self.silent = failing, silent
        self.ran: list[str] = []

    def __call__(self, arguments: Sequence[str]) -> int:
        if arguments == ["docs/generate"]:
            self.ran.append("docs/generate")
            return 0
        _, _, name, *_, option, path = arguments
        assert option == "--json"
        self.ran.append(name)
        if name != self.silent:
            Path(path).write_text(json.dumps(new(name)))
        return int(name == self.failing)


@pytest.fixture(autouse=True)
def all_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "lacking", list)


def new(name: str) -> dict[str, object]:
    return {"new": name, "about": {"date": "2026-11-27", "commit": "abc+"}}


def results(folder: Path) -> dict[str, object]:
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


@pytest.mark.parametrize("run", [run for runs in SERIES.values() for run in runs], ids=lambda run: run.name)
def test_each_run_is_a_bench_with_options_that_it_has(run: Run) -> None:
    assert isinstance(BENCHES, typer.core.TyperGroup)
    bench = BENCHES.commands[run.name]
    bench.make_context(run.name, [*run.arguments, "--json", "some.json"])


def test_the_front_page_is_measured_in_less_than_ten_minutes() -> None:
    runs = SERIES["front"]
    assert sum(run.minutes for run in runs) < 10
    assert {line.bench for line in front.LINES} <= {run.name for run in runs}


def test_the_standard_set_takes_less_than_half_an_hour() -> None:
    assert sum(run.minutes for run in SERIES["standard"]) < 30


def test_every_page_of_figures_is_measured_by_all() -> None:
    assert set(benchmarks.NAMES) <= {run.name for run in SERIES["all"]}


def test_results_are_replaced_and_pages_written(tmp_path: Path) -> None:
    (tmp_path / "cell.json").write_text("{}")
    benches = FakeBenches()
    assert series.run("front", tmp_path, benches)
    names = [run.name for run in SERIES["front"]]
    assert benches.ran == [*names, "docs/generate"]
    assert results(tmp_path) == {name: new(name) for name in names}
    assert results(tmp_path / "2026-11-27-abc+") == results(tmp_path)


@pytest.mark.parametrize("benches", [FakeBenches(failing="cell"), FakeBenches(silent="cell")])
def test_what_fails_leaves_its_old_result_and_ends_the_series(benches: FakeBenches, tmp_path: Path) -> None:
    (tmp_path / "cell.json").write_text("{}")
    assert not series.run("front", tmp_path, benches)
    assert results(tmp_path) == {"cell": {}, "demo": new("demo")}
    assert benches.ran == ["demo", "cell"]
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["2026-11-27-abc+"]


def test_nothing_is_measured_where_a_peer_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(series, "lacking", lambda: ["envoy"])
    benches = FakeBenches()
    assert not series.run("front", tmp_path, benches)
    assert benches.ran == []
    assert "not installed: envoy; run `make peers`" in capsys.readouterr().out


def test_it_is_known_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "")
    assert "h2load" in series.lacking()
