"""Token buckets that are one moment each, on a clock that is an argument."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import buckets
from router.buckets import BYTES, COLD_LOADS, EVERYBODY, IN_FLIGHT, RATE, ROWS, Account, Bucket, Buckets
from version_manager.model.limits import LEAST, MOST, NO_LIMITS, Limits, TenantLimits

rates = st.one_of(st.floats(LEAST, 1e6), st.sampled_from([1.0, 100.0, MOST]))


class Refused(Exception):
    def __init__(self, account: Account, kind: str, wait: float | None) -> None:
        super().__init__(account.tenant, kind, wait)
        self.tenant, self.kind, self.wait = account.tenant, kind, wait


def made(
    limits: Limits | None = None,
    *,
    limit: int = 1000,
    per_tenant: int = 1000,
    began: float = -1e6,
    room: int = 4,
    most: int = 8,
    share: float | Callable[[str], float] = 1.0,
) -> Buckets:
    """Buckets of tenants who all have `limits`, in a router that began long ago."""
    found = Buckets(limit, per_tenant, Refused, began=began, room=room, most=most)
    if limits is not None:
        found.follow(TenantLimits(limits), share if callable(share) else lambda tenant: share)
    return found


def asked(found: Buckets, count: int, now: float, tenant: str = "acme", size: int = 0) -> int:
    """How many of so many requests, one after the other, are let in."""
    let_in = 0
    for _ in range(count):
        try:
            found.leave(found.enter(tenant, size, now))
        except Refused:
            continue
        let_in += 1
    return let_in


def refusal(found: Buckets, now: float, tenant: str = "acme", size: int = 0) -> tuple[str, float | None]:
    with pytest.raises(Refused) as caught:
        found.enter(tenant, size, now)
    return caught.value.kind, caught.value.wait


# A bucket


@pytest.mark.parametrize(
    ("rate", "at_once"), [(100.0, 100), (1.0, 1), (0.25, 1), (2.5, 2), (10_000.0, 10_000)]
)
def test_it_holds_what_a_second_lets_through_and_one_at_least(rate: float, at_once: int) -> None:
    bucket = Bucket(rate, -1e6)
    now, taken = 123_456.789, 0
    while bucket.wait(now) <= 0:
        bucket.take(1.0, now)
        taken += 1
    assert taken == at_once
    assert bucket.wait(now + 1.001 * bucket.wait(now)) <= 0


def test_what_is_larger_than_it_passes_and_is_paid_for_afterwards() -> None:
    bucket = Bucket(10.0, -1e6)
    assert bucket.wait(0.0) <= 0
    bucket.take(1024.0, 0.0)
    assert bucket.wait(0.0) == pytest.approx(101.5, abs=0.01)
    assert bucket.fill(0.0) == pytest.approx(-101.4)
    assert bucket.wait(101.6) <= 0


def test_one_of_a_router_that_has_just_started_has_one_unit_in_it() -> None:
    bucket = Bucket(100.0, began=50.0)
    assert bucket.wait(50.0) <= 0
    bucket.take(1.0, 50.0)
    assert bucket.wait(50.0) == pytest.approx(0.01, rel=0.01)
    assert bucket.fill(50.5) == pytest.approx(0.5)


@given(rates, st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(0, 2000)), max_size=40))
def test_it_lets_through_what_a_count_of_tokens_would(rate: float, steps: list[tuple[float, int]]) -> None:
    bucket = Bucket(rate, -1e7)
    depth = max(Fraction(rate), Fraction(1))
    tokens, before, now = depth, Fraction(0), 0.0
    for pause, cost in steps:
        now += pause
        tokens = min(depth, tokens + (Fraction(now) - before) * Fraction(rate))
        before = Fraction(now)
        if abs(tokens - 1) < Fraction(1, 100):
            # Within rounding: either is right.
            continue
        assert (bucket.wait(now) <= 0) == (tokens >= 1)
        if tokens >= 1:
            bucket.take(cost, now)
            tokens -= cost


@given(rates, rates, st.floats(0.0, 1e4))
def test_a_changed_limit_keeps_the_fill_in_proportion_and_a_debt_as_it_is(
    rate: float, new: float, cost: float
) -> None:
    bucket = Bucket(rate, -1e12)
    bucket.take(cost, 0.0)
    before = bucket.fill(0.0)
    bucket.change(new, 0.0)
    if before >= 0:
        assert bucket.fill(0.0) == pytest.approx(before, abs=1e-6)
    else:
        held = max(1.0, rate), max(1.0, new)
        left = bucket.fill(0.0) * held[1]
        assert left == pytest.approx(before * held[0], rel=1e-6, abs=1e-9 * held[1])


# Of tenants


def test_each_limit_refuses_says_which_it_is_and_when_there_is_room() -> None:
    assert asked(made(Limits(rate=5.0)), 10, 0.0) == 5
    found = made(Limits(rate=5.0))
    asked(found, 5, 0.0)
    kind, wait = refusal(found, 0.0)
    assert (kind, wait) == (RATE, pytest.approx(0.2, rel=0.01))
    found = made(Limits(bytes=1000.0))
    assert asked(found, 10, 0.0, size=300) == 4
    kind, wait = refusal(found, 0.0, size=1)
    assert (kind, wait) == (BYTES, pytest.approx(0.2, rel=0.01))
    found = made(Limits(rows=10.0))
    account = found.enter("acme", 0, 0.0)
    account.charge(1, 1024, 0.0)
    found.leave(account)
    kind, wait = refusal(found, 0.0)
    assert (kind, wait) == (ROWS, pytest.approx(101.5, abs=0.01))
    assert asked(found, 1, 101.6) == 1


def test_of_several_limits_the_one_with_the_longest_wait_is_named() -> None:
    found = made(Limits(rate=1.0, bytes=10.0))
    asked(found, 1, 0.0, size=1000)
    assert refusal(found, 0.0)[0] == BYTES


def test_a_share_of_a_limit_is_kept_and_of_few_in_flight_one_at_least() -> None:
    found = made(Limits(rate=100.0, in_flight=4.0), share=0.25)
    account = found.enter("acme", 0, 0.0)
    assert account.most == 1
    assert refusal(found, 0.0) == (IN_FLIGHT, None)
    found.leave(account)
    assert asked(found, 100, 0.0) == 24
    assert made(Limits(in_flight=2.0), share=0.1).enter("acme", 0, 0.0).most == 1


def test_the_process_keeps_its_own_bound_of_requests_in_flight() -> None:
    found = made(Limits(in_flight=2.0**53), per_tenant=2, limit=3)
    accounts = [found.enter("acme", 0, 0.0) for _ in range(2)]
    assert refusal(found, 0.0) == (IN_FLIGHT, None)
    found.enter("globex", 0, 0.0)
    assert refusal(found, 0.0, "other") == (EVERYBODY, None)
    assert "other" not in {account.tenant for account in found.at_most()}
    found.leave(accounts[0])
    assert asked(found, 1, 0.0, "other") == 1


def test_what_is_refused_is_not_charged() -> None:
    found = made(Limits(rate=10.0, bytes=100.0), limit=1)
    held = found.enter("globex", 0, 0.0)
    account = found.accounts.get("acme")
    assert account is None
    for _ in range(50):
        assert refusal(found, 0.0, size=10**9) == (EVERYBODY, None)
    found.leave(held)
    assert asked(found, 20, 0.0) == 10
    for _ in range(50):
        refusal(found, 0.0, size=10**9)
    assert asked(found, 20, 1.0) == 10


def test_items_of_a_batch_count_each_and_rows_where_they_are_limited() -> None:
    found = made(Limits(rate=10.0))
    account = found.enter("acme", 0, 0.0)
    account.charge(30, 30, 0.0)
    found.leave(account)
    assert refusal(found, 2.0)[0] == RATE
    assert asked(found, 100, 2.2) == 2


def test_cold_loads_refuse_nothing_by_themselves() -> None:
    found = made(Limits(cold_loads=1.0))
    account = found.enter("acme", 0, 0.0)
    assert account.cold is not None
    account.cold.take(50.0, 0.0)
    assert asked(found, 10, 0.0) == 10
    assert dict(account.buckets())[COLD_LOADS].wait(0.0) > 40


def test_limits_and_shares_that_change_hold_at_once() -> None:
    found = made(Limits(rate=100.0))
    asked(found, 50, 0.0)
    found.follow(TenantLimits(Limits(rate=10.0)), lambda tenant: 1.0)
    assert asked(found, 100, 0.0) == 5
    found.follow(TenantLimits(Limits(rate=10.0)), lambda tenant: 0.1)
    assert asked(found, 100, 1.0) == 1
    found.follow(None, None)
    assert asked(found, 1000, 1.0) == 1000
    found.follow(TenantLimits(Limits(rate=3.0)), None)
    assert asked(found, 100, 1.0) == 3


@pytest.mark.parametrize("share", [float("nan"), 0.0, -1.0, 7.0, float("inf")])
def test_a_share_that_is_none_neither_stops_a_tenant_nor_gives_it_more(share: float) -> None:
    found = made(Limits(rate=10.0), share=share)
    assert 1 <= asked(found, 100, 0.0) <= 10


def test_two_lives_of_a_router_let_nothing_through_twice() -> None:
    let_in = asked(made(Limits(rate=100.0)), 1000, 0.0)
    for life in range(1, 11):
        found = made(Limits(rate=100.0), began=life / 10)
        let_in += sum(asked(found, 1000, life / 10 + part / 100) for part in range(10))
    # A second's worth at first, and a second's worth in the second of ten lives, with one for each.
    assert let_in == pytest.approx(200, abs=11)


# The bound


def test_nothing_is_kept_of_tenants_without_limits() -> None:
    found = made()
    for number in range(1000):
        asked(found, 1, 0.0, f"tenant-{number}")
    assert found.accounts == {}
    found = made(per_tenant=0)
    for number in range(1000):
        refusal(found, 0.0, f"tenant-{number}")
    assert found.accounts == {}


def test_nothing_is_kept_of_tenants_without_limits_where_others_have_some() -> None:
    found = Buckets(100, 100, Refused, began=-1e6)
    found.follow(TenantLimits(tenants={"acme": Limits(rate=10.0)}), None)
    for number in range(1000):
        asked(found, 1, 0.0, f"tenant-{number}")
    assert asked(found, 20, 0.0) == 10
    assert list(found.accounts) == ["acme"]
    # Who is given limits while it has a request in flight is counted on.
    held = found.enter("globex", 0, 0.0)
    found.follow(TenantLimits(tenants={"globex": Limits(in_flight=2.0)}), None)
    found.enter("globex", 0, 0.0)
    assert refusal(found, 0.0, "globex") == (IN_FLIGHT, None)
    found.leave(held)
    assert asked(found, 1, 0.0, "globex") == 1


def test_of_those_with_limits_who_is_full_again_is_forgotten() -> None:
    found = made(Limits(rate=100.0))
    for number in range(1000):
        asked(found, 1, float(number), f"tenant-{number}")
        assert len(found.accounts) <= 6
    # Who is in debt is not, but for the bound.
    found = made(Limits(rate=0.5))
    for number in range(6):
        asked(found, 1, 0.0, f"tenant-{number}")
    for number in range(1000):
        asked(found, 1, 0.1, f"other-{number}")
        assert len(found.accounts) <= 9


def test_who_has_a_request_in_flight_is_never_forgotten() -> None:
    found = made(Limits(rate=1e6), room=1, most=2)
    held = [found.enter(f"held-{number}", 0, 0.0) for number in range(20)]
    for number in range(200):
        asked(found, 1, 100.0, f"tenant-{number}")
    for account in held:
        assert found.accounts[account.tenant] is account
        found.leave(account)
    assert found.in_flight == 0


def test_who_lost_its_limits_is_forgotten_with_its_last_request() -> None:
    found = made(Limits(rate=10.0))
    held = found.enter("acme", 0, 0.0)
    found.follow(None, None)
    found.leave(found.enter("acme", 0, 0.0))
    assert "acme" in found.accounts
    found.leave(held)
    assert found.accounts == {}


def test_a_clock_that_jumps_ends_nothing() -> None:
    found = made(Limits(rate=10.0, bytes=1e6))
    assert asked(found, 100, 1e9) == 10
    # Back: it is as if a second had not passed yet; forward: as if nobody had asked.
    assert asked(found, 100, 1e9 - 1) == 0
    assert asked(found, 100, 1e9 + 1) == 10


# Compiled and not


def _plain() -> Any:
    """The same source, as Python runs it."""
    loader = importlib.machinery.SourceFileLoader("plain_buckets", str(_source()))
    spec = importlib.util.spec_from_loader("plain_buckets", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def _source() -> str:
    return buckets.__file__.rpartition("/")[0] + "/buckets.py"


def _played(module: Any, seed: int) -> list[Any]:
    """What comes of a random course of requests, ends and changes."""
    random, told, now = Random(seed), [], 0.0
    names = [f"tenant-{number}" for number in range(12)]
    found = module.Buckets(20, 5, Refused, began=0.0, room=4, most=8)
    held: list[Any] = []

    def limits() -> Limits:
        def some(most: float) -> float | None:
            return random.choice([None, LEAST, random.uniform(LEAST, most)])

        return Limits(some(20.0), random.choice([None, 1.0, 3.0, 1e9]), some(2.0), some(50.0), some(5000.0))

    for _ in range(400):
        now += random.choice([0.0, random.expovariate(10.0), random.expovariate(0.5)])
        what = random.random()
        if what < 0.02:
            own = {name: limits() for name in names if random.random() < 0.7}
            told_limits = TenantLimits(random.choice([NO_LIMITS, limits().over(NO_LIMITS)]), own)
            shares = {name: random.choice([1.0, random.random(), float("nan")]) for name in names}
            found.follow(
                *random.choice([(None, None), (told_limits, None), (told_limits, shares.__getitem__)])
            )
        elif what < 0.4 and held:
            found.leave(held.pop(random.randrange(len(held))))
        else:
            try:
                account = found.enter(random.choice(names), random.randrange(3000), now)
            except Refused as refused:
                told.append((refused.tenant, refused.kind, refused.wait))
            else:
                told.append(account.charge(random.randrange(1, 9), random.randrange(40), now))
                if account.cold is not None:
                    account.cold.take(1.0, now)
                held.append(account)
        told += [
            [one.tenant, one.in_flight, one.most, one.share, one.is_limited, one.is_full(now)]
            for one in found.accounts.values()
        ]
        told += [
            [kind, bucket.step, bucket.full_at, bucket.fill(now)]
            for one in found.accounts.values()
            for kind, bucket in one.buckets()
        ]
    return told


@pytest.mark.parametrize("seed", range(20))
def test_compiled_it_does_what_python_does(seed: int) -> None:
    assert repr(_played(buckets, seed)) == repr(_played(_plain(), seed))
    assert not buckets.__file__.endswith(".py")


def test_what_is_given_back_was_never_taken() -> None:
    found = made(Limits(rate=10.0, bytes=1e3, rows=100.0), began=0.0)
    account = found.enter("acme", 300, 50.0)
    account.charge(5, 40, 50.0)
    account.give_back(5, 300, 40, 50.0)
    found.leave(account)
    assert [bucket.fill(50.0) for _, bucket in account.buckets()] == pytest.approx([1.0, 1.0, 1.0])
