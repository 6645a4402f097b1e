"""A typo in etcd, a lost key, and then everything that knew better starts anew: callers see none of it."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
from support.fleet import Wine
from support.waiting import wait_until

from croupier.grpcio.manager import VersionManagerClient
from croupier.stores.etcd import Delete, Etcd, EtcdConfig, Put
from croupier_client import AsyncClient
from croupierctl.stack import Stack
from sharding.dealer import Dealer
from version_manager.map.keys import Keys
from version_manager.model.wire import generation_from_pb

pytestmark = pytest.mark.system

KEYS = Keys()
TENANTS = [f"tenant-{number}" for number in range(300)]


def hands(stack: Stack) -> list[tuple[str, ...]]:
    async def call() -> list[tuple[str, ...]]:
        async with VersionManagerClient(stack.manager) as manager:
            dealer = Dealer(generation_from_pb(await manager.get_generation()))
            return [dealer.hand(tenant) for tenant in TENANTS]

    return asyncio.run(call())


def in_etcd(stack: Stack, *ops: Put | Delete) -> dict[str, bytes]:
    """Do `ops` behind everybody's back; returns the shard map and the models as they stand then."""

    async def call() -> dict[str, bytes]:
        async with Etcd(EtcdConfig((stack.process("etcd").address,))) as etcd:
            if ops:
                await etcd.transact([], ops)
            listed = [*(await etcd.range(KEYS.shards)).items, *(await etcd.range("croupier/models/")).items]
            return {pair.key: pair.value for pair in listed}

    return asyncio.run(call())


def repaired(stack: Stack) -> set[str]:
    async def call() -> set[str]:
        async with VersionManagerClient(stack.manager) as manager:
            return {*(await manager.repair()).repaired}

    return asyncio.run(call())


def ask_throughout(wine: Wine, routers: list[str], meanwhile: Callable[[], object]) -> int:
    """Ask without retries for as long as `meanwhile` takes; returns how many answers were right: all."""

    async def caller(client: AsyncClient, number: int, done: asyncio.Event) -> int:
        asked = 0
        while not done.is_set():
            row = (number + asked) % len(wine.rows)
            answer = await client.predict("wine", wine.rows[row], timeout=8.0)
            assert np.allclose(answer.outputs["probabilities"], wine.probabilities[row], atol=1e-4)
            asked += 1
        return asked

    async def run() -> int:
        done = asyncio.Event()
        clients = [AsyncClient(router, tenant="acme", retries=0) for router in routers]
        callers = [asyncio.create_task(caller(client, n, done)) for n in range(2) for client in clients]
        try:
            await asyncio.to_thread(meanwhile)
        finally:
            done.set()
            answered = await asyncio.gather(*callers)
            for client in clients:
                await client.close()
        return sum(answered)

    return asyncio.run(run())


def damage(content: dict[str, bytes], active: str) -> list[Put | Delete]:
    """The pointer lost, the seed edited by a digit where it stands twice, the rest garbage."""
    edited = {
        KEYS.seed: content[KEYS.seed].replace(b'"seed":1', b'"seed":2'),
        active: content[active].replace(b'"seed":1', b'"seed":2'),
    }
    assert all(value != content[key] for key, value in edited.items())
    ops: list[Put | Delete] = [Delete(KEYS.active)]
    return ops + [Put(key, edited.get(key, b"\xff{")) for key in content if key != KEYS.active]


def test_a_typo_and_a_restart_of_everybody_fail_no_request_and_change_no_hand(
    stack: Stack, wine: Wine
) -> None:
    spare = stack.start_router("router-spare", stack.folder / "spare.snapshot")
    before, content = hands(stack), in_etcd(stack)
    active = max(key for key in content if "generations" in key)

    def hurt() -> None:
        in_etcd(stack, *damage(content, active))
        stack.restart("version-manager")
        assert hands(stack) == before
        stack.restart("router-spare")

    try:
        assert ask_throughout(wine, [stack.router], hurt) > 100
        # Who started on garbage serves as those do that did not.
        assert ask_throughout(wine, [stack.router, spare.address], lambda: hands(stack)) > 0
        assert hands(stack) == before
        assert content.keys() == repaired(stack)
        assert in_etcd(stack) == content
        assert hands(stack) == before
    finally:
        in_etcd(stack, *(Put(key, value) for key, value in content.items()))
        stack.processes.pop("router-spare").stop()
    wait_until(lambda: not repaired(stack), "nothing is left to repair")
