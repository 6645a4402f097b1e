"""A hundred thousand tenants through four routers to a manager: the busiest are right, memory is bounded."""

from random import Random

import numpy as np
from support.steps import finished

from croupier.codes import Code
from protos.versions.v1 import versions_pb2 as pb
from router.rates import Known, Rates
from version_manager.rate_table import WINDOWS
from version_manager.rates import Rates as ManagersRates

TENANTS = 100_000
ROUTERS, TOP = 4, 500
SECONDS, REQUESTS = 75, 2500


class Router:
    def __init__(self, number: int, clock: object) -> None:
        self.name = f"router-{number}"
        self.known: Known = {}
        self.rates = Rates(
            *(TOP,),
            slow_seconds=1.0,
            clock=clock,  # type: ignore[arg-type]
            rng=Random(number),
            incarnation=1,
        )

    async def tell(self, manager: ManagersRates) -> None:
        message = pb.Rates()
        known = await self.rates.tell(message, self.known)
        self.known = known if finished(manager.take(self.name, message)) else {}


async def test_the_hundred_busiest_of_a_hundred_thousand_are_right_within_a_twentieth() -> None:
    now, random = 0.0, np.random.default_rng(11)
    share = 1 / np.arange(1, TENANTS + 1)
    ends = np.cumsum(share / share.sum())
    names = [f"tenant-{number}" for number in random.permutation(TENANTS)]
    manager = ManagersRates(lambda: now)
    routers = [Router(number, lambda: now) for number in range(ROUTERS)]
    # Of each second, when it was told, how often each of them asked.
    true: list[tuple[float, np.ndarray]] = []  # type: ignore[type-arg]
    for _ in range(SECONDS):
        asked = np.searchsorted(ends, random.random(REQUESTS))
        for place, number in enumerate(asked.tolist()):
            routers[place % ROUTERS].rates.tallies.refused(names[number], Code.NOT_FOUND, 0.001)
        now += 1.0
        true.append((now, np.bincount(asked, minlength=TENANTS)))
        for router in routers:
            for busiest in router.rates._busiest:
                busiest.settle(now)
            await router.tell(manager)

    answer = manager.get(pb.GetRatesRequest(top=1000))
    assert answer.all.total.counts.requests == SECONDS * REQUESTS
    minute = answer.rows[0].windows[-1]
    assert minute.seconds >= WINDOWS[-1]
    found = {row.tenant: row.windows[-1].counts.requests for row in answer.rows}
    expected = sum(counts for at, counts in true if at >= now - minute.seconds)
    assert isinstance(expected, np.ndarray)
    busiest_first = np.argsort(-expected)[:100]
    wrong = {
        names[number]: (found.get(names[number], 0), int(expected[number]))
        for number in busiest_first.tolist()
        if abs(found.get(names[number], 0) - expected[number]) > 0.05 * expected[number]
    }
    assert wrong == {}
    # Whatever is asked by however many: so much in a router, and so much in the manager.
    for router in routers:
        tables = (router.rates.tallies.tenants, router.rates.tallies.versions)
        assert sum(table.nbytes for table in tables) <= 2 * TOP * 700
        assert len(router.known) <= 2 * TOP
    assert manager.nbytes <= 30e6
