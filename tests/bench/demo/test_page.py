import copy
import json
from dataclasses import asdict
from pathlib import Path

from bench.demo.page import page
from bench.demo.stored import Stored

RESULT = json.loads((Path(__file__).parents[3] / "bench/results/demo.json").read_text())


def test_the_page_is_made_of_the_result_alone() -> None:
    """And so the README, which quotes the page, shows what the bench prints of what was committed."""
    assert page(RESULT) == RESULT["page"]


def test_it_fits_a_screen() -> None:
    assert len(RESULT["page"]) <= 45
    assert max(map(len, RESULT["page"])) <= 100


def test_a_bound_that_does_not_hold_is_marked() -> None:
    worse = copy.deepcopy(RESULT)
    worse["bounds"][3]["holds"] = worse["passed"] = False
    (line,) = (line for line in page(worse) if line.endswith("NOT SO"))
    assert worse["bounds"][3]["what"] in line
    assert page(worse)[-1].startswith("FAILED in ")
    assert not [line for line in RESULT["page"] if line.endswith("NOT SO")]


def test_where_nobody_was_answered_there_is_no_time_and_nobody_condemned_is_said() -> None:
    worse = copy.deepcopy(RESULT)
    for column in worse["act_two"]["columns"]:
        column["p95_ms"]["killed"] = 0.0
    worse["act_two"]["culprits"] = {}
    lines = page(worse)
    assert "  p95 ms, one of its cells killed" in [line.rstrip() for line in lines]
    assert "  condemned by journals: nobody" in lines


def test_what_came_of_stored_features_is_told_if_any_model_has_some() -> None:
    more = copy.deepcopy(RESULT)
    stored = Stored(3, 4, 6, 1200, 360, 7, 7158, 215, 210, 425)
    more["act_one"]["stored"] = asdict(stored)
    lines = page(more)
    at = lines.index(
        "  1,200 answers of 3 families whose callers send 4 of 10 features, the store the others:"
    )
    assert lines[at + 1] == (
        "    3.0% of these missing, 2.9% stale; 360 answers used defaults, 7 for want of the store"
    )
    assert max(map(len, lines)) <= 100
    more["act_one"]["stored"] = asdict(Stored(families=0))
    assert not [line for line in page(more) if "the store" in line]
