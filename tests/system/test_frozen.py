"""Cells that start again elsewhere while the map is frozen: callers see none of it."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from support.fleet import Wine, publish
from support.waiting import wait_until

from croupier.errors import CroupierError
from croupier.grpcio.manager import VersionManagerClient
from croupier.stores.etcd import Delete, Etcd, EtcdConfig, Put
from croupier_client import AsyncClient
from croupierctl.stack import Stack
from protos.versions.v1 import versions_pb2 as pb

pytestmark = pytest.mark.system

MODELS = "croupier/models/"


@contextmanager
def frozen(stack: Stack) -> Iterator[None]:
    """All models are gone from etcd at once, and come back at the end."""
    config = EtcdConfig((stack.process("etcd").address,))

    async def lose() -> list[Put]:
        async with Etcd(config) as etcd:
            items = (await etcd.range(MODELS)).items
            await etcd.transact([], [Delete(pair.key) for pair in items])
            return [Put(pair.key, pair.value) for pair in items]

    async def restore(puts: list[Put]) -> None:
        async with Etcd(config) as etcd:
            await etcd.transact([], puts)

    lost = asyncio.run(lose())
    try:
        wait_until(lambda: refusal_of_changes(stack) == "MAP_FROZEN", "the map is frozen")
        yield
    finally:
        asyncio.run(restore(lost))
    wait_until(lambda: refusal_of_changes(stack) == "", "the map moves again")


def refusal_of_changes(stack: Stack) -> str:
    async def call() -> str:
        async with VersionManagerClient(stack.manager) as manager:
            try:
                await manager.set_residency(pb.SetResidencyRequest(tenant="acme"))
            except CroupierError as error:
                return error.reason
        return ""

    return asyncio.run(call())


def addresses(stack: Stack) -> dict[str, str]:
    async def call() -> dict[str, str]:
        async with VersionManagerClient(stack.manager) as manager:
            return {cell.id: cell.address for cell in await manager.list_cells()}

    return asyncio.run(call())


def restart_zone(stack: Stack, *cells: str) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(stack.restart, cells))
    there = {cell: stack.process(cell).address for cell in cells}
    wait_until(lambda: addresses(stack).items() >= there.items(), "the cells are known where they are now")


def test_every_cell_restarts_elsewhere_and_no_request_fails(stack: Stack, wine: Wine) -> None:
    publish(stack, "acme", "frozen", wine.artifact)
    before = addresses(stack)

    async def ask_throughout() -> int:
        """Ask, eight at once and without retries, until every cell is elsewhere; returns how often."""

        async def caller(number: int) -> int:
            asked = 0
            while not done.is_set():
                row = (number + asked) % len(wine.rows)
                answer = await client.predict("frozen", wine.rows[row], timeout=8.0)
                assert np.allclose(answer.outputs["probabilities"], wine.probabilities[row], atol=1e-4)
                asked += 1
            return asked

        done = asyncio.Event()
        async with AsyncClient(stack.router, tenant="acme", retries=0) as client:
            callers = [asyncio.create_task(caller(number)) for number in range(8)]
            try:
                # One zone after the other: each hand has a cell in each.
                await asyncio.to_thread(restart_zone, stack, "cell-0", "cell-2")
                await asyncio.to_thread(restart_zone, stack, "cell-1", "cell-3")
                await asyncio.sleep(0)
            finally:
                done.set()
            return sum(await asyncio.gather(*callers))

    with frozen(stack):
        assert asyncio.run(ask_throughout()) > 0
        assert not {*before.values()} & {*addresses(stack).values()}
