from hypothesis import given
from hypothesis import strategies as st

from cell.scoring.batchsize import BatchSizes

A, B = b"a" * 32, b"b" * 32


def test_it_begins_in_the_middle_and_within_every_bound() -> None:
    sizes = BatchSizes(1000, 1.0, first=32)
    assert (sizes.of(A), sizes.of(A, 8), sizes.of(A, 100)) == (32, 8, 32)
    assert BatchSizes(10, 1.0, first=32).of(A) == 10


def test_a_full_call_within_the_target_makes_the_next_larger() -> None:
    sizes = BatchSizes(36, 1.0, first=32)
    for expected in (34, 36, 36):
        sizes.seen(A, sizes.of(A), 0.5)
        assert sizes.of(A) == expected
    assert sizes.of(B) == 32


def test_a_call_that_was_not_full_says_nothing_of_larger_ones() -> None:
    sizes = BatchSizes(100, 1.0, first=32)
    sizes.seen(A, 31, 0.1)
    assert sizes.of(A) == 32


def test_a_call_beyond_the_target_makes_the_next_smaller() -> None:
    sizes = BatchSizes(1000, 1.0, first=100)
    sizes.seen(A, 100, 1.05)
    assert sizes.of(A) == 90
    sizes.seen(A, 90, 3.0)
    assert sizes.of(A) == 30
    sizes.seen(B, 1, 100.0)
    assert sizes.of(B) == 1


def test_a_model_that_was_not_asked_for_long_begins_anew() -> None:
    sizes = BatchSizes(1000, 1.0, first=100)
    sizes.seen(A, 100, 2.0)
    for number in range(4_096):
        sizes.seen(number.to_bytes(32, "big"), 1, 0.0)
    assert sizes.of(A) == 100


@given(st.floats(1e-4, 1.0), st.integers(1, 200))
def test_it_settles_where_calls_take_about_the_target(seconds_a_row: float, most: int) -> None:
    sizes = BatchSizes(most, 0.5)
    for _ in range(300):
        size = sizes.of(A)
        sizes.seen(A, size, size * seconds_a_row)
    ideal = min(most, max(1, 0.5 / seconds_a_row))
    assert 0.8 * ideal - 1 <= sizes.of(A) <= min(most, ideal + 3)
