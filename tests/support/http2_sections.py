"""What RFC 9113 and RFC 7541 ask of a server, section by section: the cases that h2spec has, by its names.

Each is a few frames and what has to come of them. They are told to a `RawPeer`, and so to a session in memory
or to a server behind a socket. h2spec was written for RFC 7540; where RFC 9113 says something else, `wanted`
is RFC 9113's.

It is long because it is a table of cases.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass
from typing import TypeVar

from hpack.hpack import encode_integer
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hyperframe.frame import DataFrame, Frame, PingFrame, SettingsFrame
from support.http2_peer import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITIZED,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ConnectionEnded,
    Fields,
    Heard,
    RawPeer,
    block,
    data,
    frame,
    go_away,
    headers,
    message,
    request_fields,
    reset,
    settings,
    window_update,
)

PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR = 1, 3, 5, 6
REFUSED_STREAM, COMPRESSION_ERROR = 7, 9
# What a server that plays the cases has to allow.
MOST_STREAMS = 8
ECHO = "/test.Echo/Batch"
FIELDS = request_fields(ECHO)
LAST = END_HEADERS | END_STREAM
OPEN = headers(1, FIELDS)
BODY = message(b"body")
CALL = OPEN + data(1, BODY)
# A window of 0 keeps the answer back, and so the stream from closing.
HALF_CLOSED = settings((4, 0)) + CALL
USUAL = PREFACE + settings()
_AFTER = 101

T = TypeVar("T")
Wanted = Callable[[RawPeer], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Case:
    """`turns` are sent one after another, each once the server has taken in the one before."""

    name: str
    what: str
    wanted: Wanted
    turns: tuple[bytes, ...]
    first: bytes = USUAL

    async def play(self, peer: RawPeer) -> None:
        """Raises AssertionError where something else comes of it."""
        try:
            for turn in self.turns[:-1]:
                peer.send(turn)
                await peer.settled()
        except ConnectionEnded as end:
            raise AssertionError(f"the connection ended early, with {end.code}") from end
        peer.send(*self.turns[-1:])
        await self.wanted(peer)


def ends(*codes: int | None) -> Wanted:
    """A connection error (5.4.1): GOAWAY with one of `codes` (None: without one), and the end."""

    async def check(peer: RawPeer) -> None:
        try:
            await _quiet(peer)
        except ConnectionEnded as end:
            _one_of(codes, end)
        else:
            raise AssertionError("the connection goes on")

    return check


def resets(*codes: int) -> Wanted:
    """A stream error (5.4.2) of stream 1; whoever wants to may end the connection for it."""

    async def check(peer: RawPeer) -> None:
        try:
            await _quiet(peer)
        except ConnectionEnded as end:
            _one_of(codes, end)
            return
        heard = peer.streams.get(1, Heard())
        assert heard.reset in codes, f"stream 1 was not reset: {heard}"
        await _goes_on(peer)

    return check


def may_reset(*codes: int) -> Wanted:
    """The same, where RFC 9113 leaves it to the server to ignore it."""

    async def check(peer: RawPeer) -> None:
        try:
            await _quiet(peer)
        except ConnectionEnded as end:
            _one_of(codes, end)
        else:
            assert peer.streams.get(1, Heard()).reset in (None, *codes)
            await _goes_on(peer)

    return check


def answers(*, http: str = "200", grpc: str | None = "0", body: bytes = BODY) -> Wanted:
    """A response on stream 1."""

    async def check(peer: RawPeer) -> None:
        heard = await _alive(peer.heard(1))
        assert (heard.status, heard.body) == ((http, grpc), body), str(heard)
        await _goes_on(peer)

    return check


async def goes_on(peer: RawPeer) -> None:
    """Nothing comes of it: the next call is answered."""
    await _goes_on(peer)


async def _goes_on(peer: RawPeer) -> None:
    # Whatever the case made of the windows, this fits.
    peer.send(settings((4, 65_535)), window_update(0, 1000))
    peer.send(headers(_AFTER, FIELDS), data(_AFTER, BODY))
    heard = await _alive(peer.heard(_AFTER))
    assert (heard.status, heard.body) == (("200", "0"), BODY), str(heard)


async def _alive(awaited: Awaitable[T]) -> T:
    try:
        return await awaited
    except ConnectionEnded as end:
        raise AssertionError(f"the connection ended with {end.code}") from end


async def _quiet(peer: RawPeer) -> None:
    """All that the server has to say has been read: answers to PING come ahead of what was there before."""
    await peer.settled()
    await peer.settled()


def _one_of(codes: Container[int | None], end: ConnectionEnded) -> None:
    if end.code not in codes:
        raise AssertionError(f"the connection ended with {end.code}") from end


async def says_settings_first(peer: RawPeer) -> None:
    await _alive(_quiet(peer))
    assert isinstance(peer.frames[0], SettingsFrame)
    assert "ACK" not in peer.frames[0].flags


def has_sent(kind: type[Frame], *flags: str) -> Wanted:
    """A frame of `kind` with these flags is among what came, and the connection goes on."""

    async def check(peer: RawPeer) -> None:
        await _alive(_quiet(peer))
        assert any(isinstance(got, kind) and set(flags) <= set(got.flags) for got in peer.frames)
        await _goes_on(peer)

    return check


async def answers_the_ping(peer: RawPeer) -> None:
    await _alive(_quiet(peer))
    answered = [got.opaque_data for got in peer.frames if isinstance(got, PingFrame) and "ACK" in got.flags]
    assert answered[0] == b"12345678"


async def leaves_the_ping_unanswered(peer: RawPeer) -> None:
    await _alive(_quiet(peer))
    answered = {got.opaque_data for got in peer.frames if isinstance(got, PingFrame)}
    assert answered == {b"settled?"}


def sends_in_parts(*sizes: int) -> Wanted:
    """DATA of stream 1 in exactly these sizes; what is left of the answer may come later."""

    async def check(peer: RawPeer) -> None:
        await _alive(_quiet(peer))
        came = [len(got.data) for got in peer.frames if isinstance(got, DataFrame) and got.stream_id == 1]
        assert came == list(sizes), f"DATA of {came} bytes"
        await _goes_on(peer)

    return check


async def ends_or_goes_on(peer: RawPeer) -> None:
    """After a GOAWAY the server may do either (6.8), but it answers what it was sent."""
    peer.send(frame(PING, 0, b"12345678"))
    try:
        await _quiet(peer)
    except ConnectionEnded as end:
        _one_of((None, 0), end)
    else:
        await answers_the_ping(peer)


def text(value: str, *, huffman: bool = False) -> bytes:
    """A string literal (RFC 7541, 5.2)."""
    coded = _HUFFMAN.encode(value.encode()) if huffman else value.encode()
    length = encode_integer(len(coded), 7)
    length[0] |= 0x80 * huffman
    return bytes(length) + coded


_HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
_PATH_INDEX, _USER_AGENT_INDEX = 4, 58
_REST = [pair for pair in FIELDS if pair[0] != ":path"]


def named(first: int, huffman: bool) -> bytes:
    """A request whose :path is a literal with an indexed name; `first` is its representation's pattern."""
    return _request(bytes([first | _PATH_INDEX]) + text(ECHO, huffman=huffman) + block(_REST))


def unnamed(first: int, huffman: bool) -> bytes:
    """A request with a literal that has a new name."""
    return _request(
        block(FIELDS) + bytes([first]) + text("x-new", huffman=huffman) + text("v", huffman=huffman)
    )


def _request(fields: bytes) -> bytes:
    return frame(HEADERS, 1, fields, END_HEADERS) + data(1, BODY)


def _huffman_literal(coded: bytes) -> bytes:
    return frame(
        HEADERS, 1, block(FIELDS) + b"\0" + text("x") + bytes([0x80 | len(coded)]) + coded, END_HEADERS
    )


def without(*names: str) -> bytes:
    return headers(1, [pair for pair in FIELDS if pair[0] not in names], LAST)


def with_fields(*fields: tuple[str, str]) -> bytes:
    return headers(1, [*FIELDS, *fields], LAST)


def ahead(*fields: tuple[str, str]) -> bytes:
    return headers(1, [*fields, *FIELDS], LAST)


def priority(stream: int, parent: int = 0, weight: int = 1, *, exclusive: bool = False) -> bytes:
    return frame(PRIORITY, stream, _dependency(parent, weight, exclusive))


def _dependency(parent: int, weight: int, exclusive: bool = False) -> bytes:
    return (parent | (exclusive << 31)).to_bytes(4, "big") + bytes([weight - 1])


def split(fields: Fields, parts: int) -> bytes:
    """HEADERS and CONTINUATION frames, `parts` in all."""
    whole = block(fields)
    size = -(-len(whole) // parts)
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    frames = [frame(HEADERS, 1, pieces[0], 0), *(frame(CONTINUATION, 1, piece) for piece in pieces[1:-1])]
    return b"".join(frames) + frame(CONTINUATION, 1, pieces[-1], END_HEADERS)


_CLOSED = (CALL,)
_TOO_MUCH = window_update(0, 2**31 - 1)
_LARGEST = message(bytes(16_384 - 5))
_NO_BODY = {"body": b"", "grpc": None}

CASES = (
    Case("generic/1/1", "the preface", says_settings_first, (b"",)),
    Case("generic/2/1", "PRIORITY on an idle stream", answers(), (priority(1) + CALL,)),
    Case(
        "generic/2/2",
        "WINDOW_UPDATE on a half-closed stream",
        goes_on,
        (HALF_CLOSED + window_update(1, 100),),
    ),
    Case("generic/2/3", "PRIORITY on a half-closed stream", answers(), (OPEN + data(1, BODY) + priority(1),)),
    Case("generic/2/4", "RST_STREAM on a half-closed stream", goes_on, (HALF_CLOSED + reset(1),)),
    Case("generic/2/5", "PRIORITY on a closed stream", goes_on, (CALL, priority(1))),
    Case("generic/3.1/1", "DATA", answers(), (CALL,)),
    Case("generic/3.1/2", "several DATA", answers(), (OPEN + data(1, BODY[:4], 0) + data(1, BODY[4:]),)),
    Case(
        "generic/3.1/3",
        "padded DATA",
        answers(),
        (OPEN + frame(DATA, 1, b"\5" + BODY + bytes(5), PADDED | END_STREAM),),
    ),
    Case("generic/3.2/1", "HEADERS", answers(), (CALL,)),
    Case(
        "generic/3.2/2",
        "padded HEADERS",
        answers(),
        (frame(HEADERS, 1, b"\5" + block(FIELDS) + bytes(5), END_HEADERS | PADDED) + data(1, BODY),),
    ),
    Case(
        "generic/3.2/3",
        "HEADERS with a priority",
        answers(),
        (frame(HEADERS, 1, _dependency(0, 16) + block(FIELDS), END_HEADERS | PRIORITIZED) + data(1, BODY),),
    ),
    Case("generic/3.3/1", "PRIORITY with weight 1", answers(), (priority(1, weight=1) + CALL,)),
    Case("generic/3.3/2", "PRIORITY with weight 256", answers(), (priority(1, weight=256) + CALL,)),
    Case("generic/3.3/3", "PRIORITY with a parent", answers(), (priority(1, 7) + CALL,)),
    Case("generic/3.3/4", "PRIORITY, exclusive", answers(), (priority(1, 7, exclusive=True) + CALL,)),
    Case("generic/3.3/5", "PRIORITY on a higher idle stream", answers(), (priority(7) + CALL,)),
    Case("generic/3.4/1", "RST_STREAM", goes_on, (OPEN + reset(1),)),
    Case("generic/3.5/1", "SETTINGS", has_sent(SettingsFrame, "ACK"), (settings((3, 100)),)),
    Case("generic/3.7/1", "PING", answers_the_ping, (frame(PING, 0, b"12345678"),)),
    Case("generic/3.8/1", "GOAWAY", ends_or_goes_on, (go_away(0),)),
    Case("generic/3.9/1", "WINDOW_UPDATE of the connection", answers(), (window_update(0, 1) + CALL,)),
    Case(
        "generic/3.9/2", "WINDOW_UPDATE of a stream", answers(), (OPEN + window_update(1, 1) + data(1, BODY),)
    ),
    Case("generic/3.10/1", "CONTINUATION", answers(), (split(FIELDS, 2) + data(1, BODY),)),
    Case("generic/3.10/2", "several CONTINUATION", answers(), (split(FIELDS, 5) + data(1, BODY),)),
    # gRPC has POST alone.
    Case(
        "generic/4/1",
        "GET",
        answers(http="405", **_NO_BODY),
        (headers(1, request_fields(ECHO, method="GET"), LAST),),
    ),
    Case(
        "generic/4/2",
        "HEAD",
        answers(http="405", **_NO_BODY),
        (headers(1, request_fields(ECHO, method="HEAD"), LAST),),
    ),
    Case("generic/4/3", "POST", answers(), (CALL,)),
    Case(
        "generic/4/4",
        "POST with trailers",
        answers(),
        (OPEN + data(1, BODY, 0) + headers(1, [("x-end", "1")], LAST),),
    ),
    Case(
        "generic/5/1",
        "an indexed field",
        answers(),
        (_request(b"\x83" + block([pair for pair in FIELDS if pair[0] != ":method"])),),
    ),
    *(
        Case(
            f"generic/5/{number}",
            f"a literal {how}, {name}{', Huffman' * huffman}",
            answers(),
            (make(first, huffman),),
        )
        for number, how, name, make, first, huffman in (
            (2, "with indexing", "indexed name", named, 0x40, False),
            (3, "with indexing", "indexed name", named, 0x40, True),
            (4, "with indexing", "new name", unnamed, 0x40, False),
            (5, "with indexing", "new name", unnamed, 0x40, True),
            (6, "without indexing", "indexed name", named, 0x00, False),
            (7, "without indexing", "indexed name", named, 0x00, True),
            (8, "without indexing", "new name", unnamed, 0x00, False),
            (9, "without indexing", "new name", unnamed, 0x00, True),
            (10, "never indexed", "indexed name", named, 0x10, False),
            (11, "never indexed", "indexed name", named, 0x10, True),
            (12, "never indexed", "new name", unnamed, 0x10, False),
            (13, "never indexed", "new name", unnamed, 0x10, True),
        )
    ),
    Case("generic/5/14", "a table size update", answers(), (_request(b"\x20" + block(FIELDS)),)),
    Case(
        "generic/5/15", "two table size updates", answers(), (_request(b"\x20\x3f\xe1\x1f" + block(FIELDS)),)
    ),
    Case("http2/3.5/1", "the preface, and SETTINGS first", says_settings_first, (b"",)),
    # RFC 9113, 3.4: GOAWAY may be omitted. Who seems to speak HTTP/1 reads an answer in that.
    Case(
        "http2/3.5/2",
        "a preface that is none",
        ends(PROTOCOL_ERROR, None),
        (b"",),
        first=b"INVALID CONNECTION PREFACE\r\n\r\n",
    ),
    Case("http2/4.1/1", "a frame of unknown type", answers(), (frame(0x16, 0, bytes(8)) + CALL,)),
    Case("http2/4.1/2", "PING with unknown flags", answers_the_ping, (frame(PING, 0, b"12345678", 0x16),)),
    Case("http2/4.1/3", "PING with the reserved bit", answers_the_ping, (frame(PING, 2**31, b"12345678"),)),
    Case("http2/4.2/1", "DATA as large as may be", answers(body=_LARGEST), (OPEN + data(1, _LARGEST),)),
    Case("http2/4.2/2", "DATA that is larger", resets(FRAME_SIZE_ERROR), (OPEN + data(1, bytes(16_385)),)),
    Case(
        "http2/4.2/3",
        "HEADERS that are larger",
        ends(FRAME_SIZE_ERROR),
        (frame(HEADERS, 1, bytes(16_385), END_HEADERS),),
    ),
    Case(
        "http2/4.3/1",
        "a block that cannot be read",
        ends(COMPRESSION_ERROR),
        (frame(HEADERS, 1, b"\x40", LAST),),
    ),
    Case(
        "http2/4.3/2", "PRIORITY inside a block", ends(PROTOCOL_ERROR), (headers(1, FIELDS, 0) + priority(1),)
    ),
    Case(
        "http2/4.3/3",
        "HEADERS inside another block",
        ends(PROTOCOL_ERROR),
        (headers(1, FIELDS, 0) + headers(3, FIELDS),),
    ),
    Case("http2/5.1/1", "idle: DATA", ends(PROTOCOL_ERROR), (data(1, b"x"),)),
    Case("http2/5.1/2", "idle: RST_STREAM", ends(PROTOCOL_ERROR), (reset(1),)),
    Case("http2/5.1/3", "idle: WINDOW_UPDATE", ends(PROTOCOL_ERROR), (window_update(1, 100),)),
    Case(
        "http2/5.1/4",
        "idle: CONTINUATION",
        ends(PROTOCOL_ERROR),
        (frame(CONTINUATION, 1, block(FIELDS), END_HEADERS),),
    ),
    Case("http2/5.1/5", "half-closed: DATA", resets(STREAM_CLOSED), (HALF_CLOSED, data(1, b"x"))),
    Case(
        "http2/5.1/6", "half-closed: HEADERS", resets(STREAM_CLOSED), (HALF_CLOSED, headers(1, FIELDS, LAST))
    ),
    Case(
        "http2/5.1/7",
        "half-closed: CONTINUATION",
        resets(STREAM_CLOSED, PROTOCOL_ERROR),
        (HALF_CLOSED, frame(CONTINUATION, 1, block(FIELDS), END_HEADERS)),
    ),
    # RFC 9113, 5.1: an error "may" come of what is sent on a closed stream; RFC 7540 had it as a must.
    Case(
        "http2/5.1/8",
        "closed by RST_STREAM: DATA",
        may_reset(STREAM_CLOSED),
        (OPEN + reset(1), data(1, b"x")),
    ),
    Case("http2/5.1/9", "closed by RST_STREAM: HEADERS", may_reset(STREAM_CLOSED), (OPEN + reset(1), OPEN)),
    Case(
        "http2/5.1/10",
        "closed by RST_STREAM: CONTINUATION",
        ends(STREAM_CLOSED, PROTOCOL_ERROR),
        (OPEN + reset(1), frame(CONTINUATION, 1, block([("x", "y")]), END_HEADERS)),
    ),
    Case("http2/5.1/11", "closed by END_STREAM: DATA", may_reset(STREAM_CLOSED), (*_CLOSED, data(1, b"x"))),
    Case(
        "http2/5.1/12",
        "closed by END_STREAM: HEADERS",
        may_reset(STREAM_CLOSED),
        (*_CLOSED, headers(1, FIELDS, LAST)),
    ),
    Case(
        "http2/5.1/13",
        "closed by END_STREAM: CONTINUATION",
        ends(STREAM_CLOSED, PROTOCOL_ERROR),
        (*_CLOSED, frame(CONTINUATION, 1, block([("x", "y")]), END_HEADERS)),
    ),
    Case("http2/5.1.1/1", "an even stream", ends(PROTOCOL_ERROR), (headers(2, FIELDS),)),
    Case(
        "http2/5.1.1/2",
        "a stream below the last",
        ends(PROTOCOL_ERROR),
        (headers(5, FIELDS) + headers(3, FIELDS),),
    ),
    Case(
        "http2/5.1.2/1",
        "a stream too many",
        ends(PROTOCOL_ERROR, REFUSED_STREAM),
        (
            b"",
            b"".join(headers(stream, FIELDS) for stream in range(1, 2 * MOST_STREAMS + 3, 2)),
        ),
    ),
    # RFC 9113 deprecates priorities (5.3.2), and asks for no error any more; nghttp2 has one for the first.
    Case(
        "http2/5.3.1/1",
        "HEADERS that wait for themselves",
        resets(PROTOCOL_ERROR),
        (frame(HEADERS, 1, _dependency(1, 16) + block(FIELDS), END_HEADERS | PRIORITIZED) + data(1, BODY),),
    ),
    Case("http2/5.3.1/2", "PRIORITY that waits for itself", answers(), (priority(1, 1) + CALL,)),
    Case("http2/5.4.1/1", "a connection error ends it", ends(PROTOCOL_ERROR), (frame(PING, 3, bytes(8)),)),
    Case("http2/5.4.1/2", "and says GOAWAY", ends(PROTOCOL_ERROR), (frame(PING, 3, bytes(8)),)),
    Case(
        "http2/5.5/1",
        "an unknown extension",
        answers_the_ping,
        (frame(0x16, 0, bytes(8)) + frame(PING, 0, b"12345678"),),
    ),
    Case(
        "http2/5.5/2",
        "one inside a block",
        ends(PROTOCOL_ERROR),
        (headers(1, FIELDS, 0) + frame(0x16, 1, bytes(8)),),
    ),
    Case("http2/6.1/1", "DATA on stream 0", ends(PROTOCOL_ERROR), (data(0, b"x"),)),
    Case(
        "http2/6.1/2",
        "DATA on a stream that is not open",
        resets(STREAM_CLOSED),
        (HALF_CLOSED, data(1, b"x")),
    ),
    Case(
        "http2/6.1/3",
        "DATA that is less than its padding",
        ends(PROTOCOL_ERROR),
        (OPEN + frame(DATA, 1, b"\6test", PADDED),),
    ),
    Case(
        "http2/6.2/1",
        "HEADERS without an end, and PRIORITY",
        ends(PROTOCOL_ERROR),
        (headers(1, FIELDS, 0) + priority(1),),
    ),
    Case(
        "http2/6.2/2",
        "HEADERS without an end, and others",
        ends(PROTOCOL_ERROR),
        (headers(1, FIELDS, 0) + headers(3, FIELDS),),
    ),
    Case("http2/6.2/3", "HEADERS on stream 0", ends(PROTOCOL_ERROR), (headers(0, FIELDS),)),
    Case(
        "http2/6.2/4",
        "HEADERS that are less than their padding",
        ends(PROTOCOL_ERROR),
        (frame(HEADERS, 1, b"\xff" + block(FIELDS), LAST | PADDED),),
    ),
    Case("http2/6.3/1", "PRIORITY on stream 0", ends(PROTOCOL_ERROR), (priority(0),)),
    Case(
        "http2/6.3/2",
        "PRIORITY of another length",
        resets(FRAME_SIZE_ERROR),
        (OPEN + frame(PRIORITY, 1, bytes(4)),),
    ),
    Case("http2/6.4/1", "RST_STREAM on stream 0", ends(PROTOCOL_ERROR), (reset(0),)),
    Case("http2/6.4/2", "RST_STREAM on an idle stream", ends(PROTOCOL_ERROR), (reset(1),)),
    Case(
        "http2/6.4/3",
        "RST_STREAM of another length",
        ends(FRAME_SIZE_ERROR),
        (OPEN + frame(RST_STREAM, 1, bytes(3)),),
    ),
    Case(
        "http2/6.5/1",
        "SETTINGS, acknowledged with a payload",
        ends(FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, bytes(1), ACK),),
    ),
    Case(
        "http2/6.5/2",
        "SETTINGS on a stream",
        ends(PROTOCOL_ERROR),
        (OPEN + frame(SETTINGS, 1, b"\0\3\0\0\0d"),),
    ),
    Case(
        "http2/6.5/3", "SETTINGS of another length", ends(FRAME_SIZE_ERROR), (frame(SETTINGS, 0, bytes(3)),)
    ),
    Case("http2/6.5.2/1", "ENABLE_PUSH of 2", ends(PROTOCOL_ERROR), (settings((2, 2)),)),
    Case("http2/6.5.2/2", "INITIAL_WINDOW_SIZE too large", ends(FLOW_CONTROL_ERROR), (settings((4, 2**31)),)),
    Case("http2/6.5.2/3", "MAX_FRAME_SIZE too small", ends(PROTOCOL_ERROR), (settings((5, 2**14 - 1)),)),
    Case("http2/6.5.2/4", "MAX_FRAME_SIZE too large", ends(PROTOCOL_ERROR), (settings((5, 2**24)),)),
    Case("http2/6.5.2/5", "an unknown setting", answers(), (settings((0xFF, 0)) + CALL,)),
    Case(
        "http2/6.5.3/1",
        "two INITIAL_WINDOW_SIZE in one",
        sends_in_parts(1),
        (settings((4, 100), (4, 1)) + CALL,),
    ),
    Case("http2/6.5.3/2", "SETTINGS are acknowledged", has_sent(SettingsFrame, "ACK"), (settings((3, 100)),)),
    Case("http2/6.7/1", "PING", answers_the_ping, (frame(PING, 0, b"12345678"),)),
    Case("http2/6.7/2", "PING with ACK", leaves_the_ping_unanswered, (frame(PING, 0, b"invalid!", ACK),)),
    Case("http2/6.7/3", "PING on a stream", ends(PROTOCOL_ERROR), (frame(PING, 1, bytes(8)),)),
    Case("http2/6.7/4", "PING of another length", ends(FRAME_SIZE_ERROR), (frame(PING, 0, bytes(6)),)),
    Case("http2/6.8/1", "GOAWAY on a stream", ends(PROTOCOL_ERROR), (frame(GOAWAY, 1, bytes(8)),)),
    Case("http2/6.9/1", "WINDOW_UPDATE of 0", ends(PROTOCOL_ERROR), (window_update(0, 0),)),
    Case(
        "http2/6.9/2", "WINDOW_UPDATE of 0 on a stream", resets(PROTOCOL_ERROR), (OPEN + window_update(1, 0),)
    ),
    Case(
        "http2/6.9/3",
        "WINDOW_UPDATE of another length",
        ends(FRAME_SIZE_ERROR),
        (frame(WINDOW_UPDATE, 0, bytes(3)),),
    ),
    Case("http2/6.9.1/1", "a window of 1", sends_in_parts(1), (settings((4, 1)) + CALL,)),
    Case(
        "http2/6.9.1/2",
        "a window of the connection beyond the most",
        ends(FLOW_CONTROL_ERROR),
        (_TOO_MUCH + _TOO_MUCH,),
    ),
    Case(
        "http2/6.9.1/3",
        "a window of a stream beyond the most",
        resets(FLOW_CONTROL_ERROR),
        (OPEN + window_update(1, 2**31 - 1) + window_update(1, 2**31 - 1),),
    ),
    Case("http2/6.9.2/1", "a window that grows", sends_in_parts(1), (HALF_CLOSED, settings((4, 1)))),
    Case(
        "http2/6.9.2/2",
        "a window below 0",
        sends_in_parts(3, 1),
        (settings((4, 3)) + CALL, settings((4, 2)), window_update(1, 2)),
    ),
    Case("http2/6.9.2/3", "a window beyond the most", ends(FLOW_CONTROL_ERROR), (settings((4, 2**31)),)),
    Case("http2/6.10/1", "several CONTINUATION", answers(), (split(FIELDS, 3) + data(1, BODY),)),
    Case(
        "http2/6.10/2",
        "CONTINUATION, and another frame before the end",
        ends(PROTOCOL_ERROR),
        (headers(1, FIELDS, 0) + frame(CONTINUATION, 1) + data(1, b"x"),),
    ),
    Case(
        "http2/6.10/3",
        "CONTINUATION on stream 0",
        ends(PROTOCOL_ERROR),
        (headers(1, FIELDS, 0) + frame(CONTINUATION, 0, b"", END_HEADERS),),
    ),
    Case(
        "http2/6.10/4",
        "CONTINUATION after a whole HEADERS",
        ends(PROTOCOL_ERROR),
        (OPEN + frame(CONTINUATION, 1, b"", END_HEADERS),),
    ),
    Case(
        "http2/6.10/5",
        "CONTINUATION after the last one",
        ends(PROTOCOL_ERROR),
        (split(FIELDS, 2) + frame(CONTINUATION, 1, b"", END_HEADERS),),
    ),
    Case(
        "http2/6.10/6",
        "CONTINUATION after DATA",
        ends(PROTOCOL_ERROR),
        (OPEN + data(1, b"x", 0) + frame(CONTINUATION, 1, b"", END_HEADERS),),
    ),
    Case("http2/7/1", "GOAWAY with an unknown code", ends_or_goes_on, (go_away(0, 0xFF),)),
    Case("http2/7/2", "RST_STREAM with an unknown code", goes_on, (OPEN + reset(1, 0xFF),)),
    Case(
        "http2/8.1/1",
        "a second HEADERS without END_STREAM",
        resets(PROTOCOL_ERROR),
        (OPEN + data(1, b"", 0) + headers(1, [("x-end", "1")]),),
    ),
    Case("http2/8.1.2/1", "a name with capitals", resets(PROTOCOL_ERROR), (with_fields(("X-TEST", "ok")),)),
    Case("http2/8.1.2.1/1", "an unknown pseudo-header", resets(PROTOCOL_ERROR), (ahead((":test", "ok")),)),
    Case(
        "http2/8.1.2.1/2", "a response's pseudo-header", resets(PROTOCOL_ERROR), (ahead((":status", "200")),)
    ),
    Case(
        "http2/8.1.2.1/3",
        "a pseudo-header in trailers",
        resets(PROTOCOL_ERROR),
        (OPEN + data(1, b"", 0) + headers(1, [(":method", "POST")], LAST),),
    ),
    Case(
        "http2/8.1.2.1/4",
        "a pseudo-header after others",
        resets(PROTOCOL_ERROR),
        (headers(1, FIELDS[1:] + FIELDS[:1], LAST),),
    ),
    Case(
        "http2/8.1.2.2/1",
        "a field of the connection",
        resets(PROTOCOL_ERROR),
        (with_fields(("connection", "keep-alive")),),
    ),
    Case(
        "http2/8.1.2.2/2",
        "te other than trailers",
        resets(PROTOCOL_ERROR),
        (headers(1, request_fields(ECHO, te="trailers, deflate"), LAST),),
    ),
    Case(
        "http2/8.1.2.3/1", "an empty :path", resets(PROTOCOL_ERROR), (headers(1, request_fields(""), LAST),)
    ),
    Case("http2/8.1.2.3/2", "no :method", resets(PROTOCOL_ERROR), (without(":method"),)),
    Case("http2/8.1.2.3/3", "no :scheme", resets(PROTOCOL_ERROR), (without(":scheme"),)),
    Case("http2/8.1.2.3/4", "no :path", resets(PROTOCOL_ERROR), (without(":path"),)),
    Case("http2/8.1.2.3/5", "two :method", resets(PROTOCOL_ERROR), (ahead((":method", "POST")),)),
    Case("http2/8.1.2.3/6", "two :scheme", resets(PROTOCOL_ERROR), (ahead((":scheme", "http")),)),
    Case("http2/8.1.2.3/7", "two :path", resets(PROTOCOL_ERROR), (ahead((":path", ECHO)),)),
    Case(
        "http2/8.1.2.6/1",
        "a content-length that DATA has not",
        resets(PROTOCOL_ERROR),
        (headers(1, [*FIELDS, ("content-length", "1")]) + data(1, BODY),),
    ),
    Case(
        "http2/8.1.2.6/2",
        "one that several DATA have not",
        resets(PROTOCOL_ERROR),
        (headers(1, [*FIELDS, ("content-length", "1")]) + data(1, BODY[:4], 0) + data(1, BODY[4:]),),
    ),
    Case(
        "http2/8.2/1",
        "PUSH_PROMISE",
        ends(PROTOCOL_ERROR),
        (OPEN + frame(PUSH_PROMISE, 1, b"\0\0\0\2" + block(FIELDS), END_HEADERS),),
    ),
    Case(
        "hpack/2.3.3/1",
        "an index beyond the tables",
        ends(COMPRESSION_ERROR),
        (frame(HEADERS, 1, b"\xc6", LAST),),
    ),
    Case(
        "hpack/2.3.3/2",
        "a literal's index beyond the tables",
        ends(COMPRESSION_ERROR),
        (frame(HEADERS, 1, b"\x7f\x07" + text("x"), LAST),),
    ),
    Case(
        "hpack/4.2/1",
        "a table size update at the end",
        ends(COMPRESSION_ERROR),
        (frame(HEADERS, 1, block(FIELDS) + b"\x20", LAST),),
    ),
    Case(
        "hpack/5.2/1",
        "Huffman padding longer than 7 bits",
        ends(COMPRESSION_ERROR),
        (_huffman_literal(_HUFFMAN.encode(b"test") + b"\xff"),),
    ),
    # "1" is 00001: three bits of padding, which have to be ones.
    Case("hpack/5.2/2", "Huffman padding of zeros", ends(COMPRESSION_ERROR), (_huffman_literal(b"\x08"),)),
    Case(
        "hpack/5.2/3",
        "Huffman's end of string",
        ends(COMPRESSION_ERROR),
        (_huffman_literal(b"\xff\xff\xff\xff"),),
    ),
    Case(
        "hpack/6.1/1", "index 0", ends(COMPRESSION_ERROR), (frame(HEADERS, 1, b"\x80" + block(FIELDS), LAST),)
    ),
    Case(
        "hpack/6.3/1",
        "a table above what was allowed",
        ends(COMPRESSION_ERROR),
        (frame(HEADERS, 1, b"\x3f\xe2\x1f" + block(FIELDS), LAST),),
    ),
)
