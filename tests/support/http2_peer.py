"""An HTTP/2 peer that sends whatever it is told, and a well-behaved one to stand beside it.

Frames are built by hand, because a library refuses to build most of what a hostile peer sends. Header
blocks are literals without indexing, so that every frame is a constant and has no state. What comes
back is read by hyperframe and hpack.
"""

from __future__ import annotations

import asyncio
import gzip
import ssl
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

import h2.config
import h2.connection
import h2.events
from hpack import Decoder
from hpack.hpack import encode_integer
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 0x1, 0x1, 0x4, 0x8, 0x20

Fields = list[tuple[str, str]]


def frame(kind: int, stream: int = 0, payload: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def block(fields: Fields) -> bytes:
    """A header block: literals without indexing (RFC 7541, 6.2.2)."""
    texts = [text.encode() for pair in fields for text in pair]
    lengths = [bytes(encode_integer(len(text), 7)) for text in texts]
    pairs = zip(texts[::2], texts[1::2], lengths[::2], lengths[1::2], strict=True)
    return b"".join(b"\0" + name_length + name + length + value for name, value, name_length, length in pairs)


def headers(stream: int, fields: Fields, flags: int = END_HEADERS) -> bytes:
    return frame(HEADERS, stream, block(fields), flags)


def data(stream: int, payload: bytes = b"", flags: int = END_STREAM) -> bytes:
    return frame(DATA, stream, payload, flags)


def reset(stream: int, code: int = 8) -> bytes:
    return frame(RST_STREAM, stream, struct.pack(">I", code))


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def go_away(last: int, code: int = 0) -> bytes:
    return frame(GOAWAY, 0, struct.pack(">II", last, code))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, stream, struct.pack(">I", increment))


def message(body: bytes = b"", compressed: int = 0) -> bytes:
    """A gRPC message: a flag, its length, its bytes."""
    return struct.pack(">BI", compressed, len(body)) + body


def packed(encoding: str, body: bytes) -> bytes:
    """`body` in the `encoding` gzip or deflate, the same bytes at any time."""
    return gzip.compress(body, mtime=0) if encoding == "gzip" else zlib.compress(body)


def request_fields(path: str, /, *extra: tuple[str, str], **changed: str | None) -> Fields:
    """The headers of a gRPC request. In `changed`, names go without a colon and with `_` for `-`;
    None leaves a header out."""
    fields: dict[str, str | None] = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    for key, value in changed.items():
        name = key.replace("_", "-")
        fields[f":{name}" if f":{name}" in fields else name] = value
    return [(name, value) for name, value in fields.items() if value is not None] + list(extra)


class ConnectionEnded(Exception):
    """The other side ended the connection; `code` is that of its last GOAWAY, None without one."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"connection ended with HTTP/2 error {code}")
        self.code = code


@dataclass(slots=True)
class Heard:
    """What has arrived on one stream: its header lists in order, and how it ended."""

    lists: list[dict[str, str]] = field(default_factory=list)
    body: bytes = b""
    is_ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> tuple[str, str | None]:
        """The HTTP status, and the gRPC status of the last header list."""
        return self.lists[0][":status"], self.lists[-1].get("grpc-status")


class RawPeer:
    """One side of a connection, after its preface. SETTINGS and PING are acknowledged while reading."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = Decoder()
        self._decoder.max_header_list_size = 2**24
        self._block = b""
        self._goaway: int | None = None
        # Frames of every kind, in the order that they came.
        self.frames: list[Frame] = []
        self.streams: dict[int, Heard] = {}

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, address: str, first: bytes = PREFACE + settings(), tls: ssl.SSLContext | None = None
    ) -> AsyncIterator[Self]:
        """As a client."""
        host, _, port = address.rpartition(":")
        peer = cls(*await asyncio.open_connection(host, int(port), ssl=tls))
        try:
            peer.send(first)
            yield peer
        finally:
            await peer.close()

    def send(self, *frames: bytes) -> None:
        self._writer.write(b"".join(frames))

    async def close(self) -> None:
        self._writer.transport.abort()

    async def heard(self, stream: int) -> Heard:
        """What has arrived on `stream` once that has ended there. Raises ConnectionEnded."""
        return await self.until(stream, lambda heard: heard.is_ended or heard.reset is not None)

    async def until(self, stream: int, check: Callable[[Heard], bool]) -> Heard:
        """The same, once `check` is true of it."""
        heard = self.streams.setdefault(stream, Heard())
        async with asyncio.timeout(10):
            while not check(heard):
                await self.receive()
        return heard

    async def ended(self) -> int | None:
        """Read until the connection ends; the error code of the last GOAWAY."""
        async with asyncio.timeout(10):
            while True:
                try:
                    await self.receive()
                except ConnectionEnded as end:
                    return end.code

    async def settled(self) -> None:
        """Whatever was sent has been taken in by the other side: it has answered a PING after it."""
        self.send(frame(PING, 0, b"settled?"))
        async with asyncio.timeout(10):
            while True:
                got = await self.receive()
                if isinstance(got, PingFrame) and "ACK" in got.flags and got.opaque_data == b"settled?":
                    return

    async def receive(self) -> Frame:
        """The next frame. Raises ConnectionEnded."""
        try:
            got, length = Frame.parse_frame_header(memoryview(await self._reader.readexactly(9)))
            got.parse_body(memoryview(await self._reader.readexactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise ConnectionEnded(self._goaway) from error
        self.frames.append(got)
        self._take(got)
        return got

    def _take(self, got: Frame) -> None:
        heard = self.streams.setdefault(got.stream_id, Heard())
        match got:
            case SettingsFrame() if "ACK" not in got.flags:
                self.send(frame(SETTINGS, flags=ACK))
            case PingFrame() if "ACK" not in got.flags:
                self.send(frame(PING, 0, got.opaque_data, ACK))
            case GoAwayFrame():
                self._goaway = got.error_code
            case RstStreamFrame():
                heard.reset = got.error_code
            case DataFrame():
                heard.body += got.data
            case HeadersFrame() | ContinuationFrame() | PushPromiseFrame():
                self._block += got.data
                if "END_HEADERS" in got.flags:
                    heard.lists.append(
                        {str(name): str(value) for name, value in self._decoder.decode(self._block)}
                    )
                    self._block = b""
        if "END_STREAM" in got.flags:
            heard.is_ended = True


class RawServer:
    """Takes connections on loopback and hands each one out as a `RawPeer`, its preface read and answered."""

    def __init__(self) -> None:
        self.address = ""
        self.peers: list[RawPeer] = []
        self._accepted: asyncio.Queue[RawPeer] = asyncio.Queue()

    @classmethod
    @asynccontextmanager
    async def listen(cls) -> AsyncIterator[Self]:
        server = cls()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readexactly(len(PREFACE)) == PREFACE
            peer = RawPeer(reader, writer)
            peer.send(settings())
            server.peers.append(peer)
            server._accepted.put_nowait(peer)

        listening = await asyncio.start_server(accept, "127.0.0.1", 0)
        server.address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        try:
            yield server
        finally:
            listening.close()
            for peer in server.peers:
                await peer.close()

    async def accept(self) -> RawPeer:
        """The next connection."""
        async with asyncio.timeout(10):
            return await self._accepted.get()


class Neighbour:
    """A well-behaved client on a connection of its own, by the h2 library, which checks what it gets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        config = h2.config.H2Configuration(header_encoding="utf-8")
        self._h2 = h2.connection.H2Connection(config)
        self._h2.initiate_connection()

    @classmethod
    @asynccontextmanager
    async def connect(cls, address: str) -> AsyncIterator[Self]:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    async def call(self, path: str, body: bytes) -> tuple[str, bytes]:
        """One unary call: its grpc-status and the message that came back."""
        stream = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream, request_fields(path))
        self._h2.send_data(stream, message(body), end_stream=True)
        trailers: dict[str, str] = {}
        received = b""
        async with asyncio.timeout(10):
            while True:
                self._writer.write(self._h2.data_to_send())
                chunk = await self._reader.read(65_536)
                assert chunk, "the neighbour's connection was closed"
                for event in self._h2.receive_data(chunk):
                    match event:
                        case h2.events.DataReceived():
                            received += event.data or b""
                            self._h2.acknowledge_received_data(
                                event.flow_controlled_length or 0, event.stream_id or 0
                            )
                        case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                            trailers.update((str(name), str(value)) for name, value in event.headers or ())
                        case h2.events.StreamEnded():
                            self._writer.write(self._h2.data_to_send())
                            return trailers["grpc-status"], received[5:]
                        case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                            raise AssertionError(f"the neighbour was refused: {event}")
