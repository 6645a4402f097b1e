import copy
import json
from pathlib import Path

from bench.demo.page import page

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
