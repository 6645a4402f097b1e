"""What managers are told: what changed since they took a report; and a manager makes the same of it."""

import asyncio
from random import Random

import pytest
from support.steps import finished
from support.tallies_twin import routes_of, unit_of

from protos.versions.v1 import versions_pb2 as pb
from router.rates import Known, Rates
from version_manager.rates import Rates as ManagersRates


class World:
    """A router's rates, a manager's, and routes; on a clock that is set by hand."""

    def __init__(self, top: int = 10) -> None:
        self.now, self.top, self.lives = 50.0, top, 0
        self.routes = routes_of(["acme", "globex"])
        self.manager = ManagersRates(lambda: self.now)
        self.start()

    def start(self) -> None:
        self.lives += 1
        self.known: Known = {}
        self.rates = Rates(
            self.top, slow_seconds=1.0, clock=lambda: self.now, rng=Random(1), incarnation=self.lives
        )

    def answer(self, tenant: str, name: str = "m1", times: int = 1, seconds: float = 0.01) -> None:
        for _ in range(times):
            self.rates.tallies.ended(tenant, [unit_of(self.routes, tenant, name)], seconds)

    async def told(self) -> list[tuple[str, str, int, int]]:
        """Whose counts are in the message of now, which is taken."""
        message = pb.Rates()
        self.known = await self.rates.tell(message, self.known)
        if not finished(self.manager.take("r", message)):
            self.known = {}
        return [(one.tenant, one.model, one.version, one.counts.requests) for one in message.keys]

    def totals(self, *, models: bool = False) -> dict[str, int]:
        rows = self.manager.get(pb.GetRatesRequest(models=models)).rows
        return {f"{row.tenant}{row.model}{row.version or ''}": row.total.counts.requests for row in rows}


@pytest.fixture
def world() -> World:
    return World()


async def test_a_message_has_what_changed(world: World) -> None:
    world.answer("acme", times=2)
    world.answer("globex", "m0")
    everything = [("acme", "", 0, 2), ("globex", "", 0, 1), ("acme", "m1", 1, 2), ("globex", "m0", 1, 1)]
    assert await world.told() == everything
    # The manager had just started, and asked for all.
    assert await world.told() == everything
    assert await world.told() == []
    world.answer("acme", times=3)
    assert await world.told() == [("acme", "", 0, 5), ("acme", "m1", 1, 5)]
    assert world.totals() == {"acme": 5, "globex": 1}
    assert world.totals(models=True) == {"acmem11": 5, "globexm01": 1}


async def test_what_was_not_taken_is_told_again(world: World) -> None:
    await world.told()
    world.answer("acme")
    message = pb.Rates()
    await world.rates.tell(message, world.known)
    assert len(message.keys) == 2
    assert await world.told() == [("acme", "", 0, 1), ("acme", "m1", 1, 1)]


async def test_a_message_says_since_when_and_how_it_came(world: World) -> None:
    world.now += 5
    world.answer("acme", seconds=2.0)
    world.rates.tallies.refused("acme", 5, 0.001)
    world.now += 2
    message = pb.Rates()
    await world.rates.tell(message, {})
    assert (message.incarnation, message.age, message.total.requests) == (1, 7.0, 2)
    acme = message.keys[0]
    assert (acme.admission, acme.age, acme.counts.slow, acme.counts.refused) == (1, 2.0, 1, 1)
    assert sum(acme.counts.buckets) == 2


async def test_a_restart_counts_once_and_a_new_manager_hears_all(world: World) -> None:
    for _ in range(20):
        world.answer("acme")
        await world.told()
        world.now += 1
    world.start()
    world.answer("acme", times=3)
    await world.told()
    assert world.totals() == {"acme": 23}
    world.manager = ManagersRates(lambda: world.now)
    world.now += 60
    world.answer("acme")
    assert len(await world.told()) == 2
    # What it was told first was counted before it listened; from there on all is new.
    world.answer("acme")
    assert len(await world.told()) == 2
    assert world.totals() == {"acme": 1}


async def test_the_loop_turns_while_a_long_message_is_made() -> None:
    world, turns = World(top=1000), 0
    for at in range(500):
        world.rates.tallies.refused(f"tenant-{at}", 3, 0.01)

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    message = pb.Rates()
    known = await world.rates.tell(message, {})
    turning.cancel()
    assert (len(message.keys), len(known)) == (500, 500)
    assert turns >= 100


async def test_a_row_that_is_taken_over_meanwhile_is_told_under_one_name(world: World) -> None:
    world.answer("acme", times=9)
    await world.told()
    tenants = world.rates.tallies.tenants
    tenants.admit("globex", 0)
    world.answer("globex", times=2)
    assert ("globex", "", 0, 2) in await world.told()
    tenants.admit("acme", 0)
    world.answer("acme")
    assert ("acme", "", 0, 1) in await world.told()
    assert world.totals() == {"acme": 10, "globex": 2}


async def test_those_who_ask_for_most_are_kept_until_it_is_cancelled(world: World) -> None:
    settled = 0

    async def sleep(seconds: float) -> None:
        nonlocal settled
        settled += 1
        if settled == 3:
            raise asyncio.CancelledError

    for at in range(10):
        world.rates.tallies.refused(f"small-{at}", 3, 0.01)
    world.answer("acme", times=200)
    with pytest.raises(asyncio.CancelledError):
        await world.rates.run(sleep)
    assert "acme" in world.rates.tallies.tenants.names
