"""What a server of ours does with requests that HTTP/2 allows and gRPC does not, by every kind of handler."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import pytest
import uvloop
from support.echo import BATCH, STREAM, UNARY, serving
from support.http2_peer import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    PADDED,
    ConnectionEnded,
    Fields,
    Neighbour,
    RawPeer,
    block,
    data,
    frame,
    headers,
    message,
    request_fields,
    reset,
    settings,
    window_update,
)

from croupier.transport.context import Context
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.serving import Server

INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = "3", "4", "8", "12", "13"
ENHANCE_YOUR_CALM = 11
MAX_MESSAGE, MAX_HEADERS = 10_000, 4_096
LIMITS = Limits(max_message_bytes=MAX_MESSAGE, max_header_bytes=MAX_HEADERS)
LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
KINDS = [BATCH, UNARY, STREAM]
LAST = END_HEADERS | END_STREAM
BODY = b"a message"

# Header values that the server refuses, by what the caller hears: the HTTP and the gRPC status.
BAD_FIELDS: dict[str, tuple[tuple[str, str | None], dict[str, str | None]]] = {
    "another content type": (("415", None), {"content_type": "text/plain"}),
    "a content type that begins like gRPC's": (("415", None), {"content_type": "application/grpcx"}),
    "no content type": (("415", None), {"content_type": None}),
    "GET": (("405", None), {"method": "GET"}),
    "no te": (("200", INVALID_ARGUMENT), {"te": None}),
    "an unknown method": (("200", UNIMPLEMENTED), {"path": "/test.Echo/Nothing"}),
    "an unknown service": (("200", UNIMPLEMENTED), {"path": "/test.Nobody/Batch"}),
    "an unknown encoding": (("200", UNIMPLEMENTED), {"grpc_encoding": "snappy"}),
    "a timeout without unit": (("200", INVALID_ARGUMENT), {"grpc_timeout": "1"}),
    "a timeout without digits": (("200", INVALID_ARGUMENT), {"grpc_timeout": "S"}),
    "a timeout of nine digits": (("200", INVALID_ARGUMENT), {"grpc_timeout": "123456789S"}),
    "a timeout below 0": (("200", INVALID_ARGUMENT), {"grpc_timeout": "-1S"}),
    "a timeout with a fraction": (("200", INVALID_ARGUMENT), {"grpc_timeout": "1.5S"}),
    "a timeout with a unit that is none": (("200", INVALID_ARGUMENT), {"grpc_timeout": "1s"}),
    "an empty timeout": (("200", INVALID_ARGUMENT), {"grpc_timeout": ""}),
    "headers over the limit": (("200", RESOURCE_EXHAUSTED), {"padding": "x" * MAX_HEADERS}),
}

# Bodies that the server refuses, by the gRPC status; `grpc-encoding` where there is one.
BAD_BODIES: dict[str, tuple[str, bytes, str | None]] = {
    "a message that is longer than the body": (INTERNAL, message(BODY)[:-1], None),
    "a body that ends inside a prefix": (INTERNAL, message(BODY)[:3], None),
    "a message and the beginning of another": (INTERNAL, message(BODY) + b"\0", None),
    "a compressed message without grpc-encoding": (INTERNAL, message(BODY, 1), None),
    "a compressed message of identity": (INTERNAL, message(BODY, 1), "identity"),
    "a flag that gRPC does not know": (INTERNAL, message(BODY, 2), None),
    "a message over the limit": (RESOURCE_EXHAUSTED, message(bytes(MAX_MESSAGE + 1)), None),
    "a message that claims 4 GiB": (RESOURCE_EXHAUSTED, b"\0\xff\xff\xff\xff", None),
    "a message that grows over the limit": (
        RESOURCE_EXHAUSTED,
        message(gzip.compress(bytes(MAX_MESSAGE + 1)), 1),
        "gzip",
    ),
    "garbage for gzip": (INVALID_ARGUMENT, message(BODY, 1), "gzip"),
    "gzip that is cut short": (INVALID_ARGUMENT, message(gzip.compress(BODY)[:-1], 1), "gzip"),
    "gzip with something behind it": (INVALID_ARGUMENT, message(gzip.compress(BODY) + b"x", 1), "gzip"),
    "deflate without its header": (INVALID_ARGUMENT, message(zlib.compress(BODY)[2:], 1), "deflate"),
}

GOOD_FIELDS: dict[str, dict[str, str | None]] = {
    "a content type with a format": {"content_type": "application/grpc+proto"},
    "a content type with a parameter": {"content_type": "application/grpc;charset=utf-8"},
    "identity": {"grpc_encoding": "identity"},
    "the longest timeout": {"grpc_timeout": "99999999H"},
    "a content-length": {"content_length": str(len(message(BODY)))},
    "metadata that are nobody's business": {"grpc_tags_bin": "AAA", "x_custom": "1", "user_agent": "me/1"},
    "headers just below the limit": {"padding": "x" * (MAX_HEADERS - 500)},
}


@pytest.fixture
async def address() -> AsyncIterator[str]:
    async with serving(LIMITS) as address:
        yield address


@pytest.fixture
async def neighbour(address: str) -> AsyncIterator[Neighbour]:
    async with Neighbour.connect(address) as neighbour:
        assert await neighbour.call(UNARY, b"before") == ("0", b"before")
        yield neighbour
        assert await neighbour.call(UNARY, b"after") == ("0", b"after")


@pytest.fixture
async def peer(address: str, neighbour: Neighbour) -> AsyncIterator[RawPeer]:
    """A connection that has to outlive what the test does on stream 1."""
    async with RawPeer.connect(address) as peer:
        yield peer
        assert (("200", "0"), message(b"call")) == await call(peer, 101, request_fields(BATCH), b"call")


async def call(
    peer: RawPeer, stream: int, fields: Fields, body: bytes
) -> tuple[tuple[str, str | None], bytes]:
    peer.send(headers(stream, fields), data(stream, message(body)))
    heard = await peer.heard(stream)
    return heard.status, heard.body


@pytest.mark.parametrize("name", BAD_FIELDS)
async def test_bad_headers_are_refused(peer: RawPeer, name: str) -> None:
    expected, changed = BAD_FIELDS[name]
    fields = request_fields(BATCH, **changed)
    assert (expected, b"") == await call(peer, 1, fields, BODY)


@pytest.mark.parametrize("name", GOOD_FIELDS)
async def test_good_headers_are_taken(peer: RawPeer, name: str) -> None:
    fields = request_fields(BATCH, **GOOD_FIELDS[name])
    assert (("200", "0"), message(BODY)) == await call(peer, 1, fields, BODY)


@pytest.mark.parametrize("path", KINDS)
@pytest.mark.parametrize("name", BAD_BODIES)
async def test_bad_bodies_are_refused(peer: RawPeer, name: str, path: str) -> None:
    status, body, encoding = BAD_BODIES[name]
    peer.send(headers(1, request_fields(path, grpc_encoding=encoding)), data(1, body))
    heard = await peer.heard(1)
    assert ("200", status) == heard.status


@pytest.mark.parametrize("path", [BATCH, UNARY])
@pytest.mark.parametrize("body", [b"", message(BODY) * 2], ids=["none", "two"])
async def test_a_unary_method_takes_exactly_one_message(peer: RawPeer, path: str, body: bytes) -> None:
    peer.send(headers(1, request_fields(path)), data(1, body))
    heard = await peer.heard(1)
    assert (heard.status, heard.body) == (("200", INVALID_ARGUMENT), b"")


@pytest.mark.parametrize("path", KINDS)
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_message_may_be_compressed_or_not(peer: RawPeer, path: str, encoding: str) -> None:
    packed = {"gzip": gzip.compress, "deflate": zlib.compress}[encoding](BODY)
    for stream, sent in ((1, message(packed, 1)), (3, message(BODY))):
        peer.send(headers(stream, request_fields(path, grpc_encoding=encoding)), data(stream, sent))
        heard = await peer.heard(stream)
        assert (("200", "0"), message(BODY)) == (heard.status, heard.body)


async def test_whoever_sends_an_unknown_encoding_hears_of_the_known_ones(peer: RawPeer) -> None:
    peer.send(headers(1, request_fields(BATCH, grpc_encoding="snappy")), data(1, message(BODY)))
    heard = await peer.heard(1)
    assert heard.lists[-1]["grpc-accept-encoding"] == "identity,deflate,gzip"


@pytest.mark.parametrize("path", [UNARY, STREAM])
async def test_metadata_that_are_not_base64_are_refused_when_they_are_read(peer: RawPeer, path: str) -> None:
    answer = await call(peer, 1, request_fields(path, ("x-trace-bin", "!!!")), BODY)
    assert answer == (("200", INVALID_ARGUMENT), b"")


@pytest.mark.parametrize("path", [UNARY, STREAM])
async def test_what_is_late_on_arrival_is_not_executed(peer: RawPeer, path: str) -> None:
    answer = await call(peer, 1, request_fields(path, grpc_timeout="0n"), BODY)
    assert answer == (("200", DEADLINE_EXCEEDED), b"")


@pytest.mark.parametrize("path", KINDS)
async def test_a_message_may_come_byte_by_byte(peer: RawPeer, path: str) -> None:
    whole = message(BODY)
    peer.send(headers(1, request_fields(path)))
    for at in range(len(whole)):
        peer.send(data(1, whole[at : at + 1], 0))
    peer.send(data(1))
    heard = await peer.heard(1)
    assert (("200", "0"), whole) == (heard.status, heard.body)


async def test_messages_may_share_frames_and_frames_may_be_padded(peer: RawPeer) -> None:
    sent = message(b"one") + message(b"") + message(b"three")
    peer.send(headers(1, request_fields(STREAM)))
    for part in (sent[:7], sent[7:]):
        peer.send(frame(0, 1, b"\x03" + part + bytes(3), PADDED))
    peer.send(headers(1, [("x-checksum", "42")], LAST))
    heard = await peer.heard(1)
    assert (("200", "0"), sent) == (heard.status, heard.body)


@pytest.mark.parametrize("path", KINDS)
async def test_trailers_do_not_finish_a_message(peer: RawPeer, path: str) -> None:
    peer.send(
        headers(1, request_fields(path)), data(1, message(BODY)[:-1], 0), headers(1, [("a", "b")], LAST)
    )
    heard = await peer.heard(1)
    assert heard.status == ("200", INTERNAL)


async def test_a_stream_may_have_no_message(peer: RawPeer) -> None:
    peer.send(headers(1, request_fields(STREAM), LAST))
    heard = await peer.heard(1)
    assert (heard.status, heard.body) == (("200", "0"), b"")


@pytest.mark.parametrize(
    "changed", [{"content_type": "text/plain"}, {"grpc_timeout": "x"}], ids=["HTTP", "gRPC"]
)
async def test_who_is_refused_and_goes_on_sending_is_told_to_stop(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str | None]
) -> None:
    monkeypatch.setattr("croupier.transport.server._LINGER_SECONDS", 0.0)
    monkeypatch.setattr("croupier.transport.server._TICK_SECONDS", 0.01)
    async with serving(LIMITS) as address, RawPeer.connect(address) as peer:
        peer.send(headers(1, request_fields(STREAM, **changed)))
        heard = await peer.until(1, lambda heard: heard.reset is not None)
        assert (heard.is_ended, heard.reset) == (True, 0)


@pytest.mark.parametrize("path", KINDS)
async def test_a_call_may_be_reset_at_any_point(peer: RawPeer, path: str) -> None:
    whole = message(BODY)
    for number, sent in enumerate([None, b"", whole[:3], whole[:-1], whole]):
        stream = 2 * number + 1
        peer.send(headers(stream, request_fields(path)))
        if sent is not None:
            peer.send(data(stream, sent, 0))
        peer.send(reset(stream))
    await peer.settled()


async def test_a_handler_may_read_while_it_waits_to_write() -> None:
    taken = asyncio.Event()

    async def echo(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()

        async def read() -> None:
            async for each in messages:
                queue.put_nowait(each)
                taken.set()
            queue.put_nowait(None)

        reading = asyncio.create_task(read())
        while (each := await queue.get()) is not None:
            yield each * 100_000
        await reading

    server = Server()
    server.add_stream(STREAM, echo)
    address = await server.start("127.0.0.1:0")
    try:
        async with RawPeer.connect(address) as peer:
            peer.send(settings((4, 0)), headers(1, request_fields(STREAM)), data(1, message(b"a"), 0))
            await asyncio.wait_for(taken.wait(), 10)
            # The handler's task is in its write, which the peer's window does not let through.
            await peer.settled()
            peer.send(data(1, message(b"b")), window_update(1, 2**20), window_update(0, 2**20))
            heard = await peer.heard(1)
            assert message(b"a" * 100_000) + message(b"b" * 100_000) == heard.body
    finally:
        await server.stop(0)


@pytest.mark.parametrize("is_together", [True, False], ids=["in one read", "later"])
@pytest.mark.parametrize("ending", ["reset", "connection"])
async def test_who_keeps_a_batch_call_hears_of_its_cancellation(is_together: bool, ending: str) -> None:
    kept: set[ServerCall] = set()
    server = Server()

    def keep(calls: list[ServerCall]) -> None:
        for call in calls:
            kept.add(call)
            call.on_cancel = lambda call=call: kept.discard(call)

    server.add_batch([BATCH], keep)
    address = await server.start("127.0.0.1:0")
    try:
        async with RawPeer.connect(address) as peer:
            await peer.settled()
            peer.send(headers(1, request_fields(BATCH)), data(1, message(BODY)))
            if not is_together:
                await peer.settled()
                assert len(kept) == 1
            if ending == "reset":
                peer.send(reset(1))
                await peer.settled()
            else:
                # What breaks the connection, in the same read as the request.
                peer.send(data(0, b"x"))
                await peer.ended()
        assert not kept
    finally:
        await server.stop(0)


async def test_a_header_list_far_beyond_the_limit_ends_the_connection(
    address: str, neighbour: Neighbour
) -> None:
    many = [(f"x-{number}", "x" * 4000) for number in range(20)]
    fields = request_fields(BATCH)
    async with RawPeer.connect(address) as peer:
        peer.send(headers(1, fields + many[:3], 0), *_continuations(many[3:]))
        with pytest.raises(ConnectionEnded) as ended:
            await peer.heard(1)
    assert ended.value.code == ENHANCE_YOUR_CALM


def _continuations(fields: Fields) -> list[bytes]:
    parts = [fields[at : at + 3] for at in range(0, len(fields), 3)]
    return [frame(CONTINUATION, 1, block(part), 0) for part in parts[:-1]] + [
        frame(CONTINUATION, 1, block(parts[-1]), LAST)
    ]


@pytest.mark.parametrize("encoding", [None, "gzip"])
async def test_a_long_stream_holds_no_more_than_a_short_one(encoding: str | None) -> None:
    few = Limits(floor_bytes=2**12, connection_bytes=2**16)
    one = message(gzip.compress(BODY), 1) if encoding else message(BODY)
    fields = request_fields(STREAM, grpc_encoding=encoding)
    async with serving(few) as address, RawPeer.connect(address) as peer:
        peer.send(settings((4, 2**30)), window_update(0, 2**30), headers(1, fields))
        for turn in range(1, 61):
            peer.send(data(1, 250 * one, 0))
            expected = turn * 250 * len(message(BODY))
            heard = await peer.until(
                1, lambda heard, size=expected: heard.is_ended or len(heard.body) == size
            )
            assert not heard.is_ended, heard.lists[-1]
        peer.send(data(1))
        assert (await peer.heard(1)).status == ("200", "0")
