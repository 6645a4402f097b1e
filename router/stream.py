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
    reading: asyncio.Task[bytes | None] | None = None
    working: set[asyncio.Future[bytes]] = set()
    more = True
    try:
        while more or working:
            if more and reading is None and len(working) < at_once:
                reading = asyncio.create_task(_read(requests))
            waiting: list[asyncio.Future[Any]] = [*working, *([reading] if reading else [])]
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in working & done:
                working.discard(task)
                yield task.result()
            if reading and reading in done:
                request, reading = reading.result(), None
                more = request is not None
                if request is not None:
                    working.add(asyncio.ensure_future(answer(request)))
    finally:
        rest: list[asyncio.Future[Any]] = [*working, *([reading] if reading else [])]
        for left in rest:
            left.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


async def _read(requests: AsyncIterator[bytes]) -> bytes | None:
    return await anext(requests, None)
