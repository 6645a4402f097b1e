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

from croupier.errors import CroupierError, FailedPrecondition
from croupier.transport.client import Channel
from croupier.transport.status import UNAVAILABLE, RpcError
from protos.cell.v1 import cell_pb2 as pb
from sharding.dealer import Dealer
from version_manager.fleet import Cell, CellState
from version_manager.mirror import Mirror
from version_manager.release import Version

_WARM = "/croupier.cell.v1.Cell/Warm"
# Seconds for the call itself beside those that the cell may take.
_CALL_SECONDS = 2.0
_BROKEN = "the connection broke"


class NotWarm(FailedPrecondition):
    """Cells of the tenant have not loaded a version. The operator's: see to them, or do not wait for them."""

    reason = "NOT_WARM"


class Warming:
    """`open_channel` makes a channel to host:port; cells may take `seconds`, 0 for not being asked at all."""

    def __init__(self, mirror: Mirror, open_channel: Callable[[str], Channel], seconds: float) -> None:
        self._mirror = mirror
        self._open = open_channel
        self._seconds = seconds

    async def warm(self, tenant: str, versions: Sequence[Version]) -> None:
        """Return once every cell of the tenant has loaded `versions`.

        Raises:
            NotWarm: some have not, in time or at all; names them.
        """
        if not versions or not self._seconds:
            return
        cells = self._hand(tenant)
        artifacts = list(dict.fromkeys(version.artifact for version in versions))
        answers = [await self._ask(cell, artifacts) for cell in cells[:1]]
        if answers != [_BROKEN]:
            answers += await asyncio.gather(*(self._ask(cell, artifacts) for cell in cells[1:]))
        cold = {cell.id: why for cell, why in zip(cells, answers, strict=False) if why}
        if cold:
            numbers = ", ".join(str(version.number) for version in versions)
            raise NotWarm(
                f"version {numbers} is not loaded: "
                + "; ".join(f"cell {cell}: {why}" for cell, why in cold.items()),
                cells=",".join(cold),
            )

    def _hand(self, tenant: str) -> list[Cell]:
        generations = self._mirror.map.generations
        if not generations:
            return []
        cells = self._mirror.map.cells
        dealt = (cells.get(cell) for cell in Dealer(generations[0], cached=1).hand(tenant))
        return [cell for cell in dealt if cell is not None and cell.state is CellState.ACTIVE]

    async def _ask(self, cell: Cell, artifacts: Sequence[bytes]) -> str:
        """Why `cell` does not hold all of `artifacts`; empty when it does."""
        request = pb.WarmRequest(artifacts=artifacts, wait_seconds=self._seconds)
        channel = self._open(cell.address)
        try:
            timeout = self._seconds + _CALL_SECONDS
            async with asyncio.timeout(timeout):
                data = await channel.unary(_WARM, request.SerializeToString(), timeout=timeout)
            response = pb.WarmResponse.FromString(data)
        except TimeoutError:
            return "it does not answer"
        except RpcError as error:
            # A cell that says so itself gives details.
            if error.code == UNAVAILABLE and not error.details:
                return _BROKEN
            return error.message or f"status {error.code}"
        except (ConnectionError, CroupierError, ValueError) as error:
            return str(error)
        finally:
            await channel.close()
        return next(filter(None, map(_why, response.artifacts)), "")


def _why(warmed: pb.Warmed) -> str:
    if warmed.state == pb.Warmed.RESIDENT:
        return ""
    return warmed.status.message or "it is still loading"
