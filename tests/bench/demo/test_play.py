import pytest

from bench.demo.act_one import ActOne
from bench.demo.play import bearable


@pytest.mark.parametrize(
    ("requests", "rate"), [(60_000, 1000.0), (24_000, 1000.0), (12_345, 510.0), (9, 1.0)]
)
def test_act_two_asks_for_no_more_than_a_quarter_of_what_act_one_got(requests: int, rate: float) -> None:
    first = ActOne(requests, 6.0, 0, 0, {}, 1.0, 2.0, {}, 1.0, "cell-0", 3)
    assert bearable(1000.0, first) == rate
