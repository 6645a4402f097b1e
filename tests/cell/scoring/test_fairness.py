"""Start-time fair queueing: shares, and what a pause does to them."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cell.scoring.fairness import Shares


def serve(shares: Shares, costs: dict[int, float], rounds: int) -> Counter[int]:
    """What each owner has been served, all of them waiting all the time."""
    served: Counter[int] = Counter()
    for _ in range(rounds):
        owner = shares.next()
        assert owner is not None
        shares.charge(owner, costs[owner])
        served[owner] += costs[owner]  # type: ignore[assignment]
    return served


@given(st.dictionaries(st.integers(0, 9), st.floats(1, 100), min_size=1))
def test_who_waits_all_the_time_gets_the_same(costs: dict[int, float]) -> None:
    shares = Shares()
    for owner in costs:
        shares.join(owner)
    served = serve(shares, costs, 100 * len(costs))
    assert max(served.values()) - min(served.values()) <= 2 * max(costs.values())


def test_who_comes_back_has_saved_nothing_up() -> None:
    shares = Shares()
    shares.join(1)
    serve(shares, {1: 1.0}, 1000)
    shares.join(2)
    assert serve(shares, {1: 1.0, 2: 1.0}, 10) == {1: 5.0, 2: 5.0}
    shares.leave(2)
    serve(shares, {1: 1.0}, 1000)
    shares.join(2)
    assert serve(shares, {1: 1.0, 2: 1.0}, 10)[2] <= 6


def test_who_was_ahead_stays_so_over_a_short_pause() -> None:
    shares = Shares()
    for owner in (1, 2):
        shares.join(owner)
    shares.charge(2, 5.0)
    shares.leave(2)
    shares.join(2)
    assert serve(shares, {1: 1.0, 2: 1.0}, 5) == {1: 5.0}


def test_who_may_not_is_passed_over_and_keeps_its_place() -> None:
    shares = Shares()
    for owner in (1, 2):
        shares.join(owner)
    shares.charge(2, 1.0)
    assert shares.next(lambda owner: owner != 1) == 2
    assert shares.next() == 1
    assert shares.next(lambda owner: False) is None
    assert shares.next() == 1


@given(
    st.lists(
        st.tuples(st.sampled_from(["join", "leave", "charge", "next"]), st.integers(0, 5), st.floats(0, 9))
    )
)
def test_it_holds_no_more_than_it_has_to(steps: list[tuple[str, int, float]]) -> None:
    shares = Shares()
    waiting: set[int] = set()
    for step, owner, cost in steps:
        if step == "join":
            shares.join(owner)
            waiting.add(owner)
        elif step == "leave":
            shares.leave(owner)
            waiting.discard(owner)
        elif step == "charge":
            shares.charge(owner, cost)
        else:
            found = shares.next()
            assert (found in waiting) if waiting else found is None
        assert len(shares) == len(waiting)
        assert len(shares._order) <= 2 * len(waiting) + 65
