"""How limits are divided: the parts add up, follow the traffic, and starve nobody who begins."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.steps import finished

from version_manager import shares as module
from version_manager.model.limits import NO_LIMITS, UNLIMITED, Limits, TenantLimits
from version_manager.shares import Shares

LIMIT = 100.0
LIMITS = TenantLimits(tenants={"acme": Limits(rate=LIMIT)})


class Fleet:
    """Routers that report once a second what they were asked for one tenant."""

    def __init__(self, routers: int, limits: TenantLimits = LIMITS, seed: int = 1) -> None:
        self.limits = limits
        self.shares = Shares(lambda: self.limits)
        self.names = [f"router-{number}" for number in range(routers)]
        self.rng = Random(seed)
        self.told: dict[str, float] = {}

    def report(self, name: str, requests: int, seconds: float = 1.0, tenant: str = "acme") -> None:
        finished(self.shares.asked(name, {tenant: requests} if requests else {}, seconds))
        told = dict(self.shares.of(name, len(self.names)))
        self.told[name] = told.get(tenant, 1 / len(self.names))

    def second(self, rates: Sequence[float], *, is_noisy: bool = False) -> None:
        for name, rate in zip(self.names, rates, strict=True):
            whole, part = divmod(rate, 1)
            count = int(whole) + (self.rng.random() < part)
            if is_noisy:
                count = sum(self.rng.random() < 0.5 for _ in range(2 * count))
            self.report(name, count)

    def seconds(self, count: int, rates: Sequence[float], *, is_noisy: bool = False) -> list[float]:
        for _ in range(count):
            self.second(rates, is_noisy=is_noisy)
        return [self.told[name] for name in self.names]


splits = st.lists(st.floats(0, 1), min_size=1, max_size=12).filter(lambda parts: sum(parts) > 0.1)


@settings(max_examples=25)
@given(splits, st.sampled_from([1.0, 2.0, 10.0]))
def test_of_a_tenant_at_its_limit_each_router_has_the_part_that_it_is_asked(
    parts: list[float], times: float
) -> None:
    whole = sum(parts)
    rates = [times * LIMIT * part / whole for part in parts]
    found = Fleet(len(parts)).seconds(40, rates)
    # Who is asked for less than one a second has an equal part until it is asked for one.
    told = [share for share, rate in zip(found, rates, strict=True) if rate > 1]
    if all(rate > 1 or not rate for rate in rates):
        assert sum(told) == pytest.approx(1, abs=0.05)
    for share, rate in zip(found, rates, strict=True):
        if rate > 1:
            assert share == pytest.approx(rate / sum(rates), abs=0.07)


def test_noise_is_small_and_the_sum_exact() -> None:
    fleet = Fleet(4)
    fleet.seconds(30, [100, 50, 30, 20], is_noisy=True)
    for _ in range(60):
        found = fleet.seconds(1, [100, 50, 30, 20], is_noisy=True)
        assert found == pytest.approx([0.5, 0.25, 0.15, 0.1], abs=0.06)
        assert sum(found) == pytest.approx(1, abs=0.05)


@settings(max_examples=25)
@given(splits, st.integers(0, 2**32), st.floats(0.5, 1_000))
def test_whatever_is_told_each_share_is_a_share_and_all_together_are_bounded(
    parts: list[float], seed: int, rate: float
) -> None:
    fleet = Fleet(len(parts), seed=seed)
    for _ in range(10):
        found = fleet.seconds(1, [rate * fleet.rng.random() * part for part in parts])
        assert all(0 < share <= 1 for share in found)


def test_a_router_that_restarts_has_its_part_again_within_a_few_reports() -> None:
    fleet = Fleet(4)
    before = fleet.seconds(40, [100, 50, 30, 20])
    # Gone, and the others get its requests.
    fleet.names.remove("router-0")
    fleet.shares.keep(fleet.names)
    during = fleet.seconds(8, [90, 60, 50])
    assert sum(during) == pytest.approx(1, abs=0.05)
    fleet.names.insert(0, "router-0-again")
    told = [fleet.seconds(1, [100, 50, 30, 20])[0] for _ in range(8)]
    # What others had of it meanwhile is in their means yet.
    assert told[0] > 0.3
    assert told[-1] == pytest.approx(before[0], abs=0.05)


def test_requests_that_move_to_a_router_find_room_where_a_tenant_is_far_below_its_limit() -> None:
    fleet = Fleet(4)
    first, *others = fleet.seconds(60, [LIMIT / 20, 0, 0, 0])
    # Its five requests a second have room wherever they come.
    assert min(first, *others) * LIMIT > LIMIT / 20
    # At the limit a router that is asked for nothing leaves the room to others, but for a little.
    fleet.seconds(1, [LIMIT, 1, 1, 1])
    first, *others = fleet.seconds(60, [LIMIT, 0, 0, 0])
    assert first > 0.9
    assert all(share == 0.25 or 0 < share < 0.05 for share in others)


def test_traffic_that_moves_is_followed_within_seconds() -> None:
    fleet = Fleet(2)
    fleet.seconds(60, [2 * LIMIT, 1])
    found = [fleet.seconds(1, [1, 2 * LIMIT])[1] for _ in range(20)]
    assert found == sorted(found)
    assert found[4] > 0.45
    assert found[-1] > 0.85


def test_only_who_has_limits_is_divided() -> None:
    fleet = Fleet(2)
    fleet.report("router-0", 50, tenant="globex")
    assert not list(fleet.shares.of("router-0", 2))
    fleet.limits = TenantLimits(Limits(rows=5), {"initech": Limits(rows=UNLIMITED)})
    finished(fleet.shares.asked("router-0", {"globex": 50, "initech": 50}, 1.0))
    finished(fleet.shares.asked("router-1", {"globex": 50}, 1.0))
    assert [name for name, _ in fleet.shares.of("router-0", 2)] == ["globex"]
    # And no longer once it has none.
    fleet.limits = TenantLimits(NO_LIMITS)
    for router in ("router-0", "router-1"):
        finished(fleet.shares.asked(router, {"globex": 50}, 1.0))
        assert not list(fleet.shares.of(router, 2))
    assert (fleet.shares._asked, fleet.shares._totals, fleet.shares._pairs) == ({}, {}, 0)


def test_routers_that_tell_nothing_keep_an_equal_part_of_everything() -> None:
    fleet = Fleet(3)
    for name in fleet.names:
        fleet.report(name, 100)
    (told,) = (share for _, share in fleet.shares.of("router-0", 4, quiet=1))
    assert told == pytest.approx(0.25, abs=0.01)


def test_a_tenant_that_asks_for_nothing_any_more_is_forgotten() -> None:
    fleet = Fleet(2)
    fleet.seconds(5, [100, 50])
    fleet.seconds(200, [0, 0])
    assert (fleet.shares._asked, fleet.shares._totals, fleet.shares._pairs) == ({}, {}, 0)


def test_memory_is_bounded_and_those_that_are_known_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    shares = Shares(lambda: TenantLimits(Limits(rate=5)))
    for router in ("a", "b"):
        finished(shares.asked(router, {"x": 5, "y": 5}, 1.0))
    assert shares._pairs == 3
    finished(shares.asked("a", {"x": 5, "y": 5}, 1.0))
    assert len(dict(shares.of("a", 2))) == 2
    shares.keep(["b"])
    assert shares._pairs == 1


def test_a_router_that_is_gone_before_its_report_was_taken_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_SLICE", 1)
    shares = Shares(lambda: TenantLimits(Limits(rate=5)))
    steps = shares.asked("a", {"x": 5, "y": 5, "z": 5}, 1.0)
    next(steps)
    shares.keep([])
    assert list(steps) == []
    assert (shares._asked, shares._totals, shares._pairs) == ({}, {}, 0)
