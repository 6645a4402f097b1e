"""Tenants that take more than their share, and are told so: each has a limit, and the others do not feel it.

What `python -m bench fair` measures, small.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Executor

import pytest
from support.harm import with_manager
from support.load import TENANTS

from bench.fair import limiting, offenders, wares
from bench.fair.acts import Account
from bench.fair.offender import do
from bench.fair.wares import TENANT, Wares
from croupier.grpcio.manager import VersionManagerClient
from croupierctl.stack import Stack
from version_manager.model.limits import NO_LIMITS

_SECONDS, _STREAMS, _COLD = 2.0, 500, 500


@pytest.fixture(scope="module")
def published(fleet: Stack) -> Wares:
    async def publish() -> Wares:
        async with VersionManagerClient(fleet.manager) as manager:
            return await wares.publish(
                fleet, manager, TENANTS[0].artifact, [1.0, 2.0], cold=_COLD, asked=_COLD
            )

    return asyncio.run(publish())


@pytest.fixture(autouse=True)
def limited(fleet: Stack, published: Wares) -> Iterator[None]:
    with_manager(fleet, lambda manager: limiting.limit(manager, TENANT, offenders.LIMITS))
    yield
    with_manager(fleet, lambda manager: limiting.limit(manager, TENANT, NO_LIMITS))


@pytest.fixture
def offended(fleet: Stack, load, attacker: Executor, published: Wares):
    """Have the offender of a kind at it while all others ask."""

    def offend(kind: str) -> Account:
        one = offenders.offenders(_SECONDS, _STREAMS)[kind]
        with load() as seen:
            acting = attacker.submit(do, one.act, fleet.router, one.load(published, 0), _SECONDS)
            account: Account = acting.result()
        seen.check()
        return account

    return offend


def is_told(account: Account) -> bool:
    """By a refusal that says which limit it is."""
    return account.refused > 0 and any(
        words.startswith("RESOURCE_EXHAUSTED") and "limit" in words for words in account.words
    )


@pytest.mark.fault(
    "One tenant asks for ten times the rate that it may",
    "no error for the others; it gets its share, and RESOURCE_EXHAUSTED beyond",
)
def test_ten_times_the_rate_of_a_tenant(offended) -> None:
    account = offended("rate")
    assert is_told(account), account
    assert account.served >= _SECONDS * offenders.LIMITS.rate / 2


@pytest.mark.fault(
    "One tenant asks for five times the cold models that it may, each once",
    "no error for the others; RESOURCE_EXHAUSTED, reason COLD_LOADS, beyond its share",
)
def test_cold_models_beyond_a_tenants_share(offended) -> None:
    account = offended("cold")
    assert is_told(account), account
    assert account.served


@pytest.mark.fault(
    "One tenant sends requests of 8 MiB, one after the other on eight connections",
    "no error for the others; RESOURCE_EXHAUSTED beyond its bytes",
)
def test_large_requests_beyond_a_tenants_bytes(offended) -> None:
    account = offended("large")
    assert is_told(account), account
    assert account.served


@pytest.mark.fault(
    "One tenant keeps 64 requests for a slow ONNX graph in flight",
    "no error for the others; RESOURCE_EXHAUSTED beyond what it may have in flight",
)
def test_a_slow_model_of_one_tenant(offended) -> None:
    account = offended("slow")
    assert is_told(account), account
    assert account.served


@pytest.mark.fault(
    "One tenant opens 500 streams at once, and keeps them open",
    "no error for the others; RESOURCE_EXHAUSTED beyond what it may",
)
def test_streams_of_one_tenant(offended) -> None:
    account = offended("streams")
    assert is_told(account), account
    assert account.served
