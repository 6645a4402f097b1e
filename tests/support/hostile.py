"""What hostile peers send, and sessions of ours without a socket to send it to."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

from hpack import Decoder
from hpack.hpack import encode_integer
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame, RstStreamFrame
from support.echo import BATCH, STREAM, UNARY
from support.http2_peer import (
    ACK,
    END_HEADERS,
    HEADERS,
    PREFACE,
    SETTINGS,
    Fields,
    Heard,
    block,
    frame,
    headers,
    request_fields,
    settings,
)

from croupier.transport.http2.call import MESSAGE_EVENT
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import Route, ServerCall
from croupier.transport.http2.server_session import CANCELLED, OPENED, READY, ServerSession
from croupier.transport.http2.wire import Budget

ENHANCE_YOUR_CALM = 11
# A streaming method that needs little, and so is given little.
SMALL, SMALL_BYTES, SMALL_OPEN = "/test.Echo/Small", 1_000, 3
# The newest entry of HPACK's dynamic table, and a name and value that almost fill it.
NEWEST = b"\xbe"
BOMB = ("x-bomb", "x" * 3_900)


def streams(count: int, first: int = 1) -> range:
    return range(first, first + 2 * count, 2)


def call_on(stream: int, path: str = BATCH, flags: int = END_HEADERS) -> bytes:
    return headers(stream, request_fields(path), flags)


def with_entry(stream: int) -> bytes:
    """A request after which HPACK's table has the bomb as its newest entry."""
    name, value = (text.encode() for text in BOMB)
    lengths = [bytes(encode_integer(len(text), 7)) for text in (name, value)]
    entry = b"\x40" + lengths[0] + name + lengths[1] + value
    return frame(HEADERS, stream, block(request_fields(BATCH)) + entry, END_HEADERS)


def repeating_entry(stream: int, times: int) -> bytes:
    """A request with so many headers of 3,900 bytes, said in one byte each."""
    return frame(HEADERS, stream, block(request_fields(BATCH)) + times * NEWEST, END_HEADERS)


def zeros(size: int) -> bytes:
    """`size` zero bytes in the encoding `deflate`, put together from a piece: a GiB takes seconds."""
    piece, packer = bytes(2**20), zlib.compressobj(9)
    head = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    packed = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)
    last = packer.flush(zlib.Z_FINISH)
    # A full flush forgets what came before, so the same bytes mean the same again. The checksum is wrong.
    return head + packed * (size // len(piece)) + last[:-4] + bytes(4)


class Victim:
    """A server's session and whoever serves its calls, and what it has said to its peer.

    Requests of the batch and unary methods wait in `calls`. A streaming call's messages are not taken.
    """

    def __init__(
        self, limits: Limits = Limits(), budget: Budget | None = None, *, is_settled: bool = True
    ) -> None:
        self.now = 1000.0
        self.budget = budget or Budget(
            limits.total_bytes, growth_burst=limits.growth_burst, growth_rate=limits.growth_rate
        )
        routes = (
            Route(BATCH, batch=True),
            Route(UNARY),
            Route(STREAM, streaming=True),
            Route(SMALL, streaming=True, max_message=SMALL_BYTES, max_open=SMALL_OPEN),
        )
        table = {route.path.encode(): route for route in routes}
        self.session = ServerSession(limits, self.now, table, self.budget)
        self.calls: list[ServerCall] = []
        self.messages = 0
        self.cancelled: list[Any] = []
        self.goaway: int | None = None
        self.heard: dict[int, Heard] = {}
        self._decoder = Decoder()
        self.send(PREFACE + settings() + (frame(SETTINGS, flags=ACK) if is_settled else b""))

    def receive(self, *frames: bytes) -> None:
        """One read. Nothing that the session has to say is taken from it."""
        self.session.receive(b"".join(frames), self.now)
        self.calls += self.session.take_batch()
        for item, kind in self.session.take_events():
            if kind in (OPENED, READY):
                self.calls.append(item)
            elif kind == CANCELLED:
                self.cancelled.append(item)
            self.messages += kind == MESSAGE_EVENT

    def send(self, *frames: bytes) -> None:
        self.receive(*frames)
        self.listen()

    def listen(self) -> None:
        for got in _frames(self.session):
            heard = self.heard.setdefault(got.stream_id, Heard())
            match got:
                case GoAwayFrame():
                    self.goaway = got.error_code
                case RstStreamFrame():
                    heard.reset = got.error_code
                case DataFrame():
                    heard.body += got.data
                case HeadersFrame():
                    heard.lists.append(
                        {str(name): str(value) for name, value in self._decoder.decode(got.data)}
                    )
            heard.is_ended |= "END_STREAM" in got.flags

    def statuses(self) -> list[str | None]:
        """The gRPC status of every call that was answered."""
        return [heard.status[1] for heard in self.heard.values() if heard.lists and heard.is_ended]

    def close(self) -> None:
        """The connection goes, and leaves nothing behind that is not used."""
        self.session.close()
        for call in self.calls:
            call.let_go_all()
        self.session.take_events()
        assert (self.session.held, self.session.open_calls) == (0, 0)


def _frames(session: ServerSession) -> Iterator[Frame]:
    data = b""
    while True:
        data += session.drain()
        if not session.has_more:
            break
    at = 0
    while at < len(data):
        got, length = Frame.parse_frame_header(memoryview(data[at : at + 9]))
        got.parse_body(memoryview(data[at + 9 : at + 9 + length]))
        at += 9 + length
        yield got


def fields_of(count: int, size: int) -> Fields:
    """So many headers of `size` bytes."""
    return [(f"x-{number:04}", "x" * size) for number in range(count)]
