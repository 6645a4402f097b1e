"""The offender: a process that has a processor when nobody else wants one.

Offenders have machines of their own. Here they take only what is left of this one, so that what others
notice is what the fleet does for an offender, and not what it costs to be one. The `burner` does not give
way: it shows whether the router and others wait for a processor here, which they should not (`machines`).
"""

from __future__ import annotations

import asyncio
import multiprocessing
import selectors
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from bench import processes
from bench.catalog import Load
from bench.fair.acts import Account, Act


class Offender:
    def __init__(self, process: ProcessPoolExecutor) -> None:
        self._process = process

    @classmethod
    @contextmanager
    def started(cls, *, gives_way: bool = True) -> Iterator[Offender]:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, spawn, processes.give_way if gives_way else None) as process:
            # It imports what it needs, so that the first act is not late.
            process.submit(int).result()
            yield cls(process)

    def begin(self, act: Act, router: str, load: Load, seconds: float) -> asyncio.Future[Account]:
        """Its account comes when it has ended."""
        return asyncio.wrap_future(self._process.submit(do, act, router, load, seconds))


def do(act: Act, router: str, load: Load, seconds: float) -> Account:
    """An act, in the process that is to do it."""

    async def acted() -> Account:
        return await act(router, load, seconds)

    # Its timers count microseconds, unlike uvloop's.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(acted())
