import pytest
from hypothesis import given
from hypothesis import strategies as st

from cell.scoring.queuebounds import QueueBounds
from croupier.errors import QuotaExceeded, Unavailable


def fill(bounds: QueueBounds, owner: int, rows: int = 1, size: int = 1) -> int:
    """How often the owner may enter."""
    count = 0
    try:
        while True:
            bounds.enter(owner, rows, size)
            count += 1
    except (QuotaExceeded, Unavailable):
        return count


def test_an_owner_leaves_as_much_as_it_takes() -> None:
    bounds = QueueBounds(120, 10_000)
    assert [fill(bounds, owner) for owner in (1, 2, 3)] == [60, 30, 15]
    with pytest.raises(QuotaExceeded):
        bounds.enter(1, 1, 1)
    bounds.enter(4, 1, 1)


def test_bytes_count_as_rows_do() -> None:
    bounds = QueueBounds(1_000_000, 120)
    assert [fill(bounds, owner, size=10) for owner in (1, 2)] == [6, 3]


def test_what_nobody_owns_may_fill_everything() -> None:
    bounds = QueueBounds(100, 10_000)
    assert fill(bounds, 0) == 100
    with pytest.raises(Unavailable):
        bounds.enter(1, 1, 1)


def test_with_nothing_before_it_a_request_is_taken_at_any_size() -> None:
    bounds = QueueBounds(10, 10)
    bounds.enter(1, 1000, 1000)
    with pytest.raises(Unavailable):
        bounds.enter(2, 1, 1)
    bounds.leave(1, 1000, 1000)
    bounds.enter(2, 1, 1)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 50), st.integers(1, 50))))
def test_who_left_takes_nothing(requests: list[tuple[int, int, int]]) -> None:
    bounds = QueueBounds(100, 100)
    entered = []
    for request in requests:
        try:
            bounds.enter(*request)
        except (QuotaExceeded, Unavailable):
            continue
        entered.append(request)
    for request in entered:
        bounds.leave(*request)
    assert (bounds._all.rows, bounds._all.size, bounds._owners) == (0, 0, {})
