from collections import Counter

import numpy as np
import pytest

from bench.fair import judging
from bench.fair.judging import Ratio
from bench.fair.noting import UNHEARD, WRONG, Ends, name_of
from croupier.codes import Code

DEADLINE = 0.5


def ends(rows: list[tuple[float, float, int]], lateness: float = 0.0, words: tuple[str, ...] = ()) -> Ends:
    due, seconds, codes = zip(*rows, strict=True)
    late, said = np.full(len(rows), lateness), np.array(words or [""] * len(rows))
    return Ends(np.array(due), np.array(seconds), late, np.array(codes), said)


def steady(begin: float, end: float, seconds: float, code: int = Code.OK) -> list[tuple[float, float, int]]:
    return [(due, seconds, code) for due in np.arange(begin, end, 0.01)]


def test_a_ratio_is_of_each_turn_to_the_quiet_ones_beside_it() -> None:
    ratio = Ratio([1.0, 3.0, 1.0, 1.0], [4.0, 2.0, 9.0])
    assert ratio.median == 2.0
    assert ratio.spread == (1 / 3, 3.0)


def test_problems_are_counted_by_code() -> None:
    problems = Counter({"status 8: of one": 2, "status 8: of another": 1, "status 14: gone": 1, "odd": 4})
    assert judging.codes(problems) == {"RESOURCE_EXHAUSTED": 3, "UNAVAILABLE": 1, "odd": 4}


@pytest.mark.parametrize(("code", "name"), [(0, "OK"), (8, "RESOURCE_EXHAUSTED"), (99, "code 99")])
def test_codes_that_a_peer_made_up_have_names_too(code: int, name: str) -> None:
    assert name_of(code) == name


def test_what_is_answered_too_late_or_wrongly_is_no_goodput() -> None:
    seen = ends([(0.0, 0.1, 0), (0.1, 0.6, 0), (0.2, 0.1, WRONG), (0.3, np.inf, UNHEARD), (1.5, 0.1, 0)])
    assert judging.goodput(seen, 0.0, 1.0, DEADLINE) == 1.0


def test_refusals_count_from_when_requests_were_sent() -> None:
    rows = [(0.0, 0.003, Code.UNAVAILABLE), (0.1, 0.003, Code.RESOURCE_EXHAUSTED), (0.2, 0.4, Code.OK)]
    seen = ends(rows, lateness=0.001)
    assert judging.reject_p99_ms(seen, 0.0, 1.0) == pytest.approx(2.0)
    assert np.isnan(judging.reject_p99_ms(seen, 0.2, 1.0))


def test_refusals_are_told_apart_by_what_was_said() -> None:
    rows = [(0.0, 0.002, Code.UNAVAILABLE), (0.1, 0.1, Code.UNAVAILABLE), (0.2, 0.004, Code.UNAVAILABLE)]
    found = judging.refusals(ends(rows, words=("full", "busy", "full")), 0.0, 1.0)
    assert {words: said.count for words, said in found.items()} == {"full": 2, "busy": 1}
    assert found["busy"].p99_ms == pytest.approx(100.0)


def test_all_is_as_before_at_once() -> None:
    seen = ends([*steady(0, 2, 0.01), *steady(2, 4, 0.3), *steady(4, 6, 0.012)])
    assert judging.recovery_seconds(seen, (0.0, 2.0), 4.0, DEADLINE) == 0.0


def test_errors_and_long_waits_put_recovery_off() -> None:
    slow = ends([*steady(0, 2, 0.01), *steady(2, 5, 0.3), *steady(5, 8, 0.01)])
    assert judging.recovery_seconds(slow, (0.0, 2.0), 4.0, DEADLINE) == 1.0
    refused = ends([*steady(0, 2, 0.01), *steady(2, 4.6, 0.001, Code.UNAVAILABLE), *steady(4.6, 8, 0.01)])
    assert judging.recovery_seconds(refused, (0.0, 2.0), 4.0, DEADLINE) == 1.0


def test_what_is_never_as_before_has_not_recovered() -> None:
    seen = ends([*steady(0, 2, 0.01), *steady(2, 6, 0.3)])
    assert judging.recovery_seconds(seen, (0.0, 2.0), 4.0, DEADLINE) == float("inf")
