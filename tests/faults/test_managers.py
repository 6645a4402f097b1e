"""Three version managers on one etcd, one of which dies or hangs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from support.fleet import publish
from support.harm import await_registered, error_of, stopped
from support.load import TENANTS
from support.waiting import wait_until

from croupier.grpcio.manager import VersionManagerClient
from croupier_client import Client
from croupierctl.stack import Stack
from protos.versions.v1 import versions_pb2 as pb

DIES = "version-manager"
_SECONDS = 20.0


@pytest.fixture(scope="module")
def fleet(tmp_path_factory, serving) -> Iterator[Stack]:
    """Four cells in two zones, hands of two, each with a session at one manager and reports to all."""
    stack = Stack(tmp_path_factory.mktemp("managed"), cells=4, zones=2, hand_size=2, managers=3)
    with serving(stack):
        yield stack


def not_known(fleet: Stack, name: str) -> dict[str, str]:
    """What the manager `name` does not know of where the cells are, and that they have told their load."""

    async def call() -> dict[str, pb.Cell]:
        async with VersionManagerClient(fleet.process(name).address) as manager:
            return {cell.id: cell for cell in await manager.list_cells()}

    known = asyncio.run(call())
    wanted = {cell: one.address for cell, one in fleet.processes.items() if cell.startswith("cell-")}
    found = {cell: one.address if one.load.capacity_bytes else "no load" for cell, one in known.items()}
    return {
        cell: found.get(cell, "missing")
        for cell in wanted.keys() | found
        if wanted.get(cell) != found.get(cell)
    }


def others_know_all(fleet: Stack, seconds: float) -> None:
    """Look at the managers that are left for so long, at every moment of it."""
    left = [name for name in fleet.processes if name.startswith(DIES) and name != DIES]
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        for name in left:
            assert not not_known(fleet, name), f"{name} after {passed:.2f} s"
        time.sleep(0.2)


def is_published(fleet: Stack, name: str) -> None:
    """A model that is published now is served at once."""
    publish(fleet, TENANTS[0].name, name, TENANTS[0].artifact)
    with Client(fleet.router, tenant=TENANTS[0].name) as client:
        wait_until(lambda: not error_of(client, name, [1.0, 2.0]), f"{name} is served")


@pytest.mark.fault(
    "One of three version managers is dead for 20 s", "no error; the others know every cell and its load"
)
def test_one_of_several_managers_is_dead(fleet: Stack, load) -> None:
    others_know_all(fleet, 1.0)
    with load() as seen:
        fleet.process(DIES).kill()
        others_know_all(fleet, _SECONDS)
        is_published(fleet, "while-it-was-dead")
        fleet.restart(DIES)
        await_registered(fleet)
    seen.check()
    wait_until(lambda: not not_known(fleet, DIES), "the one that came back knows all")


@pytest.mark.fault(
    "One of three version managers hangs for 20 s (SIGSTOP)", "no error; the others take what is published"
)
def test_one_of_several_managers_hangs(fleet: Stack, load) -> None:
    with load() as seen, stopped([fleet.process(DIES).pid]):
        is_published(fleet, "while-it-hung")
        others_know_all(fleet, _SECONDS)
        is_published(fleet, "while-it-hung-still")
    seen.check()
    wait_until(lambda: not not_known(fleet, DIES), "the one that woke knows all", timeout=40.0)
