"""The native deal is the plain one, cell for cell, whatever the map; what would not be safe is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.generations import EVERYBODY, TENANTS, even, maps, names

from sharding.dealer import Dealer
from sharding.generation import Generation, Override, Seat
from sharding.hashing import key64
from sharding.pool import Pool, name_keys

# Weights that differ by next to nothing, and as much as doubles may: quotients by them overflow and vanish.
strange = st.one_of(
    st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    st.sampled_from([1.0, 1.0 + 2**-52, 5e-324]),
)


def assert_as_explained(generation: Generation, tenants: tuple[str, ...]) -> None:
    dealer = Dealer(generation)
    for tenant in tenants:
        assert dealer.hand(tenant) == dealer.explain(tenant).hand


@given(maps(), names)
def test_hands_are_as_explained(generation: Generation, tenant: str) -> None:
    assert_as_explained(generation, (*EVERYBODY, tenant))


@given(st.lists(st.tuples(st.integers(0, 3), strange), min_size=1, max_size=30), st.integers(1, 31))
@example([(0, 5e-324)] * 20, 3)
@example([(0, 1.7e308)] * 20, 3)
def test_any_weights(seats: list[tuple[int, float]], size: int) -> None:
    """Scores that overflow or vanish are ties, and go to the lower name."""
    made = tuple(Seat(f"c{i:02}", f"z{zone}", weight) for i, (zone, weight) in enumerate(seats))
    assert_as_explained(Generation(1, 7, size, made), TENANTS[:20])


@pytest.mark.parametrize("zones", [1, 5, 64])
@pytest.mark.parametrize("size", [1, 4, 13, 63, 64, 99])
def test_all_sizes_and_zones(zones: int, size: int) -> None:
    assert_as_explained(even(64, zones, size), TENANTS[:50])


@pytest.mark.parametrize("size", [2, 4, 7, 11])
def test_a_zone_that_is_excluded_leaves_its_turns_to_the_others(size: int) -> None:
    """More rounds are needed then than where nothing is."""
    cells = [f"cell-{number:03}" for number in range(0, 12, 2)]
    for count in range(7):
        rules = {name: Override(excludes=tuple(cells[:count]), hand_size=size) for name in TENANTS[:10]}
        generation = replace(even(12, 2), overrides=rules)
        assert_as_explained(generation, TENANTS[:10])
        assert len(Dealer(generation).hand(TENANTS[0])) == min(size, 12 - count)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=6), st.integers(0, 2**64 - 1))
@example(["x" * 1_000, "", "Zürich"], 7)
def test_keys_are_those_of_names(tenants: list[str], seed: int) -> None:
    keys = np.zeros(len(tenants), np.uint64)
    name_keys(tenants, seed, keys)
    assert [key.tobytes() for key in keys] == [key64("tenant", name, seed=seed) for name in tenants]


def pool(cells: int = 3) -> Pool:
    named = tuple(f"c{i}" for i in range(cells))
    return Pool(named, [[(bytes([i] * 8), 1.0, i) for i in range(cells)]])


def test_what_is_dealt_by_many_keys_is_what_is_dealt_by_each() -> None:
    keys = np.zeros(100, np.uint64)
    name_keys(TENANTS[:100], 7, keys)
    for size in (0, 1, 3):
        out = np.full(1_000, -1, np.int32)
        at = np.arange(100, dtype=np.int64) * 10
        pool().deal_all(keys, size, at, np.arange(7, 10, dtype=np.int32), out)
        for place, key in zip(at, keys, strict=True):
            found = tuple(f"c{cell - 7}" for cell in out[place : place + size])
            assert found == pool().deal(key.tobytes(), size)
            assert (out[place + size : place + 10] == -1).all()


def test_an_empty_pool_deals_nothing() -> None:
    empty = Pool((), [])
    assert empty.deal(bytes(8), 4) == ()
    assert pool().deal(bytes(8), -1) == ()
    assert pool().deal(bytes(8), 9, (0, 1, 2)) == ()


@pytest.mark.parametrize(
    ("size", "at", "room"),
    [(4, [0], 9), (-1, [0], 9), (2, [0, 2], 9), (2, [8], 9), (2, [-1], 9), (2, [2**62], 9), (1, [0], 0)],
)
def test_what_does_not_fit_is_not_written(size: int, at: list[int], room: int) -> None:
    out = np.full(room, -1, np.int32)
    with pytest.raises(ValueError):  # noqa: PT011 - two kinds of it
        pool().deal_all(
            np.zeros(1, np.uint64), size, np.array(at, np.int64), np.arange(3, dtype=np.int32), out
        )
    assert (out == -1).all()


def test_what_is_no_pool_or_no_key() -> None:
    for key, cell in ((b"short", 0), (bytes(8), 1), (bytes(8), -1)):
        with pytest.raises(ValueError, match="8 bytes"):
            Pool(("a",), [[(key, 1.0, cell)]])
    with pytest.raises(ValueError, match="8 bytes"):
        pool().deal(b"short", 1)
    for index in (-1, 3):
        with pytest.raises(ValueError, match="no such cell"):
            pool().deal(bytes(8), 1, (index,))
    with pytest.raises(ValueError, match="as many"):
        name_keys(["a", "b"], 7, np.zeros(1, np.uint64))
    with pytest.raises(UnicodeEncodeError):
        name_keys(["\ud800"], 7, np.zeros(1, np.uint64))
