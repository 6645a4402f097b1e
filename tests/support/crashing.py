"""A process that names artifacts in its journal and comes to an end; run as a script by `die`.

die(folder, "segv", score="culprit", load="other")
"""

from __future__ import annotations

import ctypes
import faulthandler
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from cell.crash import slots
from cell.crash.journal import Journal


def named(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def die(folder: Path, how: str, *, mine: str = "", others: tuple[str, ...] = ()) -> tuple[int, str]:
    """Run a process that ends like `how`; returns its exit code and what it said.

    The thread that dies was scoring `mine`, others were loading `others`.
    """
    done = subprocess.run(
        [sys.executable, __file__, str(folder), how, mine, *others],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def _end(how: str) -> None:
    match how:
        case "segv":
            ctypes.memset(0, 1, 8)
        case "overflow":
            _overflow()
        case "abort":
            ctypes.CDLL(None).abort()
        case "fpe":
            signal.raise_signal(signal.SIGFPE)
        case "sent":
            # By somebody else.
            subprocess.run(["/bin/kill", "-SEGV", str(os.getpid())], check=True)
            time.sleep(30)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            # The watchdog's. Native code that keeps the interpreter's lock meanwhile, as most of it does.
            ctypes.PyDLL(None).sleep(30)
        case "close":
            pass
        case _:
            raise ValueError(how)


def _overflow() -> None:
    """Native code that calls itself until the stack is full: a callback of its own."""
    libc = ctypes.CDLL(None)
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    array = (ctypes.c_int * 2)(2, 1)

    def again(left: int, right: int) -> int:
        libc.qsort(array, 2, 4, callback)
        return 0

    callback = compare(again)
    sys.setrecursionlimit(2**31 - 1)
    libc.qsort(array, 2, 4, callback)


def main(folder: str, how: str, mine: str, *others: str) -> None:
    # Of the thread that dies alone: the stacks of others move while they are read, which may end it anew.
    if how.startswith("faulthandler-"):
        faulthandler.enable(all_threads=False)
    journal = Journal.open(Path(folder), time.time)
    if how == "hang":
        slots.watch(scoring=0.3, loading=0.0)
    if how.endswith("-faulthandler"):
        faulthandler.enable(all_threads=False)
    # In the thread of the event loop, where small models are scored.
    is_main = how.startswith("main-")
    threading.stack_size(2**20)
    ready = threading.Barrier(len(others) + 1)

    def stand_by(name: str) -> None:
        with slots.Naming(named(name), slots.LOAD):
            ready.wait()
            time.sleep(60)

    def work() -> None:
        ready.wait()
        if mine:
            slots.Naming(named(mine), slots.SCORE).__enter__()
        _end(how.removeprefix("faulthandler-").removesuffix("-faulthandler").removeprefix("main-"))

    for other in others:
        threading.Thread(target=stand_by, args=(other,), daemon=True).start()
    if is_main:
        work()
    else:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    journal.close()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
