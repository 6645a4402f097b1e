"""One connection of a client's: what has come goes to whose it is, and whether it was of any use is noted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.client_session import CLOSED, ClientSession
from croupier.transport.net.connection import Connection


class Owner(Protocol):
    """What a connection tells its channel."""

    def opened(self, connection: ClientConnection) -> None: ...
    def closed(self, connection: ClientConnection) -> None:
        """It is gone, and every call of it has ended."""

    def ended(self, call: ClientCall) -> None:
        """A unary call has ended."""

    def begun(self, calls: Iterable[ClientCall]) -> None:
        """Unary calls are being answered, and have not ended."""


class ClientConnection(Connection):
    session: ClientSession

    def __init__(
        self,
        owner: Owner,
        session: ClientSession,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(session, loop, clock)
        self._owner = owner
        self._has_answered = False
        # Whether calls have ended here, and none with an answer.
        self.is_useless = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._owner.opened(self)
        super().connection_made(transport)

    def deliver(self) -> None:
        session = self.session
        for call in session.take_completed():
            self._note(call)
            self._owner.ended(call)
        if begun := session.take_begun():
            self._owner.begun(begun)
        for call, kind in session.take_events():
            if kind == CLOSED:
                self._note(call)
            if call.tag is not None:
                call.tag()

    def _note(self, call: ClientCall) -> None:
        self._has_answered = self._has_answered or not call.is_broken
        self.is_useless = not self._has_answered

    def retire(self) -> None:
        """Take no new calls, and close when those under way have ended."""
        # GOAWAY would overtake requests that wait, and a server that knows of no call may close at once.
        self.flush()
        self.session.go_away()

    def end_now(self) -> None:
        self.session.terminate()
        self.flush()
        # Not `close`: that would wait for a peer that does not read.
        self.transport.abort()
        # Whoever closes a channel wants its calls to have ended when that returns.
        self.session.close()
        self.deliver()

    def lost(self) -> None:
        self._owner.closed(self)
