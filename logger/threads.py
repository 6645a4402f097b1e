"""The threads that do a logger's work: behind whoever else is on the host, as long as that keeps up.

To decode a record takes about as long as a router takes for the request, and nobody waits for it, while a
router answers from one turn of its loop to the next. So the work is done by threads of low priority (nice):
they have what others leave of the processors, and about a tenth of one where others leave nothing. The loop
itself stays as it is, and sees whether that is enough; where it is not, the work is done at the usual
priority, until it is.

A thread cannot come back from a low priority by itself (RLIMIT_NICE), so there are threads of both kinds. And
a logger that is started lower than that stays where it is.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

NICE = 10
_MOST = 4


class Threads:
    """What `asyncio.to_thread` uses in the running loop once it was said whether to `hurry`; `close` them."""

    def __init__(self) -> None:
        self._low = ThreadPoolExecutor(_MOST, "behind", initializer=_give_way)
        self._usual = ThreadPoolExecutor(_MOST, "beside")

    def hurry(self, is_late: bool) -> None:
        """Have what begins from now on done at the usual priority if it `is_late`."""
        asyncio.get_running_loop().set_default_executor(self._usual if is_late else self._low)

    def close(self) -> None:
        self._low.shutdown()
        self._usual.shutdown()


def _give_way() -> None:
    # Where a priority is a process's and not a thread's, it stays as it is.
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, max(NICE, os.getpriority(os.PRIO_PROCESS, thread)))
