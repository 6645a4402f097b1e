"""A connection on a transport and a loop that only note what they are told, under a clock of the test's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

from support.echo import BATCH
from support.hostile import call_on, streams
from support.http2_peer import ACK, PREFACE, SETTINGS, data, frame, message, settings

from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import Route, ServerCall
from croupier.transport.http2.server_session import ServerSession
from croupier.transport.net.connection import Connection

LIMITS = Limits()


class Loop:
    """Callbacks wait for their turn, one by one."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.waiting.append(callback)

    def run_once(self) -> None:
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()


class Transport:
    """What it was told is in `said`; with a socket `below` it is one of TLS, which has no half of an end."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.written: list[bytes] = []
        self.unsent = 0
        self.below: socket.socket | None = None

    def get_extra_info(self, name: str) -> socket.socket | None:
        return self.below if name == "socket" else None

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def set_write_buffer_limits(self, high: int) -> None: ...

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return "close" in self.said or "abort" in self.said

    def close(self) -> None:
        self.said.append("close")

    def abort(self) -> None:
        self.said.append("abort")

    def can_write_eof(self) -> bool:
        return self.below is None

    def write_eof(self) -> None:
        self.said.append("end")

    def pause_reading(self) -> None:
        self.said.append("pause")

    def resume_reading(self) -> None:
        self.said.append("resume")


class Joined(Connection):
    """Answers every call at once, and notes how many came together."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.io, self.turns = Transport(), Loop()
        self.batches: list[int] = []
        self.is_gone = False
        session = ServerSession(LIMITS, self.now, {BATCH.encode(): Route(BATCH, batch=True)})
        super().__init__(session, cast(asyncio.AbstractEventLoop, self.turns), lambda: self.now)
        self.connection_made(cast(Any, self.io))
        self.data_received(PREFACE + settings() + frame(SETTINGS, flags=ACK))
        self.turns.run_once()

    def deliver(self) -> None:
        calls: list[ServerCall] = list(cast(ServerSession, self.session).take_batch())
        for call in calls:
            call.reply(call.message)
        if calls:
            self.batches.append(len(calls))
        self.session.take_events()

    def lost(self) -> None:
        self.is_gone = True


def requests(count: int, body: bytes = b"x") -> bytes:
    return b"".join(call_on(stream) + data(stream, message(body)) for stream in streams(count))
