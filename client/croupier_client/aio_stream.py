"""The asyncio I/O of one stream: items in, answers out, a new connection when one breaks.

Two things are waited for at once, the caller's next item and the server's next answer. Items are
pulled by a task that outlives connections, since cancelling it could lose the item that it is
about to bring; every request goes through the outbox of the connection that stands.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Any, Optional

import grpc

from croupier_client.decode import Outcome
from croupier_client.encode import Item
from croupier_client.ending import Ending, ended_early
from croupier_client.errors import Cancelled, CroupierError
from croupier_client.messages import prediction as pb
from croupier_client.window import Window

# How long a server may take to end a stream that has nothing left to say.
_FAREWELL = 1.0

Connect = Callable[[AsyncIterator[pb.PredictStreamRequest], Optional[float]], Any]


class AsyncExchange:
    """`answer()` until it returns None, then `aclose()`."""

    def __init__(self, connect: Connect, items: Iterable[Item] | AsyncIterable[Item], window: Window) -> None:
        self._connect = connect
        self._items = (items if isinstance(items, AsyncIterable) else _each(items)).__aiter__()
        self._window = window
        self._exhausted = False
        # Outcomes of items that could not be sent.
        self._refused: deque[tuple[int, Outcome]] = deque()
        self._call: Any = None
        self._outbox: asyncio.Queue[pb.PredictStreamRequest | None] = asyncio.Queue()
        self._pulling: asyncio.Task[Item | None] | None = None
        self._reading: asyncio.Task[Any] | None = None

    async def answer(self) -> tuple[int, Outcome] | None:
        """The next item's id and outcome; None when every item has one.

        Raises:
            CroupierError: the stream failed for good.
            Exception: whatever `items` raised.
        """
        while not self._exhausted or self._window:
            await asyncio.wait(self._waiting(), return_when=asyncio.FIRST_COMPLETED)
            self._take_item()
            if self._refused:
                return self._refused.popleft()
            if (answered := await self._take_answer()) is not None:
                return answered
        return None

    async def aclose(self) -> None:
        """Stop pulling items; end the call, gently when all was answered."""
        if self._reading is not None and self._exhausted and not self._window:
            await asyncio.wait([self._reading], timeout=_FAREWELL)
        self._hang_up()
        tasks = [task for task in (self._pulling, self._reading) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _waiting(self) -> list[asyncio.Task[Any]]:
        if self._call is None:
            self._open()
        if self._pulling is None and not self._exhausted and self._window.has_room:
            self._pulling = asyncio.create_task(self._pull())
        if self._reading is None:
            self._reading = asyncio.create_task(self._call.read())
        return [task for task in (self._pulling, self._reading) if task is not None]

    async def _pull(self) -> Item | None:
        try:
            return await self._items.__anext__()
        except StopAsyncIteration:
            return None

    def _take_item(self) -> None:
        if self._pulling is None or not self._pulling.done():
            return
        task, self._pulling = self._pulling, None
        item = task.result()
        if item is None:
            self._exhausted = True
            self._outbox.put_nowait(None)
            return
        id_, request = self._window.offer(item)
        if isinstance(request, CroupierError):
            self._refused.append((id_, request))
        else:
            self._outbox.put_nowait(request)

    async def _take_answer(self) -> tuple[int, Outcome] | None:
        if self._reading is None or not self._reading.done():
            return None
        task, self._reading = self._reading, None
        try:
            response = task.result()
        except grpc.aio.AioRpcError as error:
            await self._lost(await self._ending.error(error))
            return None
        except asyncio.CancelledError:
            # It is the call that was cancelled, by a channel that closes, and not whoever waits here.
            raise Cancelled("the client was closed") from None
        if response is grpc.aio.EOF:
            await self._lost(ended_early())
            return None
        return self._window.accept(response)

    async def _lost(self, error: CroupierError) -> None:
        self._hang_up()
        await asyncio.sleep(self._window.broken(error, time.monotonic()))

    def _open(self) -> None:
        self._outbox = asyncio.Queue()
        for request in self._window.unanswered():
            self._outbox.put_nowait(request)
        if self._exhausted:
            self._outbox.put_nowait(None)
        timeout = self._window.deadline.timeout(time.monotonic())
        try:
            self._call = self._connect(_drain(self._outbox), timeout)
        except grpc.aio.UsageError:
            raise Cancelled("the client was closed") from None
        self._ending = Ending(self._call)

    def _hang_up(self) -> None:
        if self._call is not None:
            # grpcio leaves the task that reads requests running when the server ended the call.
            self._outbox.put_nowait(None)
            self._call.cancel()
            self._call = None


async def _each(items: Iterable[Item]) -> AsyncIterator[Item]:
    for item in items:
        yield item


async def _drain(
    outbox: asyncio.Queue[pb.PredictStreamRequest | None],
) -> AsyncIterator[pb.PredictStreamRequest]:
    while (request := await outbox.get()) is not None:
        yield request
