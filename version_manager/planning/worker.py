"""The one thread in which populations are counted, so that the manager's loop goes on meanwhile.

One thing at a time: what is asked takes memory for all tenants, and a second thread would get no second
processor, since both need the interpreter for much of it. Who asks while enough others wait is told to come
back; who hangs up before it is their turn is forgotten.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from croupier.errors import Unavailable

T = TypeVar("T")

# Under way and waiting.
MOST = 8
_RETRY_SECONDS = 1.0
# After so long the thread gives way to the loop, each time that there is something to do there.
_SWITCH_SECONDS = 0.0005


class Busy(Unavailable):
    """As much is being counted as may wait. Ours, passing."""

    reason = "PLANNER_BUSY"


class Worker:
    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="planner")
        self._pending = 0

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns, which is called in the thread. Raises Busy, and whatever `work` raises."""
        if self._pending >= MOST:
            raise Busy(f"{MOST} plans are under way or wait already", retry_after=_RETRY_SECONDS)
        loop = asyncio.get_running_loop()
        self._pending += 1
        future = self._thread.submit(_giving_way, work)
        # Of the thread's own future: the one that is awaited here ends when its caller hangs up.
        future.add_done_callback(lambda done: self._ended(loop, done))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Begin nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _ended(self, loop: asyncio.AbstractEventLoop, _: Future[T]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        self._pending -= 1


def _giving_way(work: Callable[[], T]) -> T:
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        return work()
    finally:
        sys.setswitchinterval(before)
