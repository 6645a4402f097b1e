"""A ramp takes tenants over one after the other, whoever they are and whatever else is hashed."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.generations import EVERYBODY, TENANTS, any_map, even, maps, names, without

from sharding.dealer import Dealer
from sharding.placement import cells_for
from sharding.ramp import WHOLE, point, which
from version_manager.model.release import split_point

BEFORE = Dealer(even())
AFTER = Dealer(without(even(), "cell-017"))


def points(number: int = 2) -> np.ndarray:
    generation = replace(AFTER.generation, number=number)
    return np.array([point(generation, tenant) for tenant in TENANTS])


@given(maps(), names, st.integers(0, WHOLE), st.integers(0, WHOLE))
def test_a_ramp_that_rises_gives_nobody_back(generation, tenant: str, one: int, other: int) -> None:
    low, high = sorted((one, other))
    previous, active = Dealer(generation), Dealer(replace(generation, number=2))
    if which(active, previous, low, tenant) is active:
        assert which(active, previous, high, tenant) is active


def test_a_ramp_takes_those_whose_points_lie_below_it() -> None:
    for tenant in TENANTS[:100]:
        at = point(AFTER.generation, tenant)
        assert which(AFTER, BEFORE, at, tenant) is BEFORE
        assert which(AFTER, BEFORE, at + 1, tenant) is AFTER


class Deployment:
    """Two generations and a ramp, as an operator moves them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.active, self.previous, self.ramp = Dealer(any_map(rng)), None, WHOLE

    def step(self) -> None:
        """The ramp rises or falls; at its end another generation follows, or what stood before it again."""
        if self.ramp < WHOLE:
            self.ramp = self.rng.choice((0, self.rng.randrange(WHOLE), WHOLE, WHOLE))
            return
        content = self.previous if self.previous and self.rng.random() < 0.3 else Dealer(any_map(self.rng))
        after = replace(content.generation, number=self.active.generation.number + 1)
        self.active, self.previous, self.ramp = Dealer(after), self.active, self.rng.choice((0, 500, WHOLE))

    def hand(self, tenant: str) -> set[str]:
        return {*which(self.active, self.previous, self.ramp, tenant).hand(tenant)}

    def cells(self, tenant: str) -> tuple[str, ...]:
        return cells_for(self.active, self.previous, tenant, "churn", self.ramp)


@given(st.integers(0, 2**32 - 1))
def test_nobody_is_served_outside_two_hands_whatever_the_edits(seed: int) -> None:
    """And whoever was served by a hand finds it in reach after the next edit."""
    deployment = Deployment(random.Random(seed))
    for _ in range(8):
        served = {tenant: deployment.hand(tenant) for tenant in EVERYBODY}
        deployment.step()
        for tenant in EVERYBODY:
            cells, hand = deployment.cells(tenant), deployment.hand(tenant)
            either = {*deployment.active.hand(tenant)}
            either |= {*deployment.previous.hand(tenant)} if deployment.previous else set()
            assert {*cells[: len(hand)]} == hand
            assert {*cells} == either
            assert served[tenant] <= {*cells}


@pytest.mark.parametrize("tenant", EVERYBODY)
def test_its_ends(tenant: str) -> None:
    assert which(AFTER, BEFORE, 0, tenant) is BEFORE
    assert which(AFTER, BEFORE, WHOLE, tenant) is AFTER
    assert which(AFTER, None, 0, tenant) is AFTER


@pytest.mark.parametrize("ramp", [1, 100, 1_000, 5_000, 9_999])
def test_its_share_is_what_it_says(ramp: int) -> None:
    taken = np.count_nonzero(points() < ramp)
    chance = ramp / WHOLE
    assert abs(taken - len(TENANTS) * chance) < 5 * (len(TENANTS) * chance * (1 - chance)) ** 0.5 + 1


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def test_who_comes_first_is_other_in_every_generation() -> None:
    assert abs(correlation(points(2), points(3))) < 5 / len(TENANTS) ** 0.5


def test_it_has_nothing_to_do_with_the_splits_of_releases() -> None:
    splits = np.array([split_point(tenant, "churn", "2") for tenant in TENANTS])
    assert abs(correlation(points(), splits)) < 5 / len(TENANTS) ** 0.5


def test_it_has_nothing_to_do_with_the_deal() -> None:
    """Of the tenants on each cell, the ramp takes as many as of all."""
    taken = points() < 2_500
    for cell in ("cell-000", "cell-033", "cell-063"):
        on = np.array([cell in BEFORE.hand(tenant) for tenant in TENANTS])
        count, seen = on.sum(), (on & taken).sum()
        assert abs(seen - count / 4) < 5 * (count * 3 / 16) ** 0.5
