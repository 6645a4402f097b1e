import sys
from dataclasses import replace
from pathlib import Path

import pytest
from support.load_results import hostile, killed, result, searched

from croupier_bench import report
from croupier_bench.report.charts import charts

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def test_each_chart_is_a_picture(tmp_path: Path) -> None:
    for name, runs in (("killed", [killed()]), ("searched", [searched()]), ("two", [result(), killed()])):
        written = report.pngs(runs, tmp_path / name)
        assert [path.name for path in written] == [f"{chart.key}.png" for chart in charts(runs)]
        assert {path.read_bytes()[:8] for path in written} == {SIGNATURE}


def test_words_of_others_are_no_mathematics(tmp_path: Path) -> None:
    run = result()
    broken = replace(run, by_class={"$\\frac{$": run.by_class["small"], "large": run.by_class["large"]})
    assert report.pngs(broken, tmp_path)
    assert report.pngs(hostile(), tmp_path)


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(report.NoPlots, match=r"croupier-bench\[plot\]"):
        report.pngs(result(), tmp_path)
    assert not list(tmp_path.iterdir())
