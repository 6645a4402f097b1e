"""Has the C library give back to the system what was freed, for a process whose libraries have many threads.

glibc's malloc keeps it, by two habits that make sense where memory is soon asked for again:

- Whenever a block is freed that was mapped on its own, blocks of up to its size (32 MiB at most) come from an
  arena from then on, and an arena gives nothing back before it has twice that at its end.
- Threads have arenas of their own, and the end of each goes back only as far as the last block in use. A few
  bytes of a connection that lives keep whatever was read from the socket below them. `malloc_trim` does not
  even look at the ends of these arenas.

So a version manager kept several times the heap that it had in use, after uploads that stop half way; `make
faults` does it, and sees that it does not. One arena that has only small blocks keeps a few megabytes. What
is mapped costs a system call and its page faults, so this is not for the data plane.
"""

from __future__ import annotations

import ctypes

# Of malloc.h.
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
# Below the pieces of 64 KiB in which grpcio reads from sockets.
_MAPPED_FROM = 32 * 2**10


def give_back_what_is_freed() -> None:
    """For all threads that begin after this; nothing where the C library has no such settings."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM)
