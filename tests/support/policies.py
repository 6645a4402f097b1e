"""What every eviction policy is tried for, the cell's and those that the benches compare them with."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st
from support.cells import digest
from support.reference.policies import Naive
from support.residency import Cell, resident

from cell.residency.policies import MOST_SPARED, Policy
from cell.residency.residency import ModelTooLarge, Residency


def keeps_what_a_plain_model_keeps(
    make: Callable[[], Policy], make_naive: Callable[[int], Naive], data: st.DataObject
) -> None:
    capacity = data.draw(st.integers(10, 150))
    sizes = data.draw(st.lists(st.integers(10, 70), min_size=12, max_size=12))
    keys = [digest(str(number)) for number in range(12)]
    naive, residency = make_naive(capacity), Residency[int](capacity, make())
    for number in data.draw(st.lists(st.integers(0, 11), max_size=120)):
        key, size = keys[number], sizes[number]
        is_hit = residency.find(key, 0.0) is not None
        assert naive.ask(key, size) == is_hit
        if not is_hit:
            try:
                residency.reserve(key, residency.plan(size))
            except ModelTooLarge:
                continue
            residency.admit(key, number, size, 0.0)[0].release()
        assert set(resident(residency)) == set(naive.sizes)
        assert residency.used == sum(naive.sizes.values()) <= capacity


def makes_a_plan_again_that_was_not_kept(make: Callable[[], Policy]) -> None:
    cell = Cell(make(), 10)
    cell.ask_all("abcdefghij")
    cell.ask_all("aabbc")
    first = cell.would_go(3)
    assert cell.would_go(3) == first
    assert cell.resident == "abcdefghij"


def names_everybody_once_if_all_must_go(make: Callable[[], Policy]) -> None:
    cell = Cell(make(), 10)
    cell.ask_all("abcdefghij")
    cell.ask_all("aaabbcchij")
    assert sorted(cell.would_go(10)) == list("abcdefghij")


def keeps_who_is_used_often(make: Callable[[], Policy]) -> None:
    cell = Cell(make(), 10)
    cell.ask_all("abcdefghij")
    for number in range(200):
        cell.ask_all("abcab")
        cell.ask(chr(33 + number % 30))
    assert set("abc") < set(cell.resident)


CHECKS: tuple[Callable[[Callable[[], Policy]], None], ...] = (
    makes_a_plan_again_that_was_not_kept,
    names_everybody_once_if_all_must_go,
    keeps_who_is_used_often,
)


def spares_so_many_and_no_more(make: Callable[[], Policy]) -> None:
    """For policies that spare whoever was used: where all were, a search does not go around."""
    residency: Residency[int] = Residency(2_000, make())
    keys = [digest(str(number)) for number in range(2_000)]
    for key in keys:
        residency.reserve(key, residency.plan(1))
        residency.admit(key, 0, 1, 0.0)[0].release()
    for key in keys * 3:
        residency.find(key, 0.0)
    first = residency.plan(1)
    assert first.victims == (keys[MOST_SPARED],)
    residency.reserve(digest("new"), first)
    # The next search goes on where that one ended.
    assert residency.plan(1).victims == (keys[2 * MOST_SPARED + 1],)
