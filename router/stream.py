"""Many requests on one stream: some at a time, each answered as soon as it is ready.

Back-pressure goes both ways. A request is read only when there is room for it, so that a caller who
sends faster than the cells answer is held back by HTTP/2's flow control; and no more is read while
the caller does not take answers, since answers are handed on one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any


async def answer_all(
    requests: AsyncIterator[bytes], answer: Callable[[bytes], Awaitable[bytes]], *, at_once: int
) -> AsyncGenerator[bytes, None]:
    """The answers to `requests` in the order that they get ready; at most `at_once` in work.

    What `answer` raises ends the stream. When the consumer goes, everything in work is cancelled.
    """
    # An answer takes its room until it was taken by the consumer.
    room = asyncio.Semaphore(at_once)
    working: set[asyncio.Future[bytes]] = set()
    ended: asyncio.Queue[asyncio.Future[Any]] = asyncio.Queue()

    def end(future: asyncio.Future[bytes]) -> None:
        working.discard(future)
        ended.put_nowait(future)

    async def read() -> None:
        await room.acquire()
        async for request in requests:
            future = asyncio.ensure_future(answer(request))
            working.add(future)
            future.add_done_callback(end)
            await room.acquire()

    reading = asyncio.create_task(read())
    reading.add_done_callback(ended.put_nowait)
    try:
        while working or not ended.empty() or not reading.done():
            future = await ended.get()
            result = future.result()
            if future is not reading:
                yield result
                room.release()
    finally:
        rest: list[asyncio.Future[Any]] = [reading, *working]
        for left in rest:
            left.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
