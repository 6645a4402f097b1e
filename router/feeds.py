"""Keeps the router's view of the world current: follows the version manager's watch, swaps views.

    connect, "go on after revision r of catalog c"
      ├─ delta…                       apply, swap
      ├─ begin, chunk…, end           collect, judge (view.refusal), swap
      │     └─ refused                only cells are taken from now on; after a while, connect again
      ├─ heartbeat                    all is well
      ├─ silence, or an error         broken: wait a little, connect again
      └─ somebody knows of a later one (`look_again`): connect again, at the next version manager

A broken watch changes nothing: the view stands until a better one is there. What arrives is applied
to the view as a whole; nobody ever sees half of it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from random import Random
from typing import Any

from croupier.backoff import Backoff
from croupier.errors import CroupierError, Unavailable
from croupier.telemetry.metrics import Counter, Gauge
from croupier.telemetry.stalls import section
from croupier.transport.net.turns import next_turn
from protos.versions.v1 import versions_pb2 as pb
from router.events import Assembly, BrokenWatch, change_of, parts, slices, usable_records
from router.retired import Retired
from router.view import EMPTY, View, delta_refusal, refusal

_log = logging.getLogger(__name__)
_REVISION = Gauge("croupier_router_view_revision", "Revision of the catalog that is served")
_MODELS = Gauge("croupier_router_view_models", "Models in the catalog that is served")
_FROZEN = Gauge("croupier_router_view_frozen", "1 while a catalog is refused and the held one is kept")
_BROKEN = Counter("croupier_router_watch_broken_total", "Watches that ended or went silent")

# Opens the watch after a revision of a catalog.
Watch = Callable[[int, str], AsyncIterator[pb.WatchEvent]]
OnSwap = Callable[[View], None]


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: of silence until a watch counts as broken; until the next one is opened; until a catalog that
    was refused is asked for again; that a watch may take to bring something, before it is opened anew."""

    silence: float = 6.0
    backoff: Backoff = Backoff(first=0.05, longest=1.0)
    refused: float = 5.0
    look: float = 2.0


class ViewFeed:
    """Holds the view. `clock` is monotonic, in seconds.

    `view` is always whole. `on_swap` is called with every new one, before anybody else sees it. `has_heard`
    tells whether a version manager was heard at all: before, the view is that of the disk.
    """

    def __init__(
        self,
        watch: Watch,
        *,
        on_swap: OnSwap,
        clock: Callable[[], float],
        rng: Random,
        timing: Timing = Timing(),
    ) -> None:
        self.view = EMPTY
        self._watch = watch
        self._on_swap = on_swap
        self._clock = clock
        self._rng = rng
        self._timing = timing
        self._heard = clock()
        self.has_heard = False
        # Why the catalog that was offered last is not taken; empty when it was.
        self.refuses = ""
        self._failures = 0
        # When to ask again for a catalog that this watch brought and that was refused.
        self._refused_until = math.inf
        self._assembly: Assembly | None = None
        self._retired = Retired()
        # When the watch was opened; how long it may be silent yet; whether somebody knows that it is behind.
        self._opened = -math.inf
        self._patience: asyncio.Timeout | None = None
        self._is_doubted = False
        self._loaded = asyncio.Event()
        self._told = asyncio.Event()
        self._changed = asyncio.Condition()

    @property
    def is_loaded(self) -> bool:
        """Whether there is a catalog, from the version manager or from disk."""
        return self._loaded.is_set()

    @property
    def age(self) -> float:
        """Seconds since the version manager was last heard."""
        return self._clock() - self._heard

    async def loaded(self) -> None:
        await self._loaded.wait()

    async def told(self, seconds: float) -> None:
        """Return once a version manager has said what there is, or after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._told.wait()

    async def changed_from(self, view: View | None) -> View:
        """The view, once there is one and it is another than `view`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.is_loaded and self.view is not view)
            return self.view

    async def load(self, view: View) -> None:
        """Begin with `view`, from disk."""
        await self._swap(view)

    async def run(self) -> None:
        """Follow the watch for ever."""
        while True:
            try:
                await self._follow()
            except CroupierError as error:
                _log.warning("the watch broke: %s", error)
            if self._is_doubted:
                # Nothing says that it broke: another one is opened at once.
                self._is_doubted = False
                continue
            _BROKEN.inc()
            self._failures += 1
            await asyncio.sleep(self._timing.backoff.spread(self._failures, self._rng))

    def look_again(self) -> None:
        """Somebody knows of a later catalog: open a watch anew, but not while this one is young or busy."""
        if self._patience is None or self._assembly is not None:
            return
        if self._clock() - self._opened >= self._timing.look:
            self._is_doubted = True
            self._patience.reschedule(asyncio.get_running_loop().time())

    async def _follow(self) -> None:
        """One watch, until it breaks."""
        self._opened = self._clock()
        self._assembly = None
        self._refused_until = math.inf
        catalog = self.view.catalog
        # The client's generator: closing it hangs up.
        stream: Any = self._watch(catalog.revision, catalog.name)
        async with aclosing(stream):
            while (event := await self._next(stream)) is not None:
                self._heard, self.has_heard = self._clock(), True
                await self._take(event)
                if self._assembly is None:
                    self._failures = 0
                if event.WhichOneof("event") in {"end", "heartbeat"}:
                    self._told.set()

    async def _next(self, stream: AsyncIterator[pb.WatchEvent]) -> pb.WatchEvent | None:
        """The next event; None when the stream ended, or a refused catalog is to be asked for again."""
        left = self._refused_until - self._clock()
        try:
            async with asyncio.timeout(min(self._timing.silence, left)) as self._patience:
                return await anext(stream, None) if left > 0 else None
        except TimeoutError:
            if left < self._timing.silence or self._is_doubted:
                return None
            raise Unavailable(f"nothing was heard for {self._timing.silence:g} s") from None
        finally:
            self._patience = None

    async def _take(self, event: pb.WatchEvent) -> None:
        kind = event.WhichOneof("event")
        if kind == "begin":
            self._assembly = Assembly(event.begin)
        elif kind == "chunk":
            for part in parts(event.chunk):
                with section("chunk"):
                    self._assembling().add(part)
                await next_turn()
        elif kind == "end":
            await self._take_whole(event.end)
        elif kind == "delta":
            await self._take_delta(event.delta)

    async def _take_delta(self, delta: pb.WatchEvent.Delta) -> None:
        records: list[bytes] = []
        for models in slices(delta.models):
            with section("delta"):
                records += usable_records(models)
            await next_turn()
        with section("delta"):
            new = self.view.after(change_of(delta, records))
            judged = self._judged(new, delta_refusal(self.view, new))
        await self._swap(judged)

    async def _take_whole(self, end: pb.WatchEvent.End) -> None:
        # Many limits, or a large shard map, take long to index: not on the loop that answers requests.
        new = await asyncio.to_thread(self._assembling().finish, end, self.view)
        self._assembly = None
        left = self.view.catalog
        await self._swap(self._judged(new, refusal(self.view, new)))
        # One of the two is held by nobody any more.
        self._retired.take(new.catalog if self.view.catalog is left else left)

    def _assembling(self) -> Assembly:
        if self._assembly is None:
            raise BrokenWatch("a chunk or an end without a begin")
        return self._assembly

    def _judged(self, new: View, problem: str) -> View:
        """What to hold from now on: `new`, or of it only the cells, for as long as this watch lasts."""
        if self._is_refusing:
            return self.view.with_cells_of(new)
        self.refuses = problem
        _FROZEN.set(bool(problem))
        if not problem:
            return new
        _log.error("the catalog is refused and the held one kept: %s", problem)
        self._refused_until = self._clock() + self._timing.refused * self._rng.uniform(0.5, 1.0)
        return self.view.with_cells_of(new)

    @property
    def _is_refusing(self) -> bool:
        return self._refused_until < math.inf

    async def _swap(self, view: View) -> None:
        if view is self.view and self.is_loaded:
            return
        with section("swap"):
            self._on_swap(view)
        async with self._changed:
            self.view = view
            self._loaded.set()
            self._changed.notify_all()
        _REVISION.set(view.catalog.revision)
        _MODELS.set(view.catalog.size)
