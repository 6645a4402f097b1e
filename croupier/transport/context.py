"""An ordinary `async def` handler and its call: messages in, messages out, and how it ends.

A handler runs in a task of its own. The task is cancelled when the peer cancels the call or goes, and
when the deadline passes. Back-pressure goes both ways: messages are taken one by one, which opens the
peer's window, and `send` waits while the peer does not read.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing
from functools import partial
from typing import Any

from croupier import request_ids
from croupier.deadline import Deadline
from croupier.errors import CroupierError, DeadlineExceeded, InternalError, InvalidRequest, Unavailable
from croupier.request_ids import RequestId
from croupier.telemetry import traces
from croupier.telemetry.traces import Span
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.metadata import Pairs, decode_pairs, encode_pairs
from croupier.transport.net.turns import next_turn
from croupier.transport.status import RpcError, from_error

_log = logging.getLogger(__name__)

# Messages that a handler gets before others have their turn: a peer may send 200,000 in a megabyte.
_AT_ONCE = 64


class Context:
    """What a handler knows of its call."""

    def __init__(self, call: ServerCall, peer: str) -> None:
        self.peer = peer
        self.deadline = Deadline(call.deadline)
        self._call = call
        self._initial: list[tuple[bytes, bytes]] = []
        self._trailing: list[tuple[bytes, bytes]] = []
        self._is_begun = False
        # A handler may read in one task and write in another.
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def is_named(self) -> bool:
        """Whether the caller gave an id, or wants to hear of one."""
        return self._call.is_named

    @property
    def request_id(self) -> RequestId:
        """What the request is called."""
        return self._call.request_id

    @property
    def priority(self) -> int:
        """What the caller says of when it is to be shed (`croupier.priorities`)."""
        return self._call.priority

    @property
    def metadata(self) -> Pairs:
        """The request's custom metadata; values of `-bin` keys are bytes.

        Raises:
            InvalidRequest: such a value is not base64.
        """
        try:
            return decode_pairs(self._call.raw_metadata())
        except ValueError as error:
            raise InvalidRequest(f"the metadata cannot be read: {error}", field="metadata") from error

    @property
    def span(self) -> Span | None:
        """What is traced of the call; it ends with it, and what its task does is below it."""
        return self._call.span

    @span.setter
    def span(self, span: Span | None) -> None:
        self._call.span = span
        traces.current.set(span)

    def values(self, name: bytes) -> tuple[bytes, ...]:
        """The raw values of one metadata key."""
        return self._call.values(name)

    def send_initial_metadata(self, pairs: Iterable[tuple[str, str | bytes]]) -> None:
        """Send metadata ahead of the first message. Raises ValueError for what cannot be metadata."""
        self._initial += encode_pairs(pairs)
        self._begin()

    def begin(self) -> None:
        """Send the headers now: the peer sees that its call is being worked on."""
        if self._call.is_open:
            self._call.begin()

    def set_trailing_metadata(self, pairs: Iterable[tuple[str, str | bytes]]) -> None:
        """Set the metadata that go with the status. Raises ValueError for what cannot be metadata."""
        self._trailing = encode_pairs(pairs)

    @property
    def noted(self) -> list[tuple[bytes, bytes]] | None:
        """What was noted last."""
        return self._call.noted

    def note(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """Have metadata, encoded, go with a good answer."""
        self._call.noted = pairs

    def messages(self) -> Messages:
        """The request's messages, as they come."""
        return Messages(self._call, self._wait)

    def put(self, message: bytes) -> None:
        """Queue a message."""
        self._begin()
        self._call.send(message)

    async def send(self, message: bytes) -> None:
        """Send a message; waits while the peer does not read."""
        self.put(message)
        while self._call.is_open and not self._call.is_writable:
            await self._wait()

    def finish(self) -> None:
        self._begin()
        self._call.finish(self._trailing)

    def fail(self, error: BaseException) -> None:
        """End with the status that stands for `error`."""
        if not isinstance(error, CroupierError) or isinstance(error, InternalError):
            _log.error("a request failed inside", exc_info=error)
        status = from_error(error)
        try:
            trailing = encode_pairs(error.trailing_metadata) if isinstance(error, RpcError) else []
            self._call.fail(status.code, status.message, status.details, [*self._trailing, *trailing])
        except (ValueError, InternalError) as mistake:
            # A peer that is told nothing would wait for ever; one that misses metadata would not.
            _log.error("a call ends without its trailing metadata", exc_info=mistake)
            self._call.fail(status.code, status.message, status.details)

    def notify(self) -> None:
        """Something has come, or there is room again."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _begin(self) -> None:
        if self._is_begun:
            return
        self._is_begun = True
        if self._initial:
            self._call.begin(self._initial)

    async def _wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter


class Messages(AsyncIterator[bytes]):
    """A request's messages, one by one. Each is held for its connection until the next one is asked for."""

    def __init__(self, call: ServerCall, wait: Callable[[], Awaitable[None]]) -> None:
        self._call = call
        self._wait = wait
        self._taken = 0
        # The size of the last message, while it is held here.
        self._held: int | None = None

    async def __anext__(self) -> bytes:
        if self._held is not None:
            self._call.let_go(self._held)
            self._held = None
        if self._taken % _AT_ONCE == _AT_ONCE - 1:
            await next_turn()
        while (message := self._call.take(True)) is None:
            if self._call.is_remote_ended or not self._call.is_open:
                raise StopAsyncIteration
            await self._wait()
        self._taken += 1
        self._held = len(message)
        return message

    def keep(self) -> Callable[[], None]:
        """Have the last message held until the function that this returns is called."""
        assert self._held is not None
        held, self._held = self._held, None
        return partial(self._call.let_go, held)


async def run(call: ServerCall, context: Context, handler: Any) -> None:
    """Run the handler for `call` to its end, within the call's deadline, and answer."""
    request_ids.current.set(call.request_id)
    if call.span is not None:
        traces.current.set(call.span)
    timeout = None if call.deadline == math.inf else call.deadline - time.monotonic()
    if timeout is not None and timeout <= 0:
        context.fail(DeadlineExceeded("the deadline has passed"))
        return
    try:
        async with asyncio.timeout(timeout) as limit:
            await _serve(call, context, handler)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            # The handler waited for something that was cancelled: no reason to try again.
            context.fail(error)
            return
        # By the peer, who hears nothing any more, or because the server stops. Nobody waits for the task, and
        # one that ended with the error would keep it, and the error its frames, which know the task.
        if call.is_open:
            context.fail(Unavailable("the server is stopping", reason="STOPPING"))
    except Exception as error:  # noqa: BLE001 - nothing may surface as UNKNOWN
        if isinstance(error, TimeoutError) and limit.expired():
            error = DeadlineExceeded("the deadline has passed")
        context.fail(error)
    finally:
        call.let_go_all()


async def _serve(call: ServerCall, context: Context, handler: Any) -> None:
    if call.route.is_streaming:
        responses: AsyncGenerator[bytes, None] = handler(context.messages(), context)
        async with aclosing(responses):
            async for response in responses:
                await context.send(response)
    else:
        context.put(await handler(call.message, context))
    context.finish()
