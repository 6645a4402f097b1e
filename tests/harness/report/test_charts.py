from dataclasses import replace

import numpy as np
import pytest
from support.load_results import HOSTILE, hostile, invalid, killed, result, searched

from croupier_bench.report import charts
from croupier_bench.report.charts import Chart
from croupier_bench.result import Judged, Second


def lines(chart: Chart) -> dict[str, charts.Line]:
    return {line.name: line for line in chart.lines}


def test_a_run_has_these_charts() -> None:
    assert [chart.key for chart in charts.charts([result()])] == [
        "latency",
        "rate",
        "lateness",
        "percentiles",
    ]
    assert [chart.key for chart in charts.charts([searched()])][-1] == "throughput"
    assert [chart.key for chart in charts.charts([result(), killed()])] == ["percentiles", "throughput"]


def test_a_run_that_was_over_at_once_has_none() -> None:
    assert list(charts.charts([result(seconds=1, rate=0.0, series=[])])) == []


def test_latency_over_time_is_that_of_each_second_at_its_middle() -> None:
    run = killed()
    chart = charts.latency(run)
    found = lines(chart)
    assert found.keys() == {"p50", "p99", "max"}
    assert found["p99"].xs[:2] == [0.5, 1.5]
    assert found["p99"].ys == [row.p99 for row in run.series]
    assert chart.y.least <= min(y for y in found["p50"].ys if y is not None)
    assert [mark.words for mark in chart.marks] == ["kill cell-2", "v2 for acme", "drain cell-1"]
    assert [mark.is_ok for mark in chart.marks] == [True, True, False]
    assert chart.bounds == ((10.0, "p99 asked: 10.0 ms"),)


def test_a_second_without_an_answer_is_a_gap() -> None:
    chart = charts.latency(result(failing=lambda due: ((due > 3) & (due < 4)).astype(float)))
    assert [y is None for y in lines(chart)["p99"].ys[:5]] == [False, False, False, True, False]
    nobody = charts.latency(result(failing=np.ones_like))
    assert "Nobody was answered" in nobody.about


def test_rates_are_a_second() -> None:
    run = result()
    run = replace(run, series=[replace(run.series[0], seconds=0.5)])
    assert lines(charts.rate(run))["due"].ys == [2 * run.series[0].due]


def test_wrong_answers_have_a_line_if_there_are_any() -> None:
    assert lines(charts.rate(result())).keys() == {"due", "answered", "failed"}
    assert "wrong" in lines(charts.rate(killed()))


def test_many_seconds_are_put_together_and_the_longest_stands_for_them() -> None:
    rows = [Second(t=float(second), due=2, answered=2, p99=float(second)) for second in range(1000)]
    chart = charts.latency(replace(result(), series=rows))
    p99 = lines(chart)["p99"]
    assert len(p99.ys) == 334
    assert p99.ys[:2] == [2.0, 5.0]
    assert p99.xs[:2] == [1.5, 4.5]
    assert chart.note == "Each point is 3 seconds: the longest of them."
    assert lines(charts.rate(replace(result(), series=rows)))["due"].ys[0] == 2


def test_percentiles_rise_and_end_where_answers_do() -> None:
    run = result()
    chart = charts.percentiles([run])
    assert lines(chart).keys() == {"all", "small", "large"}
    for line in chart.lines:
        ys = [y for y in line.ys if y is not None]
        assert ys == sorted(ys)
    everything, large = lines(chart)["all"], lines(chart)["large"]
    assert everything.ys[-1] is not None
    assert large.ys[-1] is None
    at = int(np.searchsorted(everything.xs, 2.0))
    assert everything.ys[at] == pytest.approx(run.latency_ms["p99"], rel=0.1)


def test_several_runs_are_told_apart_by_their_numbers() -> None:
    chart = charts.percentiles([result(), killed()])
    assert lines(chart).keys() == {"1: retail", "2: retail"}


def test_throughput_has_a_point_for_each_step_by_what_became_of_it() -> None:
    chart = charts.throughput([searched()])
    found = lines(chart)
    assert found["p99"].xs == sorted(found["p99"].xs)
    assert [found["p99, holds"].ys.count(None), found["p99, does not count"].ys.count(None)] == [2, 6]
    assert "The highest that held was 6,700 a second." in chart.about


def test_several_runs_are_points_by_what_they_answered() -> None:
    runs = [result(rate=rate, slo=Judged({"p99_ms": 9.0}, rate < 300)) for rate in (400.0, 200.0)]
    found = lines(charts.throughput([*runs, invalid(rate=100.0)]))
    assert found["p99"].xs == sorted(run.rate.answered for run in [*runs, invalid(rate=100.0)])
    assert [y is None for y in found["p99, holds"].ys] == [True, False, True]
    assert [y is None for y in found["p99, does not count"].ys] == [False, True, True]


def test_runs_of_other_scenarios_are_no_curve() -> None:
    other = result(scenario={"class": [{"name": "huge"}]})
    for runs, are_dots in (([result(), result()], False), ([result(), other], True)):
        assert {line.are_dots for line in charts.throughput(runs).lines} == {are_dots}


def test_events_are_bounded_and_in_order() -> None:
    marks = charts.latency(hostile()).marks
    assert len(marks) == 20
    assert [mark.x for mark in marks] == sorted(mark.x for mark in marks)
    assert marks[0].words == HOSTILE


def test_what_is_to_be_seen_is_said() -> None:
    chart = charts.latency(killed())
    assert "Over the whole run p50 was" in chart.about
    assert "The worst second was" in chart.about
    assert "late" not in chart.about
    assert "at p99" in charts.lateness(result()).about
