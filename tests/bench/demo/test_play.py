import pytest

from bench.demo.act_one import ActOne
from bench.demo.play import _first_bounds, bearable
from bench.demo.stored import Stored


@pytest.mark.parametrize(
    ("requests", "rate"), [(60_000, 1000.0), (24_000, 1000.0), (12_345, 510.0), (9, 1.0)]
)
def test_act_two_asks_for_no_more_than_a_quarter_of_what_act_one_got(requests: int, rate: float) -> None:
    first = ActOne(requests, 6.0, 0, 0, {}, 1.0, 2.0, {}, 1.0, "cell-0", 3, Stored())
    assert bearable(1000.0, first) == rate


@pytest.mark.parametrize(("missing", "holds"), [(3, True), (2, False), (4, False)])
def test_as_many_defaults_as_were_planted_and_no_others(missing: int, holds: bool) -> None:
    stored = Stored(values=60, missing=missing, stale=2, planted=5)
    first = ActOne(10, 6.0, 0, 0, {}, 1.0, 2.0, {}, 1.0, "cell-0", 3, stored)
    assert [bound.holds for bound in _first_bounds(first)] == [True, holds]
