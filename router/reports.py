"""Tells every version manager what this router is and serves, once a second, for `croupierctl status`; and is
told with the answer which part of tenants' limits is this router's.

A manager that is away, or hangs, is told again later; nothing here waits for one, and nothing depends on it.
One of the release before does not know what it is told, and is tried again now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

from croupier.errors import CroupierError, Unimplemented
from protos.versions.v1 import versions_pb2 as pb
from router.feeds import ViewFeed
from router.rates import Known, Rates

_PAUSE = 1.0
# Until a manager that does not know reports may be of another release.
_UNKNOWN_PAUSE = 15.0
_PATIENCE = 2.0
# What a router that ends waits for managers to hear it.
_LAST_PATIENCE = 0.5


class Manager(Protocol):
    """The part of `VersionManagerClient` that a router reports by."""

    async def report_router(
        self, request: pb.ReportRouterRequest, timeout: float
    ) -> pb.ReportRouterResponse: ...


def report_of(
    feed: ViewFeed,
    name: str,
    address: str,
    part: pb.Part,
    troubles: pb.RouterTroubles | None = None,
    not_ready: str = "",
) -> pb.RouterReport:
    """What to tell of the router `name` that serves the view of `feed`, or why it serves nobody."""
    view = feed.view
    return pb.RouterReport(
        id=name,
        address=address,
        part=part,
        serving=feed.is_loaded,
        catalog=view.catalog.name,
        revision=view.catalog.revision,
        generation=view.current.generation.number if view.current else 0,
        view_age=feed.age if feed.has_heard else None,
        refuses=feed.refuses,
        troubles=troubles,
        not_ready=not_ready,
    )


class Reports:
    """`make` is called for each report; `rates` has what goes with it, if anything is counted. `hear` is
    called with each answer.
    """

    def __init__(
        self,
        managers: Sequence[Manager],
        make: Callable[[], pb.RouterReport],
        rates: Rates | None = None,
        hear: Callable[[pb.ReportRouterResponse], None] = lambda answer: None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._managers = managers
        self._make = make
        self._rates = rates
        self._hear = hear
        # What each manager knows of them.
        self._known: list[Known] = [{} for _ in managers]
        self._sleep = sleep
        self._has_begun = False

    async def run(self) -> None:
        """Report until cancelled."""
        self._has_begun = True
        async with asyncio.TaskGroup() as group:
            for place in range(len(self._managers)):
                group.create_task(self._keep(place))

    async def leave(self) -> None:
        """Say that this router ends, so that nobody looks for it; nothing if none ever reported."""
        if not self._has_begun:
            return

        async def say(place: int) -> None:
            with suppress(CroupierError):
                await self._report(place, _LAST_PATIENCE, leaving=True)

        await asyncio.gather(*map(say, range(len(self._managers))))

    async def _keep(self, place: int) -> None:
        while True:
            pause = _PAUSE
            try:
                await self._report(place, _PATIENCE)
            except Unimplemented:
                pause = _UNKNOWN_PAUSE
            except CroupierError:
                # The watch tells in the log of managers that are away.
                pass
            await self._sleep(pause)

    async def _report(self, place: int, patience: float, *, leaving: bool = False) -> None:
        request, known = pb.ReportRouterRequest(), self._known[place]
        if self._rates is not None:
            known = await self._rates.tell(request.rates, known)
        request.report.CopyFrom(self._make())
        request.report.leaving = leaving
        answer = await self._managers[place].report_router(request, patience)
        # One that has just started is told all.
        self._known[place] = {} if answer.rates_unknown else known
        self._hear(answer)
