"""The habits of glibc's malloc that `croupier.malloc` ends, each in a process that would keep 16 MiB."""

from __future__ import annotations

import subprocess
import sys

import pytest

_BEGIN = """
import ctypes, resource, threading
from croupier.malloc import give_back_what_is_freed

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

def filled(size):
    block = libc.malloc(size)
    libc.memset(block, 1, size)
    return block

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

give_back_what_is_freed()
before = resident()
"""

# What was read from a socket, below a few bytes of a connection that lives.
_BELOW_THE_LAST = """
def read():
    blocks = [filled(64 * 1024) for _ in range(256)]
    kept.append(filled(64))
    for block in blocks:
        libc.free(block)

kept = []
for _ in range(4):
    reader = threading.Thread(target=read)
    reader.start()
    reader.join()
"""

# A large block, from which malloc learns, then messages.
_AFTER_A_LARGE_ONE = """
libc.free(filled(16 * 2**20))
for block in [filled(2**20) for _ in range(24)]:
    libc.free(block)
"""

_END = """
print(resident() - before)
"""


@pytest.mark.parametrize("deed", [_BELOW_THE_LAST, _AFTER_A_LARGE_ONE], ids=["below the last", "learned"])
def test_what_is_freed_is_given_back(deed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BEGIN + deed + _END], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 4 * 2**20
