from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.generations import TENANTS, even

from sharding.dealer import Dealer
from sharding.overlap import hands, overlap, zoned_hands, zoned_overlap


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
    assert shards == hands(cells, size)
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


@pytest.mark.parametrize("size", [4, 6, 8])
def test_dealt_hands_overlap_as_computed(size: int) -> None:
    generation = even(hand_size=size)
    dealer = Dealer(generation)
    column = {seat.cell: i for i, seat in enumerate(generation.seats)}
    held = np.zeros((len(TENANTS), len(column)), np.int8)
    for row, tenant in enumerate(TENANTS):
        held[row, [column[cell] for cell in dealer.hand(tenant)]] = 1
    # What a hand shares with others does not depend on which hand it is, so even pairs that have a
    # tenant in common count as independent of each other.
    shifts = 40
    counts = np.zeros(size + 1)
    for shift in range(1, shifts + 1):
        shared = np.einsum("ij,ij->i", held, np.roll(held, shift, axis=0))
        counts += np.bincount(shared, minlength=size + 1)
    pairs = shifts * len(TENANTS)
    chances = np.array([float(p) for p in zoned_overlap([16] * 4, size)])
    sigma = np.sqrt(pairs * chances * (1 - chances))
    assert (np.abs(counts - pairs * chances) < 5 * sigma + 1).all()


@pytest.mark.parametrize(("zones", "size"), [([], 1), ([4, 4], -1), ([2, 4], 6), ([2, 4], 3), ([1, 1], 3)])
def test_no_figure_where_there_is_no_closed_form(zones: list[int], size: int) -> None:
    with pytest.raises(ValueError, match="zone"):
        zoned_overlap(zones, size)
    with pytest.raises(ValueError, match="zone"):
        zoned_hands(zones, size)


def test_no_figure_for_a_hand_that_the_cells_cannot_fill() -> None:
    with pytest.raises(ValueError, match="no hand of 5 out of 4 cells"):
        overlap(4, 5)
