"""Two version managers on one etcd, one of which dies under load: nobody who uses them sees it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.fleet import Wine, publish, small_stack
from support.waiting import wait_until

from croupier.grpcio.manager import VersionManagerClient
from croupier_client import AsyncClient
from croupierctl.stack import Stack
from protos.versions.v1 import versions_pb2 as pb

pytestmark = pytest.mark.system

LEASE_SECONDS = 4.0


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wine: Wine) -> Iterator[Stack]:
    """A stack with two managers and short leases; acme/wine is released."""
    monkeypatch.setenv("CROUPIER_VERSION_MANAGER_LEASE_SECONDS", str(LEASE_SECONDS))
    with small_stack(tmp_path, managers=2) as stack:
        publish(stack, "acme", "wine", wine.artifact)
        yield stack


def cells_of(target: str) -> dict[str, pb.Cell]:
    async def call() -> dict[str, pb.Cell]:
        async with VersionManagerClient(target) as manager:
            return {cell.id: cell for cell in await manager.list_cells()}

    return asyncio.run(call())


def knows_all(target: str, addresses: dict[str, str]) -> bool:
    """Whether the manager at `target` has every cell, where it is, with its load."""
    cells = cells_of(target)
    return {name: cell.address for name, cell in cells.items()} == addresses and all(
        cell.load.capacity_bytes for cell in cells.values()
    )


def test_one_of_two_managers_dies(pair: Stack, wine: Wine) -> None:
    addresses = {name: one.address for name, one in pair.processes.items() if name.startswith("cell-")}
    dies, left = "version-manager", "version-manager-1"
    target = pair.process(left).address
    for name in (left, dies):
        wait_until(lambda name=name: knows_all(pair.process(name).address, addresses), f"{name} knows all")

    async def ask_throughout() -> set[frozenset[str]]:
        """Ask without retries for longer than a lease lasts; returns which cells were listed meanwhile."""

        async def caller(number: int) -> None:
            row = number
            while not done.is_set():
                answer = await client.predict("wine", wine.rows[row % len(wine.rows)], timeout=8.0)
                assert np.allclose(
                    answer.outputs["probabilities"], wine.probabilities[row % len(wine.rows)], atol=1e-4
                )
                row += 1

        done = asyncio.Event()
        seen: set[frozenset[str]] = set()
        async with (
            AsyncClient(pair.router, tenant="acme", retries=0) as client,
            VersionManagerClient(target) as manager,
        ):
            callers = [asyncio.create_task(caller(number)) for number in range(4)]
            pair.process(dies).kill()
            give_up = asyncio.get_running_loop().time() + 1.5 * LEASE_SECONDS
            while asyncio.get_running_loop().time() < give_up:
                seen.add(frozenset(cell.id for cell in await manager.list_cells()))
                await asyncio.sleep(0.1)
            done.set()
            await asyncio.gather(*callers)
        return seen

    # The leases of those that the dead one had registered have ended by then: no cell is ever missing.
    assert asyncio.run(ask_throughout()) == {frozenset(addresses)}
    assert knows_all(target, addresses)
    # The router follows the one that is left, and the command line finds it.
    assert publish(pair, "acme", "late", wine.artifact) == 1
    wait_until(lambda: routed(pair, wine, "late"), "the router hears of a new model")
    pair.restart(dies)
    wait_until(lambda: knows_all(pair.process(dies).address, addresses), "the one that came back knows all")


def routed(stack: Stack, wine: Wine, name: str) -> bool:
    async def call() -> bool:
        async with AsyncClient(stack.router, tenant="acme") as client:
            return (await client.predict(name, wine.rows[0])).version == 1

    return asyncio.run(call())
