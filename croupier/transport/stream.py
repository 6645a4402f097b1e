"""One call with any number of messages each way, for whoever can wait.

    async with channel.stream("/package.Service/Method") as stream:
        await stream.send(b"…")
        stream.end()
        async for message in stream:
            …

`send` waits while the peer does not read, and `receive` opens the peer's window for what was taken: neither
side piles up what the other one cannot use. Leaving the block cancels a call that has not ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from croupier.codes import Code
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.client_session import ClientSession
from croupier.transport.metadata import Pairs, decode_pairs, encode_pairs
from croupier.transport.status import RpcError

_LATE = "the deadline has passed"


class Stream:
    """`find_session` gives a session that takes calls; `timeout` in seconds counts from here."""

    def __init__(
        self,
        find_session: Callable[[], asyncio.Future[ClientSession]],
        path: str,
        *,
        timeout: float | None,
        metadata: Iterable[tuple[str, str | bytes]],
    ) -> None:
        self._find_session = find_session
        self._pairs = encode_pairs(metadata)
        self._call = ClientCall(path.encode(), None, timeout)
        self._is_open = False
        self._is_ended = False
        self._waiters: list[asyncio.Future[Any]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._is_late = False
        self._opened = asyncio.Lock()
        if timeout is not None:
            self._timer = asyncio.get_running_loop().call_later(timeout, self._expire)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        message = await self.receive()
        if message is None:
            raise StopAsyncIteration
        return message

    async def send(self, message: bytes) -> None:
        """Send a message; waits while the peer does not read.

        A call that has ended takes no more: `receive` says how it ended.
        """
        await self._begin()
        self._call.send(message)
        while not (self._call.is_done or self._call.is_writable):
            await self._wait()

    def end(self) -> None:
        """Send no more messages."""
        self._is_ended = True
        if self._is_open:
            self._call.end()

    async def receive(self) -> bytes | None:
        """The next message; None when the call has ended with OK.

        Raises:
            RpcError: it ended in another way.
        """
        await self._begin()
        call = self._call
        while True:
            message: bytes | None = call.take()
            if message is not None:
                return message
            if call.is_done:
                break
            await self._wait()
        self._stop_timer()
        if self._is_late:
            raise RpcError(Code.DEADLINE_EXCEEDED, _LATE)
        if call.code != Code.OK:
            raise RpcError(call.code, call.status_message, call.details, self.trailing_metadata)
        return None

    async def receive_only(self) -> bytes:
        """The one message of a call that has one.

        Raises:
            RpcError: the call did not end with OK, or had no message, or more than one.
        """
        message = await self.receive()
        if message is None or await self.receive() is not None:
            raise RpcError(Code.INTERNAL, "the answer has not exactly one message")
        return message

    async def initial_metadata(self) -> Pairs:
        """What came ahead of the first message; empty when the call ended without."""
        await self._begin()
        while not (self._call.has_headers or self._call.is_done):
            await self._wait()
        return self._decode(self._call.raw_metadata())

    @property
    def trailing_metadata(self) -> Pairs:
        """What came with the status, once the call has ended."""
        return self._decode(self._call.raw_metadata(True))

    @property
    def is_unprocessed(self) -> bool:
        """Whether the call has ended unseen by the peer: it may be made once more."""
        return self._call.is_unprocessed

    def cancel(self) -> None:
        """End the call if it has not ended."""
        self._stop_timer()
        if not self._call.is_done:
            self._call.cancel()
            self._notify()

    async def _begin(self) -> None:
        """Put the call on the wire, once."""
        if self._is_open:
            return
        async with self._opened:
            while not (self._is_open or self._call.is_done):
                session = await self._wait_for_session()
                if session is not None:
                    self._call.tag = self._notify
                    self._is_open = session.open(self._call, self._pairs)
        if self._is_ended:
            self._call.end()

    async def _wait_for_session(self) -> ClientSession | None:
        """None when the call has ended instead: nobody waits for a connection beyond a deadline."""
        finding = self._find_session()
        # `cancel` and `_expire` end this wait like any other one.
        self._waiters.append(finding)
        try:
            session = await finding
        except ConnectionError as error:
            self._call.abort(Code.UNAVAILABLE, str(error))
            return None
        return None if self._call.is_done else session

    async def _wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _notify(self) -> None:
        if self._call.is_done:
            # The call and its stream know each other: once is enough.
            self._call.tag = None
            self._is_late = self._is_late or self._was_reset_at_its_deadline()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _was_reset_at_its_deadline(self) -> bool:
        """Servers keep the deadline too: a reset by one, as by Java's, may come just ahead of our timer."""
        if self._timer is None or not self._call.is_broken or self._call.code != Code.CANCELLED:
            return False
        return asyncio.get_running_loop().time() >= self._timer.when()

    def _expire(self) -> None:
        self._call.abort(Code.DEADLINE_EXCEEDED, _LATE)
        self._notify()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _decode(self, raw: list[tuple[bytes, bytes]]) -> Pairs:
        try:
            return decode_pairs(raw)
        except ValueError as error:
            raise RpcError(Code.INTERNAL, f"the metadata cannot be read: {error}") from error
