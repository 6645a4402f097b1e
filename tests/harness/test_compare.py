import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from support.load_results import SCENARIO, Floats, result, searched, usual

from croupier_bench.compare import BETTER, SAME, WORSE, Comparison, Figure, Incomparable, compare
from croupier_bench.result import Result


def by_name(found: Comparison) -> dict[str, Figure]:
    return {figure.name: figure for figure in found.figures}


def slower(times: float) -> Any:
    return lambda random, due: usual(random, due) * times


def with_scenario(found: Result, key: str, **changes: Any) -> Result:
    return replace(found, scenario={**SCENARIO, key: {**SCENARIO[key], **changes}})


def without_seconds(found: Result) -> Result:
    return replace(found, series=[replace(row, histogram=[]) for row in found.series])


def test_a_slower_run_is_worse_and_the_other_way_round() -> None:
    before, after = result(seed=5), result(seed=6, latency=slower(1.5))
    there, back = by_name(compare(before, after)), by_name(compare(after, before))
    for name in ("mean", "p50", "p90", "p99"):
        assert (there[name].verdict, back[name].verdict) == (WORSE, BETTER)
        assert there[name].ratio == pytest.approx(1.5, rel=0.15)
    p99 = there["p99"]
    assert p99.low is not None
    assert p99.high is not None
    assert 1 < p99.low < 1.5 < p99.high
    assert there["answered"].verdict == there["errors"].verdict == there["wrong"].verdict == SAME


def test_a_run_and_itself_do_not_differ() -> None:
    found = compare(result(), result())
    assert {figure.verdict for figure in found.figures} == {SAME}
    assert by_name(found)["p99"].ratio == 1.0


def test_fewer_answers_and_more_errors_are_worse() -> None:
    failing = result(seed=2, failing=lambda due: np.full(len(due), 0.3), wronged=0.02)
    found = compare(result(), failing)
    assert [by_name(found)[name].verdict for name in ("answered", "errors", "wrong")] == [WORSE] * 3
    assert by_name(found)["errors"].before == 0.0
    assert [figure["high"] for figure in found.to_json()["figures"] if figure["name"] == "errors"] == [None]


def test_errors_of_a_burst_tell_less_than_as_many_that_come_alone() -> None:
    alone = result(seed=2, failing=lambda due: np.full(len(due), 0.02))
    burst = result(seed=2, failing=lambda due: np.where(due < 1, 0.6, 0.0))
    before = result(seed=1, failing=lambda due: np.full(len(due), 0.01))
    widths = []
    for after in (alone, burst):
        figure = by_name(compare(before, after))["errors"]
        assert figure.low
        assert figure.high
        widths.append(figure.high / figure.low)
    assert widths[1] > 3 * widths[0]


def test_without_seconds_intervals_come_from_ranks_and_the_notes_say_so() -> None:
    before, after = without_seconds(result(seed=1)), without_seconds(result(seed=2, latency=slower(1.5)))
    found = compare(before, after)
    assert by_name(found)["p99"].verdict == WORSE
    assert "mean" not in by_name(found)
    assert any("independent" in note for note in found.notes)


def test_a_quantile_beyond_which_there_is_next_to_nothing_is_not_compared() -> None:
    found = compare(result(rate=20), result(rate=20, seed=2))
    assert "p999" not in by_name(found)
    assert any("p99.9" in note for note in found.notes)


def test_nothing_that_was_answered_has_no_latencies() -> None:
    dead = result(failing=np.ones_like)
    found = compare(result(), dead)
    assert [figure.name for figure in found.figures] == ["errors"]
    assert by_name(found)["errors"].verdict == WORSE


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rate": 400.0}, "load.rate differs: 200.0 and 400.0"),
        ({"shape": {"kind": "wave"}}, "load.shape.kind differs: steady and wave"),
    ],
)
def test_other_scenarios_are_not_compared(change: dict[str, Any], words: str) -> None:
    before, after = result(), with_scenario(result(seed=2), "load", **change)
    with pytest.raises(Incomparable, match=words):
        compare(before, after)
    assert f"compared all the same: {words}" in compare(before, after, anyway=True).notes


def test_another_target_or_number_of_processes_is_what_is_compared() -> None:
    moved = with_scenario(result(), "target", protocol="oip", addresses=["10.0.0.1:1"])
    assert compare(result(), moved).figures
    assert compare(result(), with_scenario(result(), "load", workers=4)).figures
    events = [[{"at": 1.0, "kind": "kill", "pid_file": name}] for name in ("a", "b")]
    pair = [replace(result(), scenario={**SCENARIO, "event": event}) for event in events]
    assert compare(*pair).figures


def test_runs_that_do_not_count_are_not_compared() -> None:
    for broken, words in (
        (result(valid=False, why_invalid=["late\x1b"]), r"the second does not count: late\\x1b"),
        (result(stopped="errors"), "the second was stopped early: errors"),
        (searched(), "one is a search"),
    ):
        with pytest.raises(Incomparable, match=words):
            compare(result(), broken)


def test_searches_are_compared_by_what_they_found() -> None:
    before = searched()
    higher = [{**step, "holds": step["rate"] <= 8000} for step in before.steps]
    found = by_name(compare(before, replace(before, steps=higher)))
    assert found.keys() == {"highest_rate"}
    figure = found["highest_rate"]
    assert (figure.before, figure.after, figure.verdict) == (6700.0, 8000.0, SAME)
    # Each lies between what held and the next that did not.
    assert (figure.low, figure.high) == (8000 / 8000, 16000 / 6700)
    much = [{**step, "rate": 3 * step["rate"]} for step in before.steps]
    assert by_name(compare(before, replace(before, steps=much)))["highest_rate"].verdict == BETTER
    none = [{**step, "holds": False} for step in before.steps]
    assert by_name(compare(before, replace(before, steps=none)))["highest_rate"].verdict == WORSE


def test_the_part_of_each_cell_that_both_name_is_told() -> None:
    def ran(**answered: int) -> Result:
        cells = {name: {"answered": count, "resident_hits": 0} for name, count in answered.items()}
        return result(by_cell=cells)

    before, after = ran(one=75, two=20, gone=5), ran(one=50, two=30, new=20)
    told = "Of the answers, by cell: one 75.0 % → 50.0 %, two 20.0 % → 30.0 %."
    assert told in compare(before, after).notes
    assert not any("by cell" in note for note in compare(ran(a=1), ran(b=1)).notes)
    many = ran(**{f"cell-{n}": 100 - n for n in range(20)})
    assert any(note.endswith("and 4 more.") for note in compare(many, many).notes)


def test_what_is_worse_of_what_was_asked() -> None:
    found = compare(result(seed=1), result(seed=2, latency=slower(1.5)))
    assert found.is_worse(["p99", "errors"]) == ["p99"]
    assert found.is_worse(["any"]) == ["mean", "p50", "p90", "p99"]
    with pytest.raises(ValueError, match="p77 was not compared; answered, "):
        found.is_worse(["p77"])


def test_the_table_and_the_json_hold_all_figures() -> None:
    found = compare(result(name="[bold]a\x1b"), result(seed=2, latency=slower(1.5)))
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(found.table())
    text = console.export_text()
    assert "p99" in text
    assert "worse" in text
    assert "repeat both" in text
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert told["before"] == r"[bold]a\x1b 2026-11-28 0123abcd"
    assert [one["name"] for one in told["figures"]] == [figure.name for figure in found.figures]


def bursts(random: np.random.Generator, due: Floats) -> Floats:
    """Slow spells of some seconds: neighbours are alike, and a run has few of them."""
    spells = np.repeat(random.lognormal(0, 0.3, 60), 2)[np.floor(due).astype(int)]
    return usual(random, due) * spells


def test_intervals_cover_the_true_ratio() -> None:
    """Of runs that do not differ, 95 of 100 intervals hold 1; those of ranks far fewer."""
    runs = 60
    inside = {"blocks": 0, "ranks": 0}
    for number in range(runs):
        pair = [result(seed=1000 + 2 * number + side, rate=60, latency=bursts) for side in (0, 1)]
        for kind, found in (
            ("blocks", compare(*pair, seed=number)),
            ("ranks", compare(*map(without_seconds, pair), seed=number)),
        ):
            figure = by_name(found)["p50"]
            assert figure.low is not None
            assert figure.high is not None
            inside[kind] += figure.low <= 1 <= figure.high
    assert inside["blocks"] / runs >= 0.88
    assert inside["ranks"] / runs < 0.8
