"""Counting natively is what counting plainly is, and who has no row is offered now and then."""

from math import inf, nan
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tallies_twin import PlainTallies, came_of, plain, routes_of, unit_of

from croupier.codes import Code
from croupier.errors import InvalidRequest, QuotaExceeded, Unavailable
from croupier.latencies import BOUNDS, BUCKETS, bucket_of
from router.tallies import Table, Tallies, bucket
from router.units import Unit

TENANTS = ["acme", "globex", "initech"]


def tallies(room: int = 100, *, slow_seconds: float = 1.0, seed: int = 1) -> Tallies:
    """Counts for nobody but whoever a test admits."""
    found = Tallies(*(Table(room, lambda: 0.0, seed=seed) for _ in range(2)), slow_seconds=slow_seconds)
    for table in (found.tenants, found.versions):
        table.offer = lambda name: None
    return found


def counts(table: Table, name: str) -> dict[str, int]:
    return plain(table.counts(table.names.index(name)))


@given(st.floats(0, 1e4))
def test_a_latency_has_the_bucket_that_it_has_everywhere(seconds: float) -> None:
    assert bucket(seconds) == bucket_of(seconds)


@pytest.mark.parametrize("seconds", [0.0, *BOUNDS, *(bound * (1 - 2**-53) for bound in BOUNDS), 1e300])
def test_so_has_one_at_a_bound(seconds: float) -> None:
    assert bucket(seconds) == bucket_of(seconds)


@pytest.mark.parametrize(("seconds", "expected"), [(-1.0, 0), (nan, 0), (-inf, 0), (inf, BUCKETS - 1)])
def test_what_is_no_latency_is_counted_somewhere(seconds: float, expected: int) -> None:
    assert bucket(seconds) == expected


@pytest.mark.parametrize("seed", range(10))
def test_whatever_ends_however_is_counted_as_plainly(seed: int) -> None:
    rng = Random(seed)
    found, twin = tallies(), PlainTallies(slow_seconds=1.0)
    routes = routes_of(TENANTS, random=rng.random)
    names = [*TENANTS, *(f"{tenant}/m{at}/{v}" for tenant in TENANTS for at, v in ((0, 1), (0, 2), (1, 1)))]
    for _ in range(500):
        if names and rng.random() < 0.05:
            name = names.pop(rng.randrange(len(names)))
            (found.versions if "/" in name else found.tenants).admit(name)
            twin.admit(name)
        tenant, seconds = rng.choice(TENANTS), rng.choice([1e-5, 0.002, 0.9999, 1.0, 50.0])
        if rng.random() < 0.1:
            code = rng.choice([code for code in Code if code])
            found.refused(tenant, code, seconds)
            twin.refused(tenant, code, seconds)
            continue
        units = [one_unit(rng, routes, tenant) for _ in range(rng.randrange(4))]
        found.ended(tenant, units, seconds)
        twin.ended(tenant, units, seconds)
    assert plain(found.all) == +twin.all
    for name, row in twin.rows.items():
        assert counts(found.versions if "/" in name else found.tenants, name) == +row


def one_unit(rng: Random, routes: object, tenant: str) -> Unit:
    outcome = rng.choice([b"yes", b"", None, InvalidRequest("?"), Unavailable("busy"), QuotaExceeded("much")])
    if rng.random() < 0.2:
        unit = Unit(b"?", ("a",), outcome)
    else:
        unit = unit_of(routes, tenant, rng.choice(["m0", "m1"]), outcome)  # type: ignore[arg-type]
    unit.tried, unit.is_cold, unit.code = rng.randrange(3), rng.random() < 0.3, rng.choice([0, 0, 3, 14])
    return unit


@pytest.mark.parametrize("code", [code for code in Code if code])
def test_each_code_is_somebodys_fault(code: Code) -> None:
    found = tallies()
    found.tenants.admit("acme")
    found.refused("acme", code, 0.01)
    row = counts(found.tenants, "acme")
    assert {name: row[name] for name in ("refused", "failed") if row[name]} == {came_of(code): 1}


@pytest.mark.parametrize("code", [-1, 17, 31, 32, 64, 2**31 - 1])
def test_a_code_that_is_none_is_a_failure(code: int) -> None:
    found = tallies()
    found.refused("acme", code, 0.01)
    assert plain(found.all)["failed"] == 1


def test_who_is_admitted_is_counted_from_the_next_request_on_whatever_the_route() -> None:
    found, routes = tallies(), routes_of(["acme"], models=4)
    for at in range(4):
        found.ended("acme", [unit_of(routes, "acme", f"m{at}")], 0.01)
    found.tenants.admit("acme")
    for at in range(4):
        found.ended("acme", [unit_of(routes, "acme", f"m{at}")], 0.01)
    assert counts(found.tenants, "acme")["requests"] == 4


def test_a_row_that_is_taken_over_counts_for_its_new_owner_from_nothing() -> None:
    found, routes = tallies(room=1), routes_of(TENANTS)
    found.tenants.admit("acme")
    found.ended("acme", [unit_of(routes, "acme")] * 3, 0.01)
    assert found.tenants.state(0) == (1, 3)
    found.tenants.admit("globex", 0)
    found.ended("acme", [unit_of(routes, "acme")], 0.01)
    found.ended("globex", [unit_of(routes, "globex")] * 2, 0.01)
    assert (found.tenants.names, found.tenants.state(0)) == (["globex"], (2, 2))
    found.tenants.admit("acme", 0)
    found.ended("acme", [unit_of(routes, "acme")], 0.01)
    assert found.tenants.state(0) == (3, 1)


def test_one_of_so_many_without_a_row_is_offered() -> None:
    found, routes = tallies(seed=5), routes_of(TENANTS)
    asked: list[str] = []
    found.tenants.offer = asked.append
    found.tenants.one_in = 10
    for tenant in ("acme", "globex"):
        for _ in range(10_000):
            found.ended(tenant, [unit_of(routes, tenant)], 0.01)
    assert {tenant: asked.count(tenant) for tenant in asked} == {
        tenant: pytest.approx(1000, rel=0.1) for tenant in ("acme", "globex")
    }


def test_what_comes_at_intervals_is_offered_as_often() -> None:
    found, routes = tallies(seed=6), routes_of(TENANTS)
    asked: list[str] = []
    found.tenants.offer = asked.append
    found.tenants.one_in = 3
    for _ in range(3000):
        for tenant in TENANTS:
            found.ended(tenant, [unit_of(routes, tenant)], 0.01)
    assert {tenant: asked.count(tenant) for tenant in TENANTS} == {
        tenant: pytest.approx(1000, rel=0.1) for tenant in TENANTS
    }


def test_who_is_admitted_when_offered_is_counted_with_that_request() -> None:
    found, routes = tallies(), routes_of(TENANTS)
    found.tenants.offer, found.versions.offer = found.tenants.admit, found.versions.admit
    found.ended("acme", [unit_of(routes, "acme", "m0"), unit_of(routes, "acme"), Unit(b"?", ())], 0.01)
    found.refused("globex", Code.NOT_FOUND, 0.01)
    assert counts(found.tenants, "acme")["requests"] == 3
    assert counts(found.versions, "acme/m0/1")["requests"] == 1
    assert counts(found.tenants, "globex")["refused"] == 1


def test_a_table_takes_no_more_than_it_has_room_for() -> None:
    table = Table(2, lambda: 7.0, seed=1)
    table.admit("a")
    table.admit("b")
    assert (len(table), table.since(1)) == (2, 7.0)
    with pytest.raises(ValueError, match="room"):
        table.admit("c")
    with pytest.raises(ValueError, match="already"):
        table.admit("a", 1)
    for place in (-1, 2):
        with pytest.raises(IndexError):
            table.counts(place)


def test_weights_are_of_this_period_and_the_one_before() -> None:
    found, routes = tallies(), routes_of(["acme"])
    found.tenants.admit("acme", young=5, old=8)

    def ask(times: int) -> int:
        found.ended("acme", [unit_of(routes, "acme")] * times, 0.01)
        (weight,) = found.tenants.weights()
        return weight

    assert ask(3) == 11
    found.tenants.turn()
    assert ask(4) == 12
    found.tenants.turn()
    assert ask(1) == 5
    found.tenants.turn()
    assert ask(0) == 1
