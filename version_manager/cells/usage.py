"""What a tenant's cells have answered with a model since they loaded it.

Nobody counts by model but the cells, and they for what they have in memory. All of the tenant's are asked at
once when somebody wants to know: those of the active generation and those of the one before, which may have
the model still. A cell of the release before does not know the question, and that is what is told of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from croupier.transport.client import Channel
from sharding.dealer import Dealer
from version_manager.cells.calls import CellAway, CellRefused, calling, hand_of
from version_manager.map.mirror import Mirror
from version_manager.model.fleet import Cell

# So few that `croupierctl why`, which asks for this too, need not give up on all cells for one that hangs.
_SECONDS = 1.0
# Calls that are made to cells at a time, whoever asks: each is a connection of its own.
_AT_A_TIME = 64


@dataclass(frozen=True, slots=True)
class Used:
    """Requests and items that a cell answered with a version, and seconds since the last of them."""

    requests: int
    idle_seconds: float


@dataclass(frozen=True, slots=True)
class CellUsage:
    """Of the versions that the cell has in memory; or why it does not say."""

    cell: str
    versions: Mapping[int, Used]
    failure: str = ""


class Usage:
    """`open_channel` makes a channel to a cell."""

    def __init__(self, mirror: Mirror, open_channel: Callable[[Cell], Channel]) -> None:
        self._mirror = mirror
        self._open = open_channel
        self._turns = asyncio.Semaphore(_AT_A_TIME)

    async def of(self, tenant: str, name: str, version: int = 0) -> list[CellUsage]:
        """By cell; of one version, or of all.

        Raises:
            UnknownModel, UnknownVersion
        """
        served = self._mirror.map
        model = served.catalog.get(tenant, name)
        versions = [model.select(version=version)] if version else model.versions.values()
        artifacts = {one.number: one.artifact for one in versions}
        cells = hand_of(tenant, [Dealer(dealt, cached=1) for dealt in served.generations], served)
        return await asyncio.gather(*(self._ask(cell, artifacts) for cell in cells))

    async def _ask(self, cell: Cell, artifacts: Mapping[int, bytes]) -> CellUsage:
        try:
            async with self._turns, calling(self._open, cell) as calls:
                told = await calls.usage([*artifacts.values()], _SECONDS)
        except (CellAway, CellRefused) as error:
            return CellUsage(cell.id, {}, error.message)
        found = {used.artifact: Used(used.requests, used.idle_seconds) for used in told.resident}
        return CellUsage(
            cell.id, {number: found[digest] for number, digest in artifacts.items() if digest in found}
        )
