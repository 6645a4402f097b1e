"""Has cells load what they are about to be asked for: the hot models of those that are asked for it now.

    moving ──▶ hot lists of the cells asked so far ──▶ dosed ──▶ Warm, some at a time, on each cell that gains
      (a thread)       (all at once)              (a thread)

Everything has an end: a list that does not come, or a cell that does not answer, is done without, and
`seconds` bound the whole. Nothing here is needed for a right answer: what was not loaded before is loaded
when it is asked for. So every manager may do it, and what two do is done once: a cell loads no model that it
has.

A model that may have ended a cell while it was loaded is asked of no other for a while.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from croupier.telemetry.metrics import Counter
from croupier.transport.client import Channel
from protos.cell.v1 import cell_pb2 as pb
from version_manager.cells.calls import BROKEN, CellAway, CellRefused, calling
from version_manager.cells.moves import Hot, Move, Standing, Wanted, dosed, moving, wanted
from version_manager.cells.registry import Registry
from version_manager.map.mirror import Mirror
from version_manager.model.fleet import Cell

_log = logging.getLogger(__name__)
_WARMED = Counter(
    "croupier_version_manager_handed_over_total",
    "Models that cells loaded before they were asked for them, since others held them hot",
)
_FAILED = Counter(
    "croupier_version_manager_handover_failures_total",
    "Cells that gave no hot list, or did not load what others hold hot",
)

# Of a hot list; and of each of all the others' for one cell that comes back, which has a hot set of its own.
_MOST_HOT = 100_000
_MOST_BACK = 20_000
# How much of a cell may be loaded so, beside what is free in it.
_SHARE = 0.5
# A cell loads so many in one call: few, so that a handover that is given up leaves little behind.
_A_CALL = 64
# How long a cell may take for its list, and to load what is asked for in one call: what is late goes on.
_LIST_SECONDS = 10.0
_WAIT_SECONDS = 10.0
_CALL_SECONDS = 2.0
_SUSPECT_SECONDS = 600.0


@dataclass(slots=True)
class Progress:
    """How far a handover is, in models."""

    warmed: int = 0
    to_warm: int = 0
    is_done: bool = False


class Handover:
    """`open_channel` makes a channel to a cell; a handover may take `seconds`."""

    def __init__(
        self,
        mirror: Mirror,
        registry: Registry,
        open_channel: Callable[[Cell], Channel],
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds = seconds
        self._mirror = mirror
        self._registry = registry
        self._open = open_channel
        self._clock = clock
        # Artifacts that may have ended a cell, until when.
        self._suspects: dict[bytes, float] = {}

    async def load(
        self,
        before: Standing,
        after: Standing,
        progress: Progress,
        *,
        hot: Callable[[Mapping[bytes, Sequence[Move]]], Mapping[str, Sequence[Hot]]] | None = None,
        only: str = "",
    ) -> None:
        """Have the cells of `after` load what those of `before` hold hot, or what `hot` says that they held.

        With `only`, that cell alone loads. Returns once it is done, as far as it could be: never raises.
        """
        try:
            async with asyncio.timeout(self.seconds):
                await self._load(before, after, progress, hot, only)
        except TimeoutError:
            _log.warning("of %d hot models %d were handed over in time", progress.to_warm, progress.warmed)
        except Exception:  # noqa: BLE001
            # A bug of ours may cost hits, and hold up nothing.
            _log.exception("hot models were not handed over")
            _FAILED.inc()
        finally:
            progress.is_done = True

    async def _load(
        self,
        before: Standing,
        after: Standing,
        progress: Progress,
        hot: Callable[[Mapping[bytes, Sequence[Move]]], Mapping[str, Sequence[Hot]]] | None,
        only: str,
    ) -> None:
        moves = await asyncio.to_thread(moving, self._mirror.map.catalog, before, after)
        if not moves:
            return
        if hot is None:
            most = _MOST_BACK if only else _MOST_HOT
            lists: Mapping[str, Sequence[Hot]] = await self._lists(moves, most)
        else:
            lists = hot(moves)
        plan = await asyncio.to_thread(self._planned, moves, lists, only)
        progress.to_warm = sum(map(len, plan.values()))
        await asyncio.gather(*(self._warm(cell, models, progress) for cell, models in plan.items()))
        if progress.to_warm:
            _log.info("%d of %d hot models were handed over", progress.warmed, progress.to_warm)

    async def _lists(self, moves: Mapping[bytes, Sequence[Move]], most: int) -> dict[str, list[Hot]]:
        """What each cell holds hot, of what moves away from it or others."""
        asked = {move.at for its in moves.values() for move in its}
        cells = [cell for name in sorted(asked) if (cell := self._mirror.map.cells.get(name)) is not None]
        lists = await asyncio.gather(*(self._list(cell, moves, most) for cell in cells))
        return {cell.id: hot for cell, hot in zip(cells, lists, strict=True)}

    async def _list(self, cell: Cell, moves: Mapping[bytes, Sequence[Move]], most: int) -> list[Hot]:
        try:
            async with calling(self._open, cell) as calls:
                pairs = await calls.hot_list(moves, most, min(_LIST_SECONDS, self.seconds / 2))
        except (CellAway, CellRefused) as error:
            _log.info("cell %s does not say what it holds hot: %s", cell.id, error.message)
            _FAILED.inc()
            return []
        return [Hot(*pair) for pair in pairs]

    def _planned(
        self, moves: Mapping[bytes, Sequence[Move]], lists: Mapping[str, Iterable[Hot]], only: str
    ) -> dict[str, list[bytes]]:
        now = self._clock()
        self._suspects = {artifact: end for artifact, end in self._suspects.items() if end > now}
        plan = {}
        for cell, models in wanted(moves, lists).items():
            if only in ("", cell):
                good = [model for model in models if model.digest not in self._suspects]
                plan[cell] = self._dosed(cell, good)
        return plan

    def _dosed(self, cell: str, models: Sequence[Wanted]) -> list[bytes]:
        session = self._registry.find(cell)
        if session is None or not session.cell.load.capacity_bytes:
            # It reports elsewhere, or not yet: a handover is no time to wait for that.
            return [model.digest for model in models]
        load = session.cell.load
        return dosed(
            models, max(0, load.capacity_bytes - load.used_bytes) + int(_SHARE * load.capacity_bytes)
        )

    async def _warm(self, name: str, digests: Sequence[bytes], progress: Progress) -> None:
        cell = self._mirror.map.cells.get(name)
        if cell is None:
            return
        at = 0
        try:
            async with calling(self._open, cell) as calls:
                for at in range(0, len(digests), _A_CALL):
                    some = digests[at : at + _A_CALL]
                    request = pb.WarmRequest(artifacts=some, proven=True, wait_seconds=_WAIT_SECONDS)
                    response = await calls.warm(request, _WAIT_SECONDS + _CALL_SECONDS)
                    progress.warmed += len(some)
                    _WARMED.inc(sum(one.state == pb.Warmed.RESIDENT for one in response.artifacts))
        except (CellAway, CellRefused) as error:
            if error.message == BROKEN:
                until = self._clock() + _SUSPECT_SECONDS
                self._suspects |= dict.fromkeys(digests[at : at + _A_CALL], until)
            _log.warning("cell %s does not load what others hold hot: %s", name, error.message)
            _FAILED.inc()
