"""How many bytes of C heap this process has in use, as glibc counts them.

Native code keeps its models there, so the difference around a load is what the model costs.
It is somewhat less than what sessions of ONNX Runtime take of resident memory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable


class _MallInfo(ctypes.Structure):
    """struct mallinfo2 of malloc.h."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    )


def _find_mallinfo() -> Callable[[], _MallInfo] | None:
    function = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if function is None:
        return None
    function.restype = _MallInfo
    return function  # type: ignore[no-any-return]


_mallinfo = _find_mallinfo()


def heap_bytes() -> int | None:
    """Bytes in use in all arenas and in blocks mapped on their own; None where nobody counts.

    Where another allocator stands in glibc's place, as AddressSanitizer's does, glibc counts nothing.
    """
    if _mallinfo is None:
        return None
    info = _mallinfo()
    return int(info.uordblks) + int(info.hblkhd) or None
