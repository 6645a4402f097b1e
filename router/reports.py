"""Tells every version manager what this router is and serves, once a second, for `croupierctl status`.

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

_PAUSE = 1.0
# Until a manager that does not know reports may be of another release.
_UNKNOWN_PAUSE = 15.0
_PATIENCE = 2.0
# What a router that ends waits for managers to hear it.
_LAST_PATIENCE = 0.5


class Manager(Protocol):
    """The part of `VersionManagerClient` that a router reports by."""

    async def report_router(self, report: pb.RouterReport, *, timeout: float) -> None: ...


def report_of(
    feed: ViewFeed, name: str, address: str, part: pb.Part, troubles: pb.RouterTroubles | None = None
) -> pb.RouterReport:
    """What to tell of the router `name` that serves the view of `feed`."""
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
    )


class Reports:
    """`make` is called for each report."""

    def __init__(
        self,
        managers: Sequence[Manager],
        make: Callable[[], pb.RouterReport],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._managers = managers
        self._make = make
        self._sleep = sleep
        self._has_begun = False

    async def run(self) -> None:
        """Report until cancelled."""
        self._has_begun = True
        async with asyncio.TaskGroup() as group:
            for manager in self._managers:
                group.create_task(self._keep(manager))

    async def leave(self) -> None:
        """Say that this router ends, so that nobody looks for it; nothing if none ever reported."""
        if not self._has_begun:
            return
        last = self._make()
        last.leaving = True

        async def say(manager: Manager) -> None:
            with suppress(CroupierError):
                await manager.report_router(last, timeout=_LAST_PATIENCE)

        await asyncio.gather(*map(say, self._managers))

    async def _keep(self, manager: Manager) -> None:
        while True:
            pause = _PAUSE
            try:
                await manager.report_router(self._make(), timeout=_PATIENCE)
            except Unimplemented:
                pause = _UNKNOWN_PAUSE
            except CroupierError:
                # The watch tells in the log of managers that are away.
                pass
            await self._sleep(pause)
