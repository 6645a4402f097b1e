"""Many requests on one stream: some at a time, each answered as soon as it is ready.

Back-pressure goes both ways. A request is read only when there is room for it, so that a caller who
sends faster than the cells answer is held back by HTTP/2's flow control; and no more is read while
the caller does not take answers, since answers are handed on one by one.

No frame here has a name for an error, or for the future or task that keeps one: an error knows the frames
that it went through, and what only the garbage collector frees stays for long.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable


async def answer_all(
    requests: AsyncIterator[bytes], answer: Callable[[bytes], Awaitable[bytes]], *, at_once: int
) -> AsyncGenerator[bytes, None]:
    """The answers to `requests` in the order that they get ready; at most `at_once` in work.

    What `answer` raises ends the stream. When the consumer goes, everything in work is cancelled.
    """
    work = _Work(answer, at_once)
    reading = asyncio.create_task(work.read(requests))
    try:
        while await work.has_ended_one():
            yield work.take()
            work.make_room()
    finally:
        await _cancel([reading, *work.working])


class _Work:
    """What is in work, and what has ended and was not taken."""

    def __init__(self, answer: Callable[[bytes], Awaitable[bytes]], at_once: int) -> None:
        self.working: set[asyncio.Future[bytes]] = set()
        self._answer = answer
        # An answer takes its room until it was taken by the consumer.
        self._room = asyncio.Semaphore(at_once)
        self._ended: deque[bytes | BaseException] = deque()
        self._is_read = False
        self._news = asyncio.Event()

    async def read(self, requests: AsyncIterator[bytes]) -> None:
        """Begin with every request."""
        try:
            await self._room.acquire()
            async for request in requests:
                self._begin(request)
                del request
                await self._room.acquire()
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

    def _begin(self, request: bytes) -> None:
        future = asyncio.ensure_future(self._answer(request))
        self.working.add(future)
        future.add_done_callback(self._end)

    def _end(self, future: asyncio.Future[bytes]) -> None:
        self.working.discard(future)
        if future.cancelled():
            self._ended.append(asyncio.CancelledError())
        else:
            self._ended.append(future.exception() or future.result())
        self._news.set()


async def _cancel(rest: list[asyncio.Future[bytes] | asyncio.Task[None]]) -> None:
    for left in rest:
        left.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
