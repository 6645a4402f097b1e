"""Keeps stubs registered with a version manager as cells are, from a process of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress

from croupier import protocol
from croupier.errors import CroupierError
from croupier.grpcio.manager import VersionManagerClient
from protos.versions.v1 import versions_pb2 as pb

_SECONDS = 1.0
ZONES = 4


def seat_of(number: int) -> pb.Seat:
    return pb.Seat(cell=f"cell-{number}", zone=f"zone-{number % ZONES}", weight=1.0)


@contextmanager
def joined(manager: str, addresses: Sequence[str]) -> Iterator[None]:
    """Cells of these addresses are registered in the block, for as long as the version manager is there."""
    process = multiprocessing.get_context("spawn").Process(
        target=_run, args=(manager, addresses), daemon=True
    )
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _run(manager: str, addresses: Sequence[str]) -> None:
    # Ctrl-C reaches it too; who started it ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_keep(manager, addresses))


async def _keep(manager: str, addresses: Sequence[str]) -> None:
    async with VersionManagerClient(manager) as client:
        await asyncio.gather(*(_join(client, number, address) for number, address in enumerate(addresses)))


async def _join(client: VersionManagerClient, number: int, address: str) -> None:
    with suppress(CroupierError):
        async for _ in client.join(_reports(number, address)):
            pass


async def _reports(number: int, address: str) -> AsyncIterator[pb.JoinRequest]:
    seat = seat_of(number)
    cell = pb.Cell(
        id=seat.cell,
        zone=seat.zone,
        address=address,
        weight=seat.weight,
        state="active",
        protocol=protocol.CURRENT,
    )
    while True:
        yield pb.JoinRequest(cell=cell)
        await asyncio.sleep(_SECONDS)
