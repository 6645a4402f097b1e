"""The process that asks an object store on behalf of a cell, which starts it (`fetching.py`).

A request is a number of 8 bytes and a digest. The answer is that number and a byte that says what came of it,
with a descriptor of a file in memory or with a text. It ends when the cell does: then its socket has an end.
Signals are the cell's to understand, which may need this process while it drains.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress

from cell.loading.sources import in_memory
from croupier.errors import CroupierError, DataLoss, InternalError, NotFound, Unavailable
from croupier.priority import step_back
from croupier.settings import InvalidSettings
from croupier.stores.objects import ObjectStore, open_store
from croupier.stores.refused import StoreRefused

NUMBER_BYTES = 8
# The number of what is no answer: whether the store could be opened.
HELLO = bytes(NUMBER_BYTES)

FOUND = 0
# What failed, by its place here plus 1; what is not here is passing.
FAILURES: tuple[type[CroupierError], ...] = (Unavailable, NotFound, DataLoss, StoreRefused, InvalidSettings)

_MOST_TEXT = 1000
_AGAIN_SECONDS = 0.001


class _Fetcher:
    def __init__(self, store: ObjectStore, channel: socket.socket) -> None:
        self._store = store
        self._channel = channel
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Serve until the cell is gone."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._channel, self._take)
        await self._ended.wait()
        loop.remove_reader(self._channel)

    def _take(self) -> None:
        try:
            request = self._channel.recv(1024)
        except BlockingIOError:
            return
        except OSError:
            request = b""
        if not request:
            self._ended.set()
            return
        task = asyncio.create_task(self._answer(request[:NUMBER_BYTES], request[NUMBER_BYTES:]))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, number: bytes, digest: bytes) -> None:
        try:
            data = await self._store.get(digest)
            file = in_memory(data)
        except Exception as error:  # noqa: BLE001 (it is told to the cell, whatever it is)
            await send(self._channel, number + _failure(error))
            return
        try:
            await send(self._channel, number + bytes([FOUND]), file)
        finally:
            os.close(file)


async def send(channel: socket.socket, message: bytes, file: int = -1) -> None:
    """Send one message, with a descriptor if there is one; waits while the other side does not read."""
    while True:
        try:
            if file < 0:
                channel.send(message)
            else:
                socket.send_fds(channel, [message], [file])
            return
        except BlockingIOError:
            await asyncio.sleep(_AGAIN_SECONDS)
        except OSError:
            # The cell is gone, which the reader notices.
            return


def _failure(error: Exception) -> bytes:
    code = next((place for place, kind in enumerate(FAILURES) if isinstance(error, kind)), None)
    if code is None:
        error, code = InternalError(f"the object store's process failed: {type(error).__name__}"), 0
    return bytes([code + 1]) + str(error).encode()[:_MOST_TEXT]


async def _run(url: str, channel: socket.socket) -> None:
    try:
        async with open_store(url) as store:
            await send(channel, HELLO + bytes([FOUND]))
            await _Fetcher(store, channel).run()
    except InvalidSettings as error:
        await send(channel, HELLO + _failure(error))


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    step_back()
    url, descriptor = sys.argv[1:]
    with socket.socket(fileno=int(descriptor)) as channel, suppress(KeyboardInterrupt):
        channel.setblocking(False)
        asyncio.run(_run(url, channel))


if __name__ == "__main__":
    main()
