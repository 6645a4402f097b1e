"""Has a tenant's cells load what a release is about to move to.

The cells are those that the active generation deals the tenant and that are registered as active. One is
asked alone, and if its connection does not break, all the others at once: a version whose load crashes cells
crashes one, and not the hand. Each says what it holds; one that is silent is waited for no longer than the
limit. With no generation, or none of its cells registered, nobody is served anyway and there is nothing to
wait for.

Cells restart, and most of all while somebody rolls out: one that is away is asked again, wherever it comes
back, until the time that cells may take is over. One whose connection broke twice is taken to end by what it
loads.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from croupier.errors import FailedPrecondition
from croupier.telemetry.traces import Kind
from croupier.transport.client import Channel
from croupier.transport.steps import step
from protos.cell.v1 import cell_pb2 as pb
from sharding.dealer import Dealer
from version_manager.cells.calls import BROKEN, CellAway, CellRefused, calling, hand_of, why_not_resident
from version_manager.map.mirror import Mirror
from version_manager.model.fleet import Cell
from version_manager.model.release import Version

# Seconds for the call itself beside those that the cell may take.
_CALL_SECONDS = 2.0
_AGAIN_SECONDS = 0.25
_MOST_BREAKS = 2


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
        asking = _Asking(list(dict.fromkeys(version.artifact for version in versions)), tenant)
        loop = asyncio.get_running_loop()
        until = loop.time() + self._seconds
        cells, left = self._hand(tenant), self._seconds
        if not cells:
            return
        with step("warm", {"croupier.tenant": tenant, "croupier.cells": len(cells)}):
            while True:
                await self._ask_all(asking, cells, left)
                left = until - loop.time()
                if asking.is_over or left <= 0:
                    break
                await asyncio.sleep(min(left, _AGAIN_SECONDS))
                cells = self._hand(tenant)
        if asking.cold:
            numbers = ", ".join(str(version.number) for version in versions)
            raise NotWarm(
                f"version {numbers} is not loaded: "
                + "; ".join(f"cell {cell}: {why}" for cell, why in asking.cold.items()),
                cells=",".join(asking.cold),
            )

    async def _ask_all(self, asking: _Asking, cells: Sequence[Cell], seconds: float) -> None:
        """Ask the first of `cells` that has to be asked, and the others unless it broke."""
        first = next((cell for cell in cells if asking.is_wanted(cell.id)), None)
        if first is not None:
            await self._ask(asking, first, seconds)
        if not asking.is_risky:
            others = [cell for cell in cells if cell is not first and asking.is_wanted(cell.id)]
            await asyncio.gather(*(self._ask(asking, cell, seconds) for cell in others))

    def _hand(self, tenant: str) -> list[Cell]:
        served = self._mirror.map
        return hand_of(tenant, [Dealer(one, cached=1) for one in served.dealing], served)

    async def _ask(self, asking: _Asking, cell: Cell, seconds: float) -> None:
        request = pb.WarmRequest(artifacts=asking.artifacts, group=asking.tenant, wait_seconds=seconds)
        try:
            with step("warm cell", {"croupier.cell": cell.id}, kind=Kind.CLIENT):
                async with calling(self._open, cell) as calls:
                    response = await calls.warm(request, seconds + _CALL_SECONDS)
            asking.said(cell.id, why_not_resident(response))
        except CellAway as error:
            asking.is_away(cell.id, error.message)
        except CellRefused as error:
            asking.said(cell.id, error.message)


class _Asking:
    """What the cells of `tenant` have said of `artifacts` so far."""

    def __init__(self, artifacts: list[bytes], tenant: str) -> None:
        self.artifacts = artifacts
        self.tenant = tenant
        # Why not, by cell, of those that do not hold it.
        self.cold: dict[str, str] = {}
        self._warm: set[str] = set()
        self._away: set[str] = set()
        self._breaks: Counter[str] = Counter()

    @property
    def is_over(self) -> bool:
        return not self._away or any(count >= _MOST_BREAKS for count in self._breaks.values())

    @property
    def is_risky(self) -> bool:
        """Whether a cell broke, and none has said yet that it holds it: the others wait for it."""
        return bool(self._breaks) and not self._warm

    def is_wanted(self, cell: str) -> bool:
        """Whether `cell` is to be asked, or asked again."""
        if self.is_risky:
            return cell in self._breaks
        return cell in self._away or not (cell in self._warm or cell in self.cold)

    def said(self, cell: str, why: str) -> None:
        """It holds it, or says why not: that is its last word."""
        self._away.discard(cell)
        self.cold.pop(cell, None)
        if why:
            self.cold[cell] = why
        else:
            self._warm.add(cell)

    def is_away(self, cell: str, why: str) -> None:
        self._away.add(cell)
        self.cold[cell] = why
        if why == BROKEN:
            self._breaks[cell] += 1
