"""The callers of our own load: unary calls that carry a tenant, each answer compared at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from bench.h2load import CLIENTS
from croupier.codes import Code
from croupier.settings import ClientTls
from croupier.transport.client import Channel
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.client_session import ClientSession

# What a caller waits for an answer. Far beyond every latency that is worth measuring.
TIMEOUT = 5.0

# A request's number, and whether it was answered rightly.
Done = Callable[[int, bool], None]


class Requests(Protocol):
    """Requests by number, without an end, and what is right of their answers; `catalog.Load` is one."""

    @property
    def path(self) -> bytes: ...

    def tenant(self, number: int) -> bytes: ...

    def message(self, number: int) -> bytes: ...

    def is_answer(self, number: int, answer: bytes) -> bool: ...


class Caller(Protocol):
    """`start` sends request `number` of `load`; `done` is called once, later, if there is an end at all."""

    def start(self, load: Requests, number: int, done: Done) -> None: ...


class SessionCaller:
    """Sends over one connection. Beneath `Channel`, whose fast path carries no metadata.

    `problems` counts what was wrong, by its description.
    """

    def __init__(self, session: ClientSession) -> None:
        self.problems: Counter[str] = Counter()
        self._session = session
        self._loop = asyncio.get_running_loop()

    def start(self, load: Requests, number: int, done: Done) -> None:
        call = ClientCall(load.path, None, TIMEOUT)

        def woken() -> None:
            # Told of headers and of the message as well, but the end is what counts.
            if call.is_done:
                # The call holds this function, and this function the call.
                call.tag = None
                done(number, self._is_right(call, load, number))

        call.tag = woken
        if self._session.open(call, self.headers(load, number)):
            call.send(load.message(number))
            call.end()
        else:
            self.problems["the connection takes no calls"] += 1
            self._loop.call_soon(done, number, False)

    def headers(self, load: Requests, number: int) -> tuple[tuple[bytes, bytes], ...]:
        return ((b"croupier-tenant", load.tenant(number)),)

    def _is_right(self, call: ClientCall, load: Requests, number: int) -> bool:
        if call.code == Code.OK and load.is_answer(number, call.take() or b""):
            return True
        self.problems[f"status {call.code}: {call.status_message}" if call.code else "another answer"] += 1
        return False


@asynccontextmanager
async def channels(
    address: str, *, tls: ClientTls | None = None, count: int = CLIENTS
) -> AsyncIterator[list[Channel]]:
    """As many connections to one proxy as h2load makes, or `count`."""
    opened = [Channel(address, tls=tls) for _ in range(count)]
    try:
        yield opened
    finally:
        await asyncio.gather(*(channel.close() for channel in opened))


@asynccontextmanager
async def callers(
    address: str, *, tls: ClientTls | None = None, kind: type[SessionCaller] = SessionCaller
) -> AsyncIterator[Sequence[SessionCaller]]:
    """Raises ConnectionError: there is no connection."""
    async with channels(address, tls=tls) as opened:
        yield [kind(await channel.session()) for channel in opened]
