"""What was hot stays so over a restart: the digests of the hottest models in a small file, and their return.

    serving   the hottest are written every few seconds, so that a crash finds them
    stop      all are written
    start     they come back from the local disk, hottest first, after the cell is ready and between its
              requests, until a share of the capacity is full

The rest of the capacity is for what is asked for meanwhile. Restored models are aged: until they are
used they go before all others. Models that do not lie on the local disk are left to their first request.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from cell.loading.diskcache import DiskCache
from cell.loading.host import Host
from croupier.errors import CroupierError, Unavailable
from croupier.files import read_regular, write_whole
from croupier.names import DIGEST_BYTES

_log = logging.getLogger(__name__)

NAME = "hot"

_HEADER = b"croupier hot set 1\n"
_SECONDS = 5.0
# Written while serving: the event loop walks so many.
_HOTTEST = 20_000
_SHARE = 0.8
# Restored between two turns of the event loop.
_AT_ONCE = 4
_CHUNK = 500


def encode(digests: Iterable[bytes]) -> bytes:
    """The file's content."""
    return _HEADER + b"".join(digests)


def decode(data: bytes) -> list[bytes]:
    """The digests in the file; none if it is no such file."""
    if not data.startswith(_HEADER):
        return []
    body = data[len(_HEADER) :]
    return [body[at : at + DIGEST_BYTES] for at in range(0, len(body) - DIGEST_BYTES + 1, DIGEST_BYTES)]


class HotSet:
    """The hot set of `host`, in `folder`; `start` it when the cell is ready, `close` it before the host."""

    def __init__(self, folder: Path, host: Host, disk: DiskCache, *, seconds: float = _SECONDS) -> None:
        self._path = folder / NAME
        self._writing = threading.Lock()
        self._host = host
        self._disk = disk
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None
        # Before that, what the file says is better than what is here.
        self._is_restored = asyncio.Event()

    def is_empty(self) -> bool:
        """Whether there is nothing to bring back, as far as the file's size tells."""
        try:
            return self._path.stat().st_size <= len(_HEADER)
        except OSError:
            return True

    def start(self) -> None:
        """Bring the models back, then write what is hot, until closed."""
        self._task = asyncio.create_task(self._run(), name="hot-set")

    async def close(self) -> None:
        """Write all that is resident."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._is_restored.is_set():
            await self._write(self._host.hottest())

    async def restored(self) -> None:
        """Wait until everything is back that comes back."""
        await self._is_restored.wait()

    async def _run(self) -> None:
        await self._restore()
        self._is_restored.set()
        while True:
            await asyncio.sleep(self._seconds)
            await self._write(self._host.hottest(_HOTTEST))

    async def _write(self, digests: Sequence[bytes]) -> None:
        try:
            await asyncio.to_thread(self._write_whole, digests)
        except OSError as error:
            _log.warning("the hot set cannot be written: %s", error)

    def _write_whole(self, digests: Sequence[bytes]) -> None:
        # A thread goes on when who waits for it is cancelled, and the last word is written while it does.
        with self._writing:
            write_whole(self._path, encode(digests))

    async def _restore(self) -> None:
        began = time.monotonic()
        digests = await asyncio.to_thread(_read, self._path)
        count = 0
        for at in range(0, len(digests), _CHUNK):
            there = await asyncio.to_thread(self._disk.present, digests[at : at + _CHUNK])
            for begin in range(0, len(there), _AT_ONCE):
                if self._host.fullness() >= _SHARE:
                    break
                count += await self._restore_some(there[begin : begin + _AT_ONCE])
        if digests:
            took = time.monotonic() - began
            _log.info("%d of %d hot models are back after %.2f s", count, len(digests), took)

    async def _restore_some(self, digests: Sequence[bytes]) -> int:
        """How many came back."""
        failures: list[BaseException] = []
        waiting: list[bytes] = []
        for digest in digests:
            try:
                if not self._host.warm_now(digest):
                    waiting.append(digest)
            except CroupierError as error:
                failures.append(error)
        # Their files have to be waited for: the machine was started anew, too.
        warmed = (self._host.warm(digest, aged=True) for digest in waiting)
        results = await asyncio.gather(*warmed, return_exceptions=True)
        failures += [result for result in results if result is not None]
        for failure in failures:
            _log.info("a hot model is not restored: %s", failure)
        if any(isinstance(failure, Unavailable) for failure in failures):
            # No room, or no memory: what is asked for comes first.
            await asyncio.sleep(self._seconds)
        await asyncio.sleep(0)
        return len(digests) - len(failures)


def _read(path: Path) -> list[bytes]:
    """Runs in a thread."""
    try:
        return decode(read_regular(path))
    except FileNotFoundError:
        return []
    except OSError as error:
        _log.warning("the hot set cannot be read: %s", error)
        return []
