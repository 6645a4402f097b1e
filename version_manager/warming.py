"""Has a tenant's cells load what a release is about to move to.

The cells are those that the active generation deals the tenant and that are registered as active. One is
asked alone, and if its connection does not break, all the others at once: a version whose load crashes cells
crashes one, and not the hand. Each says what it holds; one that is silent is waited for no longer than the
limit. With no generation, or none of its cells registered, nobody is served anyway and there is nothing to
wait for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from croupier.errors import FailedPrecondition
from croupier.transport.client import Channel
from protos.cell.v1 import cell_pb2 as pb
from sharding.dealer import Dealer
from version_manager.calls import BROKEN, CellAway, CellRefused, calling, hand_of, why_not_resident
from version_manager.fleet import Cell
from version_manager.mirror import Mirror
from version_manager.release import Version

# Seconds for the call itself beside those that the cell may take.
_CALL_SECONDS = 2.0


class NotWarm(FailedPrecondition):
    """Cells of the tenant have not loaded a version. The operator's: see to them, or do not wait for them."""

    reason = "NOT_WARM"


class Warming:
    """`open_channel` makes a channel to a cell; cells may take `seconds`, 0 for not being asked at all."""

    def __init__(self, mirror: Mirror, open_channel: Callable[[Cell], Channel], seconds: float) -> None:
        self._mirror = mirror
        self._open = open_channel
        self._seconds = seconds

    async def warm(self, tenant: str, versions: Sequence[Version]) -> None:
        """Return once every cell of the tenant has loaded `versions`, which count for the tenant's floor.

        Raises:
            NotWarm: some have not, in time or at all; names them.
        """
        if not versions or not self._seconds:
            return
        cells = self._hand(tenant)
        request = pb.WarmRequest(
            artifacts=dict.fromkeys(version.artifact for version in versions),
            group=tenant,
            wait_seconds=self._seconds,
        )
        answers = [await self._ask(cell, request) for cell in cells[:1]]
        if answers != [BROKEN]:
            answers += await asyncio.gather(*(self._ask(cell, request) for cell in cells[1:]))
        cold = {cell.id: why for cell, why in zip(cells, answers, strict=False) if why}
        if cold:
            numbers = ", ".join(str(version.number) for version in versions)
            raise NotWarm(
                f"version {numbers} is not loaded: "
                + "; ".join(f"cell {cell}: {why}" for cell, why in cold.items()),
                cells=",".join(cold),
            )

    def _hand(self, tenant: str) -> list[Cell]:
        served = self._mirror.map
        if not served.generations:
            return []
        return hand_of(tenant, Dealer(served.generations[0], cached=1), served)

    async def _ask(self, cell: Cell, request: pb.WarmRequest) -> str:
        """Why `cell` does not hold all that is asked; empty when it does."""
        try:
            async with calling(self._open, cell) as calls:
                return why_not_resident(await calls.warm(request, self._seconds + _CALL_SECONDS))
        except (CellAway, CellRefused) as error:
            return error.message
