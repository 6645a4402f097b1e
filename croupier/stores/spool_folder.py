"""A writer's part of the spool: a folder of segments, one of them always ready.

A thread makes segments, so that whoever appends meets no disk: when the spare one is taken, it makes the
next, of one that was given back if there is any, and unmaps the one that is full. There is none to be had
while the spool holds as many as it may, those of other writers and of ended ones among them, since no logger
has read any; or while the disk is full. Then what does not fit is dropped and counted. The thread looks again
every second.

New pages are tens of milliseconds of a processor for each segment, and where the thread has no processor of
its own, requests would wait for their turn beside it. So it makes them piece by piece and rests in between.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from croupier.files import open_regular, own_folder
from croupier.stores.spool import EMPTY, LOCK, SUFFIX
from croupier.stores.spool_writer import Appender

_log = logging.getLogger(__name__)

SEGMENT_BYTES = 16 * 2**20
_PIECE_BYTES = 128 * 2**10
# Never written to, so that it has no memory of its own.
_ZEROS = bytes(_PIECE_BYTES)
_LOOK_SECONDS = 1.0
# Between two pieces: a segment takes a tenth of a second, in which no writer fills one.
_REST_SECONDS = 0.0005


def _rest() -> None:
    time.sleep(_REST_SECONDS)


class Spool:
    """Segments in `folder`/`incarnation`; all in `folder` have `most_bytes`. `close` it at the end.

    Append to `appender`. `tend` makes room; `begin` has a thread do that, which calls `rest` again and again.

    Raises:
        OSError: the folder cannot be used, or another process writes there.
        ValueError: there is no room for two segments.
    """

    def __init__(
        self,
        folder: Path,
        incarnation: str,
        most_bytes: int,
        segment_bytes: int = SEGMENT_BYTES,
        rest: Callable[[], None] = _rest,
    ) -> None:
        self._most = most_bytes // segment_bytes
        if self._most < 2:
            raise ValueError(f"a spool has room for two segments: {2 * segment_bytes} bytes")
        self.folder = folder / incarnation
        own_folder(folder)
        self._lock = _claimed(self.folder)
        self._wanted = threading.Event()
        self._rest = rest
        self.appender = Appender(segment_bytes, self._wanted.set)
        self._next = 0
        self._is_closed = self._is_told = False
        self._thread: threading.Thread | None = None
        for _ in range(2):
            self.tend()

    def begin(self) -> Self:
        """Tend it in a thread from now on."""
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()
        return self

    def tend(self) -> None:
        """Unmap what is full; have a spare segment if there may be one."""
        self.appender.let_go()
        if self.appender.has_spare or self._is_closed:
            return
        try:
            given_back = next(self.folder.glob(f"*{EMPTY}"), None)
            if given_back is not None:
                self._take(given_back)
            elif self._count() >= self._most and not self._free():
                self._tell("it is full: no logger has read it")
                return
            else:
                self._make()
            self._is_told = False
        except OSError as error:
            self._tell(str(error))

    def close(self) -> None:
        """Append nothing more; what is there stays for the logger."""
        self._is_closed = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
        self.appender.close()
        os.close(self._lock)

    def _run(self) -> None:
        while not self._is_closed:
            self._wanted.wait(_LOOK_SECONDS)
            self._wanted.clear()
            self.tend()

    def _count(self) -> int:
        """Files of all writers, those that wait to be used again among them."""
        return sum(path.suffix in (SUFFIX, EMPTY) for path in self.folder.parent.glob("*/*"))

    def _free(self) -> bool:
        """Remove what waits for another writer, which may not need it for long; whether there was any."""
        for path in self.folder.parent.glob(f"*/*{EMPTY}"):
            path.unlink(missing_ok=True)
            return True
        return False

    def _make(self) -> None:
        # Under another name until it is whole: a reader meets no half of one.
        unfinished = self.folder / f"{self._next:016x}.new"
        file = open_regular(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            # A full disk is met here, and not as SIGBUS in the midst of a request.
            os.posix_fallocate(file, 0, self.appender.segment_size)
            fill(file, self.appender.segment_size, self._rest if self._thread is not None else None)
            self._use(unfinished, file)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        finally:
            os.close(file)

    def _take(self, given_back: Path) -> None:
        """Have what a reader gave back for the next segment; what is none is removed."""
        try:
            file = open_regular(given_back, os.O_RDWR)
            try:
                if os.fstat(file).st_size != self.appender.segment_size:
                    raise OSError(f"what was given back is no segment: {given_back}")
                self._use(given_back, file)
            finally:
                os.close(file)
        except OSError:
            given_back.unlink(missing_ok=True)
            raise

    def _use(self, prepared: Path, file: int) -> None:
        path = self.folder / f"{self._next:016x}{SUFFIX}"
        os.replace(prepared, path)
        try:
            self.appender.give(file, self._next)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self._next += 1

    def _tell(self, why: str) -> None:
        """Once for each time that it begins."""
        if not self._is_told:
            _log.warning("the spool takes nothing more once its segment is full: %s", why)
        self._is_told = True


def fill(file: int, size: int, rest: Callable[[], None] | None = None) -> None:
    """Have pages of `file` in memory: written to, many come at a time; by stores, each would by itself.

    `rest` is called after each piece of them.
    """
    for at in range(0, size, _PIECE_BYTES):
        os.pwrite(file, _ZEROS[: size - at], at)
        if rest is not None:
            rest()


def _claimed(folder: Path) -> int:
    """Have `folder`, locked; returns the lock, which is held for as long as it is open.

    Readers pass by what begins with a dot: they meet no folder whose writer does not hold its lock yet.
    """
    unfinished = folder.with_name(f".{folder.name}")
    own_folder(unfinished)
    lock = open_regular(unfinished / LOCK, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(unfinished, folder)
    except OSError:
        os.close(lock)
        raise
    return lock
