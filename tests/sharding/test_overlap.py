from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.generations import TENANTS
from support.odds import zoned_hands

from sharding import overlap as overlaps
from sharding.dealer import Dealer
from sharding.generation import Generation, Seat
from sharding.overlap import overlap, shared_with, zoned_overlap


@pytest.mark.parametrize(
    ("cells", "size", "shards", "chances"),
    [
        (8, 2, 28, [0.535714285714, 0.428571428571, 0.0357142857143]),
        (
            50,
            4,
            230_300,
            [0.708575770734, 0.263656100738, 0.0269648284846, 7.98957881025e-4, 4.34216239687e-6],
        ),
        (
            64,
            4,
            635_376,
            [0.767474692151, 0.215431492534, 0.0167145123517, 3.77729092695e-4, 1.57387121956e-6],
        ),
        (
            100,
            5,
            75_287_520,
            [
                0.769589953288,
                0.211425811343,
                0.0183848531603,
                5.93059779363e-4,
                6.30914658897e-6,
                1.32824138715e-8,
            ],
        ),
        (
            2048,
            4,
            730_862_190_080,
            [0.992204663333, 0.00777818452392, 1.71409551213e-5, 1.11867874833e-8, 1.36824700138e-12],
        ),
    ],
)
def test_published_figures(cells: int, size: int, shards: int, chances: list[float]) -> None:
    assert overlap(cells, size)[size] == Fraction(1, shards)
    assert [float(p) for p in overlap(cells, size)] == pytest.approx(chances, rel=1e-11)


def test_published_figures_with_zones() -> None:
    chances = [0.772476196289, 0.205993652344, 0.0205993652344, 9.1552734375e-4, 1.52587890625e-5]
    assert zoned_hands([16] * 4, 4) == 65_536
    assert [float(p) for p in zoned_overlap([16] * 4, 4)] == pytest.approx(chances, rel=1e-11)


def test_one_poison_tenant_takes_one_and_a_half_others_with_it() -> None:
    assert float(99_999 * zoned_overlap([16] * 4, 4)[4]) == pytest.approx(1.5, abs=0.03)


@given(st.integers(1, 40), st.data())
def test_chances_add_up_to_one(cells: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, cells))
    assert sum(overlap(cells, size)) == 1
    assert overlap(cells, size) == zoned_overlap([cells], size)


@given(st.integers(1, 5), st.integers(1, 8), st.data())
def test_zoned_chances_add_up_to_one(zones: int, cells: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, zones * cells))
    chances = zoned_overlap([cells] * zones, size)
    assert len(chances) == size + 1
    assert sum(chances) == 1
    mean = sum(j * p for j, p in enumerate(chances))
    assert mean == Fraction(size * size, zones * cells)


@pytest.mark.parametrize(("zones", "size"), [([3, 3, 3], 4), ([2, 2], 3), ([3, 2, 4], 3), ([3, 4], 4)])
def test_agrees_with_counting_every_hand(zones: list[int], size: int) -> None:
    rounds, partial = divmod(size, len(zones))
    every = []
    for chosen in combinations(range(len(zones)), partial):
        inside = [
            [{(zone, c) for c in cells} for cells in combinations(range(count), rounds + (zone in chosen))]
            for zone, count in enumerate(zones)
        ]
        every += [set().union(*parts) for parts in product(*inside)]
    assert len(every) == zoned_hands(zones, size)
    shared = [len(one & other) for one in every for other in every]
    expected = tuple(Fraction(shared.count(j), len(shared)) for j in range(size + 1))
    assert expected == zoned_overlap(zones, size)


@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_a_hand_held_is_shared_as_two_hands_are(zones: int, cells: int, data: st.DataObject) -> None:
    """Over even zones, whichever hand is held makes no difference."""
    size = data.draw(st.integers(0, zones * cells))
    rounds, partial = divmod(size, zones)
    held = [rounds + (zone < partial) for zone in range(zones)]
    assert shared_with(held, [cells] * zones, size) == zoned_overlap([cells] * zones, size)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
def test_a_hand_shares_as_much_as_it_can(zones: list[int], data: st.DataObject) -> None:
    size = data.draw(st.integers(0, sum(zones)))
    held = [data.draw(st.integers(0, cells)) for cells in zones]
    chances = shared_with(held, zones, size)
    assert sum(chances) == 1
    assert len(chances) == min(sum(held), size) + 1
    assert shared_with(zones, zones, size) == (*[Fraction(0)] * size, Fraction(1))


def walked(zones: Sequence[int], size: int) -> Iterator[tuple[tuple[int, ...], Fraction]]:
    """How many cells a hand of `size` takes of each zone, with the chance of that."""
    rounds = overlaps._full_rounds(zones, size)
    full = tuple(min(cells, rounds) for cells in zones)
    # How many scores of each zone are passed, until as many zones as the last round reaches have passed
    # more than `rounds`: the states of a walk, each with its chance.
    walk: dict[tuple[int, ...], Fraction] = {(0,) * len(zones): Fraction(1)}
    for _ in range(size - sum(full)):
        walk = _reach_next(walk, zones, rounds)
    deals: defaultdict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    for passed, chance in walk.items():
        deals[tuple(f + (p > rounds) for f, p in zip(full, passed, strict=True))] += chance
    yield from deals.items()


def _reach_next(
    walk: dict[tuple[int, ...], Fraction], zones: Sequence[int], rounds: int
) -> dict[tuple[int, ...], Fraction]:
    """Walk on until one more zone has passed more than `rounds` scores."""
    reached: defaultdict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    while walk:
        going: defaultdict[tuple[int, ...], Fraction] = defaultdict(Fraction)
        for passed, chance in walk.items():
            # Zones that are too small for the round or have been reached have no say any more.
            left = [
                cells - count if cells > rounds and count <= rounds else 0
                for cells, count in zip(zones, passed, strict=True)
            ]
            for zone, weight in enumerate(left):
                if weight:
                    state = (*passed[:zone], passed[zone] + 1, *passed[zone + 1 :])
                    into = reached if state[zone] > rounds else going
                    into[state] += chance * Fraction(weight, sum(left))
        walk = going
    return reached


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
def test_chances_are_those_of_a_walk_through_all_scores(zones: list[int], data: st.DataObject) -> None:
    size = data.draw(st.integers(0, sum(zones)))
    held = [data.draw(st.integers(0, most)) for most in zones]
    total = [Fraction(0)] * (min(sum(held), size) + 1)
    for taken, chance in walked(zones, size):
        parts = [overlaps._hypergeometric(*zone) for zone in zip(zones, held, taken, strict=True)]
        for j, p in enumerate(overlaps._convolved(parts)):
            total[j] += chance * p
    assert shared_with(held, zones, size) == tuple(total)


def test_a_large_share_of_a_large_fleet_takes_no_walk() -> None:
    """Hands of 53 of 250 cells end inside a round, whose walk has too many states to be taken."""
    for zones in ([50] * 5, [50, 49, 51, 50, 48]):
        assert sum(shared_with([20] * 5, zones, 53)) == 1
    chances = shared_with([20] * 5, [50] * 5, 53)
    assert sum(j * p for j, p in enumerate(chances)) == Fraction(100 * 53, 250)


def test_the_last_round_reaches_larger_zones_more_often() -> None:
    """One cell of two zones: the best of all is in a zone of 3 of 4 cells with a chance of 3/4."""
    assert shared_with([3, 0], [3, 1], 1) == (Fraction(1, 4), Fraction(3, 4))
    # Two rounds for the first zone alone, since the other one has no second cell.
    assert shared_with([2, 0], [3, 1], 3) == (Fraction(0), Fraction(2, 3), Fraction(1, 3))


@pytest.mark.parametrize("size", [1, 2, 4, 5])
def test_hands_dealt_over_uneven_zones_share_as_computed(size: int) -> None:
    zones = (5, 3, 2)
    seats = tuple(Seat(f"{zone}-{n}", f"{zone}") for zone, count in enumerate(zones) for n in range(count))
    dealer = Dealer(Generation(1, 7, size, seats))
    held = {"0-0", "0-1", "1-0"}
    counts = np.zeros(min(3, size) + 1)
    for tenant in TENANTS:
        counts[len(held.intersection(dealer.hand(tenant)))] += 1
    chances = np.array([float(p) for p in shared_with([2, 1, 0], zones, size)])
    sigma = np.sqrt(len(TENANTS) * chances * (1 - chances))
    assert (np.abs(counts - len(TENANTS) * chances) < 5 * sigma + 1).all()


@pytest.mark.parametrize(
    ("held", "zones", "size"), [([1], [2], 3), ([1], [2], -1), ([3], [2], 1), ([1, 1], [4], 1)]
)
def test_no_figure_for_what_cannot_be_held_or_dealt(held: list[int], zones: list[int], size: int) -> None:
    with pytest.raises(ValueError, match="zone"):
        shared_with(held, zones, size)


@pytest.mark.parametrize(("zones", "size"), [([], 1), ([4, 4], -1), ([2, 4], 6), ([2, 4], 3), ([1, 1], 3)])
def test_no_figure_where_there_is_no_closed_form(zones: list[int], size: int) -> None:
    with pytest.raises(ValueError, match="zone"):
        zoned_overlap(zones, size)


def test_no_figure_for_a_hand_that_the_cells_cannot_fill() -> None:
    with pytest.raises(ValueError, match="no hand of 5 out of 4 cells"):
        overlap(4, 5)
