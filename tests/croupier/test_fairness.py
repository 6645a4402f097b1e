"""Start-time fair queueing: shares, and what a pause does to them."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier import fairness
from croupier.fairness import PATIENCE, Patience, Ranks, Shares
from croupier.priorities import PRIORITIES


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


def test_what_is_higher_comes_first_and_owners_share_within() -> None:
    ranks = Ranks()
    for priority, owner in ((4, 1), (0, 2), (0, 1), (1, 2)):
        ranks.join(priority, owner)
    taken = []
    for _ in range(2 * PATIENCE):
        found = ranks.next()
        assert found is not None
        ranks.turn(found[0])
        ranks.charge(*found, 1.0)
        taken.append(found)
    live = [found for found in taken if found[0] == 0]
    assert abs(live.count((0, 1)) - live.count((0, 2))) <= 1
    assert [taken.index((1, 2)), taken.index((4, 1))] == [PATIENCE, PATIENCE + 1]


@given(st.lists(st.booleans(), min_size=PRIORITIES, max_size=PRIORITIES))
def test_nobody_who_waits_starves(waiting: list[bool]) -> None:
    patience, taken = Patience(), []
    for _ in range(200):
        order = [*patience.order(waiting)]
        assert {*order} == {priority for priority, waits in enumerate(waiting) if waits}
        if not order:
            return
        patience.turn(order[0], waiting)
        taken.append(order[0])
    assert {*taken} == {*order}
    assert taken[0] == min(order)
    # What is highest has nearly all of it.
    assert taken.count(min(order)) >= 200 * PATIENCE // (PATIENCE + PRIORITIES)


def test_who_waits_but_may_not_is_passed_over_for_what_is_lower() -> None:
    ranks = Ranks()
    ranks.join(0, 1)
    ranks.join(2, 2)
    assert ranks.next(lambda owner: owner != 1) == (2, 2)
    ranks.leave(2, 2)
    assert ranks.next(lambda owner: owner != 1) is None
    assert (ranks.count(0), ranks.count(2), len(ranks)) == (1, 0, 1)


@pytest.fixture(scope="module")
def plain() -> ModuleType:
    """The same source, not compiled."""
    path = Path(fairness.__file__).with_name("fairness.py")
    spec = importlib.util.spec_from_file_location("plain_fairness", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_tried_here_is_compiled(plain: ModuleType) -> None:
    assert not fairness.__file__.endswith(".py")
    assert plain.Ranks is not Ranks


@given(st.integers(0, 2**32))
def test_compiled_it_decides_as_it_is_written(plain: ModuleType, seed: int) -> None:
    random = Random(seed)
    both = (Ranks(), plain.Ranks())
    for _ in range(300):
        step = random.choice(["join", "leave", "charge", "next", "next", "next", "may"])
        priority, owner = random.choice([0, 0, 0, 1, 4]), random.randrange(4)
        cost = random.uniform(-1.0, 9.0)
        compiled, written = (_said(ranks, step, priority, owner, cost) for ranks in both)
        assert compiled == written


def _said(ranks: Any, step: str, priority: int, owner: int, cost: float) -> tuple[object, ...]:
    """What comes of a step, and how many wait then."""
    taken = None
    if step == "join":
        ranks.join(priority, owner)
    elif step == "leave":
        ranks.leave(priority, owner)
    elif step == "charge":
        ranks.charge(priority, owner, cost)
    elif taken := ranks.next(None if step == "next" else lambda one: one != owner):
        ranks.turn(taken[0])
        ranks.charge(*taken, abs(cost))
    return taken, len(ranks), *map(ranks.count, range(PRIORITIES))
