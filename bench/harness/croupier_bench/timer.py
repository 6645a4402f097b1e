"""A timer that counts nanoseconds: uvloop's count milliseconds, in which 20 requests of a usual load are due.

Linux's timerfd, as a file that the loop waits for.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1


class _Spec(ctypes.Structure):
    """struct itimerspec: an interval, which stays 0, and a moment."""

    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


class Timer:
    """Calls `fired` once at the moment that it was set to last."""

    def __init__(self, fired: Callable[[], None]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "no timer")
        self._set = self._libc.timerfd_settime
        self._spec = _Spec()
        self._pointer = ctypes.byref(self._spec)
        self._fired = fired
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._on_time)

    def set(self, moment: float) -> None:
        """`moment` on the clock of `time.monotonic`; one that is over comes at once."""
        # 0 would mean never.
        nanoseconds = max(int(moment * 1e9), 1)
        self._spec.seconds, self._spec.nanoseconds = divmod(nanoseconds, 1_000_000_000)
        self._set(self._fd, _ABSOLUTE, self._pointer, None)

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _on_time(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            # It was set again meanwhile.
            return
        self._fired()
