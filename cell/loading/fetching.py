"""An object store that is asked by a process of its own, so that its client takes no turn of the event loop.

A client for S3 is much Python for each object, and in a thread it would have the interpreter lock
for as long: a storm of cold models would be a storm of that. So `fetcher.py` asks, at a lower priority, and
what it was told arrives as a descriptor of a file in memory, which is the same work for any size.

A process that ends is started again with the next request, once a second at most; who waits for it is told to
try again.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

from cell.loading.fetcher import FAILURES, FOUND, HELLO, NUMBER_BYTES
from cell.loading.sources import unreadable
from croupier.errors import CroupierError, Unavailable

_START_SECONDS = 30.0
_AGAIN_SECONDS = 1.0
_STOP_SECONDS = 1.0


class FetchProcess:
    """A `Store` that asks the store at `url`; `start` it first, `close` it in the end."""

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        self._url = url
        self._clock = clock
        self._asked: dict[bytes, asyncio.Future[int]] = {}
        self._numbers = 0
        self._channel: socket.socket | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._started_at = float("-inf")

    async def start(self) -> None:
        """Raises InvalidSettings (the store cannot be opened) or Unavailable."""
        self._spawn()
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._wait(HELLO)
        except TimeoutError as error:
            raise Unavailable("the object store's process does not start") from error

    def failure(self, error: OSError, digest: bytes) -> CroupierError:
        return unreadable(error)

    async def fetch(self, digest: bytes) -> int:
        """As `Store.fetch`."""
        channel = self._channel or self._spawn()
        self._numbers += 1
        number = self._numbers.to_bytes(NUMBER_BYTES, "little")
        try:
            channel.send(number + digest)
        except OSError as error:
            raise _gone() from error
        return await self._wait(number)

    async def close(self) -> None:
        """Whoever waits is told that it is gone."""
        self._lose()
        child, self._child = self._child, None
        if child is not None:
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(child.wait, _STOP_SECONDS)
            if child.poll() is None:
                child.kill()
                await asyncio.to_thread(child.wait)

    async def _wait(self, number: bytes) -> int:
        asked = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            return int(await asked)
        finally:
            del self._asked[number]

    def _spawn(self) -> socket.socket:
        now = self._clock()
        if now - self._started_at < _AGAIN_SECONDS:
            raise _gone()
        self._started_at = now
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            argv = [sys.executable, "-m", "cell.loading.fetcher", self._url, str(theirs.fileno())]
            self._child = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
                argv, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        self._channel = ours
        asyncio.get_running_loop().add_reader(ours, self._take)
        return ours

    def _take(self) -> None:
        """One answer; the loop calls again while there are more, with others' turns in between."""
        assert self._channel is not None
        try:
            message, files, _, _ = socket.recv_fds(self._channel, 2048, 1)
        except BlockingIOError:
            return
        except OSError:
            message, files = b"", []
        if not message:
            self._lose()
            return
        asked = self._asked.get(message[:NUMBER_BYTES])
        code = message[NUMBER_BYTES]
        if asked is None or asked.done():
            # Nobody waits for it any more.
            for file in files:
                os.close(file)
        elif code == FOUND:
            asked.set_result(files[0] if files else -1)
        else:
            asked.set_exception(_error(code, message[NUMBER_BYTES + 1 :].decode(errors="replace")))

    def _lose(self) -> None:
        """The process has ended, or is not needed any more."""
        channel, self._channel = self._channel, None
        if channel is not None:
            asyncio.get_running_loop().remove_reader(channel)
            channel.close()
        if self._child is not None:
            # It ends, for its socket has; whoever does not wait for it leaves it in the table of processes.
            asyncio.get_running_loop().run_in_executor(None, self._child.wait)
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(_gone())


def _error(code: int, text: str) -> CroupierError:
    return FAILURES[code - 1](text)


def _gone() -> Unavailable:
    return Unavailable(
        "the object store's process has ended", reason="STORE_PROCESS", retry_after=_AGAIN_SECONDS
    )
