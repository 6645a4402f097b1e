"""Pins for a few heavy tenants even the load out, and nothing else is touched."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.generations import EVERYBODY, TENANTS, dedicated, even, maps, overriding

from sharding.generation import Generation, Override, check_generation
from sharding.optimize import optimize
from sharding.plan import Population, plan


def zipf(count: int, alpha: float = 0.8) -> np.ndarray:
    return np.random.default_rng(3).permutation(np.arange(1, count + 1) ** -alpha)


def test_it_is_as_even_as_it_was_measured() -> None:
    """64 cells, hands of 4, 100,000 tenants of Zipf(0.8): chance alone makes 1.385 of it, 256 pins 1.093."""
    population = Population([f"t{n}" for n in range(100_000)], zipf(100_000))
    found = optimize(even(), population)
    assert found.balance_before == pytest.approx(1.385, abs=0.15)
    assert found.balance_after <= 1.093
    assert len(found.overrides) <= 256
    after = found.applied(even())
    planned = plan(even(), check_generation(after), population)
    assert planned.balance_after == found.balance_after
    assert planned.shortfalls == ()
    assert planned.tenants_moved == len(found.overrides)


def test_rules_are_kept() -> None:
    rates = np.zeros(len(TENANTS))
    rates[:6] = 1_000.0
    rules = {
        "tenant-0": Override(pins=("cell-000",)),
        "tenant-1": Override(isolation_group="banks"),
        "tenant-3": Override(hand_size=3, excludes=("cell-003", "cell-007")),
        "tenant-4": Override(excludes=tuple(f"cell-{n:03}" for n in range(63))),
    }
    generation = dedicated(replace(even(), overrides=rules), "tenant-2", "cell-010")
    found = optimize(generation, Population(TENANTS, rates), most=100)
    assert not {"tenant-0", "tenant-1", "tenant-2"} & found.overrides.keys()
    three = found.overrides.get("tenant-3", Override(pins=("a", "b", "c")))
    assert len(three.pins) == 3
    assert not {*three.pins} & {"cell-003", "cell-007", "cell-010"}
    check_generation(found.applied(generation))


def test_bounds() -> None:
    population = Population(TENANTS, zipf(len(TENANTS)))
    assert len(optimize(even(), population, most=5).overrides) <= 5
    assert optimize(even(), population, most=0).overrides == {}
    assert optimize(even(), population) == optimize(even(), population)
    with pytest.raises(ValueError, match="rates"):
        optimize(even(), Population(TENANTS))


def test_who_sits_well_is_not_pinned() -> None:
    generation = overriding(even(cells=4, hand_size=4), "x", Override())
    assert optimize(generation, Population(TENANTS[:100], np.ones(100))).overrides == {}


@settings(max_examples=50)
@given(maps(), st.integers(0, 2**32 - 1))
def test_no_map_comes_out_worse_or_wrong(generation: Generation, seed: int) -> None:
    rates = np.random.default_rng(seed).exponential(size=len(EVERYBODY)) ** 3
    population = Population(EVERYBODY, rates)
    found = optimize(generation, population)
    check_generation(found.applied(generation))
    assert found.balance_after <= found.balance_before
    again = plan(generation, found.applied(generation), population)
    assert again.balance_after == pytest.approx(found.balance_after)
