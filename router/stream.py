"""Many requests on one stream: some at a time, each answered as soon as it is ready.

Back-pressure goes both ways. A request is read only when there is room for it, so that a caller who
sends faster than the cells answer is held back by HTTP/2's flow control; and no more is read while
the caller does not take answers, since answers are handed on one by one. A request is held against its
connection for as long as it is in work.

No frame here has a name for an error, or for the future or task that keeps one: an error knows the frames
that it went through, and what only the garbage collector frees stays for long.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Protocol

# Bytes of requests in work after which no further one is read.
_MOST_BYTES = 4 * 2**20


class Requests(Protocol):
    """What `croupier.transport.context.Messages` does."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def keep(self) -> Callable[[], None]: ...


async def answer_all(
    requests: Requests,
    answer: Callable[[bytes], Awaitable[bytes]],
    *,
    at_once: int,
    most_bytes: int = _MOST_BYTES,
) -> AsyncGenerator[bytes, None]:
    """The answers to `requests` in the order that they get ready.

    At most `at_once` are in work, and no further one is read while those have `most_bytes`. What `answer`
    raises ends the stream. When the consumer goes, everything in work is cancelled.
    """
    work = _Work(answer, at_once, most_bytes)
    reading = asyncio.create_task(work.read(requests))
    try:
        while await work.has_ended_one():
            yield work.take()
            work.make_room()
    finally:
        await _cancel([reading, *work.working])


class _Work:
    """What is in work, and what has ended and was not taken."""

    def __init__(self, answer: Callable[[bytes], Awaitable[bytes]], at_once: int, most_bytes: int) -> None:
        self.working: set[asyncio.Future[bytes]] = set()
        self._answer = answer
        # An answer takes its room until it was taken by the consumer; its request's bytes until it is there.
        self._room = asyncio.Semaphore(at_once)
        self._most_bytes = most_bytes
        self._bytes = 0
        self._is_small = asyncio.Event()
        self._ended: deque[bytes | BaseException] = deque()
        self._is_read = False
        self._news = asyncio.Event()

    async def read(self, requests: Requests) -> None:
        """Begin with every request."""
        try:
            await self._room.acquire()
            async for request in requests:
                self._begin(request, requests.keep())
                del request
                await self._room.acquire()
                while self._bytes >= self._most_bytes:
                    self._is_small.clear()
                    await self._is_small.wait()
        except Exception as error:  # noqa: BLE001 - it ends the stream, behind what has ended before
            self._ended.append(error)
        finally:
            self._is_read = True
            self._news.set()

    async def has_ended_one(self) -> bool:
        """Wait for something to take; False when there will be nothing any more."""
        while not self._ended:
            if self._is_read and not self.working:
                return False
            self._news.clear()
            await self._news.wait()
        return True

    def take(self) -> bytes:
        """The next answer; raises what ends the stream."""
        if isinstance(self._ended[0], BaseException):
            raise self._ended.popleft()  # type: ignore[misc]
        return self._ended.popleft()  # type: ignore[return-value]

    def make_room(self) -> None:
        """An answer was taken."""
        self._room.release()

    def _begin(self, request: bytes, let_go: Callable[[], None]) -> None:
        future = asyncio.ensure_future(self._answer(request))
        self.working.add(future)
        self._bytes += len(request)
        future.add_done_callback(partial(self._end, len(request), let_go))

    def _end(self, size: int, let_go: Callable[[], None], future: asyncio.Future[bytes]) -> None:
        self.working.discard(future)
        self._bytes -= size
        self._is_small.set()
        let_go()
        if future.cancelled():
            self._ended.append(asyncio.CancelledError())
        else:
            self._ended.append(future.exception() or future.result())
        self._news.set()


async def _cancel(rest: list[asyncio.Future[bytes] | asyncio.Task[None]]) -> None:
    for left in rest:
        left.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
