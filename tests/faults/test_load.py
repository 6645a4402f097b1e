"""Tenants that ask for more than their share: the others' requests are answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest
from support.fleet import publish
from support.harm import hand_of, kind_of
from support.load import MODEL, TENANTS, Tenant
from support.waiting import wait_until

from croupier_client import AsyncClient, Client, Item, PredictError
from croupierctl.stack import Stack

GREEDY = "greedy"
_COLD = 256


def said(outcomes: list[Any]) -> Counter[str]:
    return Counter(kind_of(one) if isinstance(one, PredictError) else "answer" for one in outcomes)


def ask(stack: Stack, tenant: str, asks: Any) -> Counter[str]:
    """What came of calls that `asks` makes of a client, all at once."""

    async def run() -> Counter[str]:
        async with AsyncClient(stack.router, tenant=tenant, retries=0) as client:
            calls: list[Coroutine[Any, Any, Any]] = asks(client)
            return said(await asyncio.gather(*calls, return_exceptions=True))

    return asyncio.run(run())


@pytest.mark.fault(
    "One tenant asks for 256 cold models at once", "no error for the others; each of the 256 answered"
)
def test_a_storm_of_cold_models(fleet: Stack, load) -> None:
    for number in range(_COLD):
        publish(fleet, GREEDY, f"cold-{number}", Tenant(GREEDY, 20_000 + number).artifact)
    with Client(fleet.router, tenant=GREEDY) as client:
        wait_until(lambda: bool(client.predict(f"cold-{_COLD - 1}", [1.0, 2.0])), "the last is routed")
    for cell in hand_of(fleet, GREEDY):
        fleet.restart(cell)
    with load() as seen:
        outcomes = ask(
            fleet,
            GREEDY,
            lambda client: [client.predict(f"cold-{n}", [1.0, 2.0], timeout=8.0) for n in range(_COLD)],
        )
    assert outcomes == {"answer": _COLD}
    seen.check()


@pytest.mark.fault("One tenant sends 120 requests of 1,000 rows, over and over", "no error for the others")
def test_large_requests_of_one_tenant(fleet: Stack, load) -> None:
    publish(fleet, GREEDY, MODEL, TENANTS[0].artifact)
    items = [Item(MODEL, [float(row), 1.0]) for row in range(1_000)]
    with load() as seen:
        for _ in range(5):
            ask(fleet, GREEDY, lambda client: [client.predict_many(items, timeout=8.0) for _ in range(120)])
    seen.check()


@pytest.mark.fault("One tenant keeps 5,000 small requests in flight", "no error for the others")
def test_a_flood_of_one_tenant(fleet: Stack, load) -> None:
    publish(fleet, GREEDY, MODEL, TENANTS[0].artifact)
    with load() as seen:
        outcomes = ask(
            fleet,
            GREEDY,
            lambda client: [client.predict(MODEL, [float(n), 1.0], timeout=8.0) for n in range(5_000)],
        )
    assert set(outcomes) <= {"answer", "QuotaExceeded", "Unavailable"}
    seen.check()
