"""How long a thread may run before another that has woken gets its turn, as the kernel says."""

from __future__ import annotations

import ctypes
import platform

_SCHED_GETATTR = 315


class Attributes(ctypes.Structure):
    """As sched_getattr(2) fills it in."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )


def slice_microseconds(thread: int = 0) -> int:
    """Of a thread, or this one; 0 where nobody can tell."""
    if platform.machine() != "x86_64":
        return 0
    found = Attributes()
    ctypes.CDLL(None).syscall(_SCHED_GETATTR, thread, ctypes.byref(found), ctypes.sizeof(found), 0)
    return int(found.runtime) // 1000
