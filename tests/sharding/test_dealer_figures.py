"""The dealer's published figures, on populations dealt at once: how even, how few moves, how nested."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.generations import SEED, TENANTS, draining, even, resized, with_seat, without

from sharding.dealer import Dealer
from sharding.generation import Generation, Seat, Share
from sharding.overlap import overlap, zoned_overlap
from sharding.plan import Population, plan
from sharding.population import Hands, deal

MANY = tuple(f"t{number}" for number in range(100_000))
SOME = Population(TENANTS[:300])


def dealt(generation: Generation, tenants: tuple[str, ...] = MANY) -> Hands:
    return deal(Dealer(generation), tenants)


def weighted(generation: Generation) -> Generation:
    seats = tuple(replace(seat, weight=1.0 + number % 3) for number, seat in enumerate(generation.seats))
    return replace(generation, seats=seats)


class TestOf64Cells:
    """4 zones, hands of 4."""

    def test_removing_a_cell_moves_exactly_the_slots_on_it(self) -> None:
        planned = plan(even(), without(even(), "cell-017"), Population(MANY))
        (cell,) = [one for one in planned.cells if one.cell == "cell-017"]
        assert planned.tenants_moved == planned.slots_moved == cell.slots_before == cell.lost
        assert planned.gained.sum() == planned.lost.sum() == cell.lost
        assert abs(cell.lost - 6_250) < 5 * (6_250 * 15 / 16) ** 0.5

    def test_cells_are_dealt_evenly(self) -> None:
        counts = dealt(even()).count()
        # Chance alone gives a coefficient of variation of .0122; a 128-token ring has .072, and 1.223.
        assert counts.std() / counts.mean() == pytest.approx(0.013, abs=0.003)
        assert counts.max() / counts.mean() <= 1.05

    def test_a_doubled_weight_draws_slots_to_that_cell_only(self) -> None:
        planned = plan(even(), with_seat(even(), Seat("cell-017", "zone-1", 2.0)), Population(MANY))
        assert {cell.cell for cell in planned.cells if cell.gained} == {"cell-017"}
        ideal = 2 / 17 - 1 / 16
        assert ideal == pytest.approx(0.05515, abs=5e-6)
        sigma = (len(MANY) * ideal * (1 - ideal)) ** 0.5
        assert abs(planned.tenants_moved - len(MANY) * ideal) < 5 * sigma

    def test_cells_are_dealt_by_weight(self) -> None:
        """Each zone's slots within a hundredth of the cells' weights, the cells of one weight together."""
        generation = weighted(even(cells=48))
        slots = dealt(generation).count()
        weights = np.array([seat.weight for seat in sorted(generation.seats, key=lambda seat: seat.cell)])
        for weight in (1.0, 2.0, 3.0):
            share = slots[weights == weight].sum() / slots.sum()
            assert share == pytest.approx(weights[weights == weight].sum() / weights.sum(), rel=0.01)

    @pytest.mark.parametrize(("zones", "size"), [(4, 4), (4, 6), (1, 4), (8, 4)])
    def test_hands_overlap_by_the_closed_form(self, zones: int, size: int) -> None:
        hands = dealt(even(64, zones, size))
        chances = overlap(64, size) if zones == 1 else zoned_overlap([64 // zones] * zones, size)
        # Pairs that have a tenant in common count as independent: a hand shares as much whichever it is.
        counts = np.zeros(size + 1)
        tenants = np.arange(len(MANY))
        for shift in range(1, 9):
            counts += np.bincount(hands.shared(tenants, np.roll(tenants, shift)), minlength=size + 1)
        pairs, odds = 8 * len(MANY), np.array([float(chance) for chance in chances])
        assert (np.abs(counts - pairs * odds) < 5 * np.sqrt(pairs * odds * (1 - odds)) + 1).all()


def test_hands_of_one_are_fair_to_zones_of_any_size() -> None:
    seats = [Seat(f"big-{i}", "big") for i in range(8)]
    seats += [Seat(f"small-{i}", "small") for i in range(2)]
    seats += [Seat("heavy", "lone", 6.0)]
    hands = dealt(Generation(1, SEED, 1, tuple(seats)))
    for count, name in zip(hands.count(), hands.cells, strict=True):
        chance = (6.0 if name == "heavy" else 1.0) / 16
        assert abs(count - len(MANY) * chance) < 5 * (len(MANY) * chance * (1 - chance)) ** 0.5


class TestGrafanaProperties:
    @pytest.mark.parametrize("cells", [20, 50])
    @pytest.mark.parametrize("zones", [1, 3])
    @pytest.mark.parametrize("size", [3, 7, 15])
    @pytest.mark.parametrize("is_weighted", [False, True])
    def test_consistency(self, cells: int, zones: int, size: int, is_weighted: bool) -> None:
        """A cell that goes, drains, comes, returns or weighs more or less: one slot each, of that cell."""
        generation = even(cells, zones, size)
        if is_weighted:
            generation = weighted(generation)
        for cell in ("cell-000", "cell-007", "cell-019"):
            seat = next(seat for seat in generation.seats if seat.cell == cell)
            changed = [
                without(generation, cell),
                draining(generation, cell),
                with_seat(generation, Seat("new", "zone-0", 1.5)),
                with_seat(generation, replace(seat, weight=2.5 * seat.weight)),
            ]
            for other in changed:
                for before, after in ((generation, other), (other, generation)):
                    self.assert_only_of({cell, "new"}, before, after)

    def assert_only_of(self, cells: set[str], before: Generation, after: Generation) -> None:
        planned = plan(before, after, SOME)
        assert planned.tenants_moved > 0
        assert planned.after.totals(planned.gained).max() <= 1
        assert planned.before.totals(planned.lost).max() <= 1
        of_them = np.isin(np.array(planned.after.cells), sorted(cells))
        moved = planned.after.totals(planned.gained) + planned.before.totals(planned.lost)
        of_these = planned.after.totals(planned.gained & of_them[planned.after.slots])
        of_these += planned.before.totals(planned.lost & of_them[planned.before.slots])
        assert (of_these[moved > 0] >= 1).all()

    @pytest.mark.parametrize("zones", [1, 3, 4])
    def test_hands_nest(self, zones: int) -> None:
        whole = dealt(weighted(even(40, zones, 40)), SOME.names).slots.reshape(-1, 40)
        for size in range(1, 40):
            hands = dealt(weighted(even(40, zones, size)), SOME.names)
            assert np.array_equal(hands.slots.reshape(-1, size), whole[:, :size])

    def test_shares_nest_as_the_fleet_grows(self) -> None:
        """A hand of a share loses no more than a cell to each that is added, and never a cell of its size."""
        for cells in range(8, 60, 7):
            before = resized(even(cells, 4), Share(20, 2))
            planned = plan(before, with_seat(before, Seat("new", "zone-0")), SOME)
            assert planned.before.totals(planned.lost).max() <= 1
            assert 0 <= planned.after.sizes.max() - planned.before.sizes.max() <= 1
            assert len({*planned.after.sizes.tolist()}) == 1
