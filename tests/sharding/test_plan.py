"""What a plan counts is what then happens; what it expects of models is near what their orders come to."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.generations import (
    EVERYBODY,
    TENANTS,
    dedicated,
    draining,
    even,
    maps,
    overriding,
    resized,
    with_seat,
    without,
)

from sharding.dealer import Dealer
from sharding.generation import Generation, Override, Seat, Share
from sharding.placement import order
from sharding.plan import MOST, Plan, Population, Shortfall, plan, refusals

NAMES = (*EVERYBODY, *TENANTS[:50])
MANY = Population(TENANTS)


@given(maps(), maps())
def test_what_it_counts_is_what_happens(before: Generation, after: Generation) -> None:
    planned = plan(before, after, Population(NAMES))
    old, new = Dealer(before), Dealer(after)
    hands = [({*old.hand(name)}, {*new.hand(name)}) for name in NAMES]
    moves = {name: (a - b, b - a) for name, (a, b) in zip(NAMES, hands, strict=True) if a != b}
    assert {name: ({*lost}, {*gained}) for name, lost, gained in planned.moves()} == moves
    assert planned.tenants_moved == len(moves)
    assert planned.slots_moved == sum(max(map(len, one)) for one in moves.values())
    gained = Counter(cell for _, one in moves.values() for cell in one)
    lost = Counter(cell for one, _ in moves.values() for cell in one)
    assert {c.cell: c.gained for c in planned.cells if c.gained} == gained
    assert {c.cell: c.lost for c in planned.cells if c.lost} == lost
    assert all(c.slots_after - c.slots_before == c.gained - c.lost for c in planned.cells)
    assert planned.cold_loads == pytest.approx(sum(c.cold_loads for c in planned.cells))


@given(maps())
def test_the_same_map_moves_nothing(generation: Generation) -> None:
    planned = plan(generation, replace(generation, number=2), Population(NAMES))
    assert (planned.tenants_moved, planned.slots_moved, planned.cold_loads) == (0, 0, 0)
    assert planned.balance_before == planned.balance_after
    assert refusals(planned, ()) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (even(16), without(even(16), "cell-003")),
        (even(16), resized(even(16), 6)),
        (resized(even(16), 6), even(16)),
        (even(16), replace(even(16), seed=8)),
        (draining(even(16), "cell-003"), without(draining(even(16), "cell-004"), "cell-005")),
    ],
    ids=["lose a cell", "more cells", "fewer cells", "another seed", "three changes"],
)
def test_models_are_loaded_as_expected(before: Generation, after: Generation) -> None:
    """Of 2,000 tenants with three models each: how many begin on another cell, and on which."""
    names = TENANTS[:2_000]
    planned = plan(before, after, Population(names, models=np.full(len(names), 3)))
    old, new = Dealer(before), Dealer(after)
    loads: Counter[str] = Counter()
    for name in names:
        for model in ("a", "b", "c"):
            first = order(new.hand(name), name, model, after.seed)[0]
            loads[first] += first != order(old.hand(name), name, model, before.seed)[0]
    for cell in planned.cells:
        assert abs(loads[cell.cell] - cell.cold_loads) < 5 * max(cell.cold_loads, 1) ** 0.5
    assert planned.warming_seconds(10) == max(cell.cold_loads for cell in planned.cells) / 10


def test_bytes_follow_models() -> None:
    after = without(even(), "cell-003")
    planned = plan(even(), after, Population(TENANTS, model_bytes=np.full(len(TENANTS), 1_000)))
    assert planned.cold_bytes == pytest.approx(1_000 * planned.cold_loads)
    assert planned.cells[0].cold_bytes == pytest.approx(1_000 * planned.cells[0].cold_loads)
    assert plan(even(), after, MANY).cold_bytes is None


def test_load_follows_rates_and_weights() -> None:
    seats = (Seat("a", "z"), Seat("b", "z", 3.0), Seat("c", "z", draining=True))
    generation = Generation(1, 7, 1, seats, {"x": Override(("a",)), "y": Override(("b",))})
    planned = plan(generation, generation, Population(("x", "y"), np.array([2.0, 3.0])))
    assert [cell.load_after for cell in planned.cells] == [2, 1, 0]
    assert planned.balance_after == 2 / (5 / 4)
    assert plan(generation, generation, Population(("x", "y"))).balance_after == 1 / (2 / 4)


def test_overlaps_are_of_pairs() -> None:
    planned = plan(even(), resized(even(), 8), MANY)
    assert sum(planned.overlap_before) == sum(planned.overlap_after) == len(TENANTS)
    mean = sum(j * count for j, count in enumerate(planned.overlap_after)) / len(TENANTS)
    assert mean == pytest.approx(8 * 8 / 64, rel=0.03)
    assert plan(even(), even(), Population(("alone",))).overlap_after == ()


def test_hands_that_span_too_few_zones() -> None:
    after = overriding(even(), "acme", Override(pins=("cell-000", "cell-004", "cell-001")))
    after = dedicated(after, "globex", "cell-008", "cell-012")
    planned = plan(even(), after, Population(("acme", "globex", "plain")))
    assert planned.shortfalls == (Shortfall("acme", 2, 3), Shortfall("globex", 1, 2))
    assert planned.shortfalls_total == 2


def test_what_pins_do_not_come_to() -> None:
    after = overriding(
        draining(dedicated(even(), "globex", "cell-008"), "cell-000"),
        "acme",
        Override(pins=("cell-000", "cell-001", "cell-001", "cell-008", "ghost"), excludes=("cell-001",)),
    )
    planned = plan(even(), after, Population(("acme",)))
    assert planned.conflicts == (
        "acme pins cell-000, which drains: its place is dealt",
        "acme pins cell-001 and excludes it: the pin holds",
        "acme pins cell-001 more than once: it counts once",
        "acme pins cell-008, which is dedicated to globex",
        "acme pins ghost, which has no seat",
    )
    assert planned.conflicts_total == 5


def test_lists_are_bounded() -> None:
    after = replace(even(), overrides={f"t{n}": Override(pins=("cell-000", "cell-004")) for n in range(100)})
    planned = plan(even(), after, Population([f"t{n}" for n in range(100)]))
    assert (len(planned.shortfalls), planned.shortfalls_total) == (MOST, 100)


class TestRefusals:
    def of(self, after: Generation, *named: str, before: Generation | None = None) -> list[str]:
        return refusals(plan(before or even(), after, MANY), named)

    def test_a_cell_that_is_named_may_move(self) -> None:
        for after in (without(even(), "cell-003"), draining(even(), "cell-003")):
            assert self.of(after, "cell-003") == []
        assert self.of(with_seat(even(), Seat("new", "zone-0")), "new") == []
        assert self.of(with_seat(even(), Seat("cell-003", "zone-3", 2.0)), "cell-003") == []
        replaced = with_seat(without(even(), "cell-003"), Seat("new", "zone-3"))
        assert self.of(replaced, "cell-003", "new") == []
        assert self.of(dedicated(even(), "tenant-7", "cell-003"), "cell-003") == []

    def test_more_than_these_and_two_of_a_hundred_may_not(self) -> None:
        after = without(without(without(even(), "cell-003"), "cell-004"), "cell-005")
        planned = plan(even(), after, MANY)
        own = planned.slots_of(["cell-003"])
        assert refusals(planned, ["cell-003"]) == [
            f"it moves {planned.slots_moved} slots; the cells that it names have {own} of 80000, "
            f"and {own + 1600} may move"
        ]
        # One cell of 64 has fewer than two of a hundred slots.
        assert refusals(planned, ["cell-003", "cell-004"]) == []
        assert len(refusals(planned, ["cell-003", "cell-004"], allowance=0.01)) == 1

    def test_larger_hands_for_all_are_many_slots(self) -> None:
        assert len(self.of(resized(even(), 5))) == 1
        # One cell more, of which the share of each hand becomes one more.
        share = resized(even(), Share(25))
        assert len(self.of(with_seat(share, Seat("new", "zone-0")), "new", before=share)) == 1

    def test_nobody_is_left_without_a_cell(self) -> None:
        after = dedicated(even(8), "acme", *(f"cell-{n:03}" for n in range(8)))
        planned = plan(even(8), after, Population(TENANTS[:5]))
        assert planned.stranded_total == 5
        assert "it leaves 5 tenants without a cell: tenant-0, tenant-1, tenant-2, …" in refusals(
            planned, [f"cell-{n:03}" for n in range(8)]
        )


def edited(generation: Generation, rng: random.Random, step: int) -> tuple[Generation, str]:
    """One cell lost, drained, added, reweighted or dedicated: the next generation, and the cell."""
    seat = rng.choice(generation.active())
    match rng.randrange(5):
        case 0:
            return without(generation, seat.cell), seat.cell
        case 1:
            return draining(generation, seat.cell), seat.cell
        case 2:
            return with_seat(generation, Seat(f"new-{step}", f"zone-{rng.randrange(3)}")), f"new-{step}"
        case 3:
            heavier = replace(seat, weight=seat.weight * rng.uniform(0.3, 3))
            return with_seat(generation, heavier), seat.cell
        case _:
            return dedicated(generation, f"owner-{step}", seat.cell), seat.cell


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_edits_move_no_slot_but_those_of_their_cell(seed: int) -> None:
    """Along any sequence of them: at most one cell more and one less in each hand, as the plan says."""
    rng = random.Random(seed)
    generation = even(cells=20, zones=3, hand_size=rng.randrange(1, 8))
    for step in range(6):
        after, cell = edited(generation, rng, step)
        planned: Plan = plan(generation, after, Population(TENANTS[:100]))
        assert refusals(planned, [cell], allowance=0) == []
        for _, lost, gained in planned.moves():
            assert len(lost) <= 1
            assert len(gained) <= 1
            assert cell in (*lost, *gained)
        generation = after
