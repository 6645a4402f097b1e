"""What is counted while cells come and go, and what is told of it."""

from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st

from bench.fair.restart import Counts, Seen, successor, told


def seen(before: float, during: float, errors: int = 0) -> Seen:
    return Seen(before, during, errors, 1000, 1.0, 2.0)


def test_a_cell_that_starts_again_counts_from_nothing() -> None:
    counts = Counts()
    counts.take({"a": (100, 90), "b": (50, 50)})
    assert (counts.requests, counts.hits) == (0, 0)
    counts.take({"a": (110, 99)})
    counts.take({"a": (4, 3), "b": (60, 60)})
    assert (counts.requests, counts.hits) == (10 + 4 + 10, 9 + 3 + 10)


def test_a_cell_that_comes_later_is_counted_from_its_beginning() -> None:
    counts = Counts()
    counts.take({"a": (100, 90)})
    counts.take({"a": (100, 90), "c": (7, 1)})
    assert (counts.requests, counts.hits) == (7, 1)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=30))
def test_what_is_counted_never_shrinks(steps: list[tuple[int, int]]) -> None:
    counts = Counts()
    for requests, hits in steps:
        before = counts.requests, counts.hits
        counts.take({"a": (requests, min(requests, hits))})
        assert counts.requests >= before[0]
        assert counts.hits >= before[1]


def test_the_kind_that_costs_most_hits_speaks_for_all_and_every_error_counts() -> None:
    found = told({"drain": asdict(seen(0.99, 0.99, 1)), "zone": asdict(seen(1.0, 0.8, 2))})
    assert (found["hit_rate_before"], found["hit_rate_during"], found["errors"]) == (1.0, 0.8, 3)
    assert found["kinds"]["drain"]["hit_rate_during"] == 0.99


def test_who_takes_a_seat_is_of_the_same_of_four_zones_and_new() -> None:
    assert [successor(cells) for cells in (4, 5, 6, 9, 10)] == [5, 5, 9, 9, 13]
