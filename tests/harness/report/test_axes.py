import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier_bench.report import axes


def labels(axis: axes.Axis) -> list[str]:
    return [label for _, label in axis.ticks]


def test_a_linear_axis_ends_at_a_tick() -> None:
    axis = axes.linear("requests a second", 1900)
    assert labels(axis) == ["0", "500", "1,000", "1,500", "2,000"]
    assert [axis.place(value) for value in (0, 1000, 2000, 9999)] == [0, 0.5, 1, 1]
    assert labels(axes.linear("", 0.0))[0] == "0"


def test_time_ends_where_it_ends() -> None:
    axis = axes.seconds(33.0)
    assert labels(axis) == ["0", "5", "10", "15", "20", "25", "30"]
    assert axis.most == 33.0


def test_a_logarithmic_axis_ends_near_its_values() -> None:
    axis = axes.logarithmic("milliseconds", [0.03, None, 110, float("nan"), 0.0])
    assert (axis.least, axis.most) == (0.02, 200.0)
    assert labels(axis) == ["0.1", "1", "10", "100"]
    assert axis.place(2.0) == pytest.approx(0.5)
    assert axis.place(0.0) == 0.0


def test_few_decades_have_more_ticks() -> None:
    assert labels(axes.logarithmic("", [1.0, 8.0])) == ["1", "2", "5", "10"]
    assert labels(axes.logarithmic("", [3.0])) == ["2", "5", "10"]
    assert labels(axes.logarithmic("", [])) == ["0.01", "0.02", "0.05", "0.1"]


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (1, ["0 %", "p50", "p90"]),
        (1000, ["0 %", "p50", "p90", "p99", "p99.9"]),
        (10**9, ["0 %", "p50", "p90", "p99", "p99.9", "p99.99", "p99.999", "p99.9999"]),
    ],
)
def test_an_axis_of_nines_ends_where_answers_do(count: int, told: list[str]) -> None:
    axis = axes.nines(count)
    assert labels(axis) == told
    assert axis.told(2.0) == "99 %"


@given(st.floats(1e-6, 1e9))
def test_whatever_is_on_an_axis_has_a_place(most: float) -> None:
    for axis in (axes.linear("", most), axes.seconds(most), axes.logarithmic("", [most])):
        places = [axis.place(value) for value, _ in axis.ticks]
        assert places == sorted(places)
        assert 0 <= places[0] <= places[-1] <= 1
        assert 0 <= axis.place(most) <= 1
        assert 2 <= len(places) <= 24
