"""How a process starts, runs and stops.

    run(main) ── main(life) ── builds its parts in an AsyncExitStack
                             │ life.ready("croupier-router on 127.0.0.1:8500")
                             │ await life.stopped()        SIGTERM, SIGINT, or a task that failed:
                             │                             the log says which
                             └ the stack closes the parts, last built first

Obligations of `main`: start nothing before its `async with`, spawn long-lived tasks with
`life.spawn`, and return once `stopped` has. A spawned task that raises stops the process with
exit code 1: a part that died in silence is worse than a restart.

A stop that comes before `ready` or `stopped` was called cancels `main`: a process that still waits
for another one at its start serves nobody, and would otherwise not hear the signal.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from croupier.errors import CroupierError

_log = logging.getLogger(__name__)


class Lifecycle:
    """The stop signal of a process and its supervised tasks."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._starting: asyncio.Task[None] | None = None
        self.failed = False

    def start(self, main: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `main`; until it is ready, a stop cancels it."""
        self._starting = asyncio.create_task(main, name="main")
        return self._starting

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` until it ends or the process stops."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def ready(self, line: str) -> None:
        """Tell whoever started us that we serve: one line on standard output."""
        self._starting = None
        print(f"{line} ready", flush=True)

    @property
    def stopping(self) -> bool:
        """Whether the process was asked to stop."""
        return self._stop.is_set()

    def stop(self, why: str = "it is asked to") -> None:
        """Ask the process to stop; returns at once. `why` is logged, the first time."""
        if not self.stopping:
            _log.info("stopping: %s", why)
        self._stop.set()
        starting, self._starting = self._starting, None
        if starting is not None:
            starting.cancel()

    async def stopped(self) -> None:
        """Return once the process was asked to stop."""
        self._starting = None
        await self._stop.wait()

    async def close(self) -> None:
        """Cancel the spawned tasks and wait for them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s failed", task.get_name(), exc_info=error)
            self.failed = True
            self.stop(f"{task.get_name()} failed")


def run(main: Callable[[Lifecycle], Coroutine[Any, Any, None]]) -> int:
    """Run `main` on uvloop until it is told to stop; returns the exit code.

    0 after a stop that was asked for, 1 when `main` or a spawned task raised; the reason goes to the
    log, with a traceback if it is not of the kind that an operator can mend.
    """
    return uvloop.run(_supervise(main))


async def _supervise(main: Callable[[Lifecycle], Coroutine[Any, Any, None]]) -> int:
    life = Lifecycle()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, life.stop, number.name)
    task = life.start(main(life))
    try:
        await task
    except asyncio.CancelledError:
        if not life.stopping:
            raise
    except Exception as error:  # noqa: BLE001 - whatever ended `main` decides the exit code
        foreseen = isinstance(error, (CroupierError, OSError))
        _log.error("stopped by an error: %s", error, exc_info=None if foreseen else error)
        return 1
    finally:
        await life.close()
    return 1 if life.failed else 0
