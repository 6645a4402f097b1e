"""Requests that are weighed are refused while they arrive, when they are too heavy or cannot be read."""

from __future__ import annotations

import zlib

import pytest
from support.hostile import Victim
from support.http2_peer import ACK, PREFACE, SETTINGS, data, frame, headers, request_fields, settings
from support.http2_peer import message as framed
from support.pair import BATCH, STREAM, WINDOW, Pair, events_of, taken

from croupier.codes import Code
from croupier.fields import MAX_FIELDS
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import Route
from croupier.transport.http2.server_session import CANCELLED, ServerSession
from croupier.weight import Scale
from protos.inference.v2.inference_pb2 import ModelInferRequest

NARROW = Limits(stream_window=WINDOW, connection_window=WINDOW)
MEGABYTE = 2**20
SIZE = 4 * MEGABYTE
BAD = [
    pytest.param(b"\x0a\xff\xff\xff\x7f" + bytes(SIZE), id="longer than itself"),
    pytest.param(b"\x2a\x00" * (SIZE // 2), id="empty fields"),
    pytest.param(b"\x0b\x0c" * (SIZE // 2), id="empty groups"),
]
# So many that all of `MAX_FIELDS` have to be seen.
INSIDE = b"\x2a\x80\x80\x80\x02" + b"\x78\1" * (SIZE // 2)
FRAME = 2**14
GOOD = b"\x0a\x85\x80\x40" + bytes(MEGABYTE + 5) + b"\x10\x01"


def pair_of(max_fields: int | None, limits: Limits = NARROW) -> Pair:
    pair = Pair(limits)
    scale = None if max_fields is None else Scale(ModelInferRequest.DESCRIPTOR, max_fields)
    routes = (
        Route(BATCH, batch=True, scale=scale),
        Route(STREAM, streaming=True, scale=scale),
    )
    pair.server.routes = {route.path.encode(): route for route in routes}
    return pair


def carried(pair: Pair) -> int:
    """How many bytes the server is sent until neither side has anything to say."""
    sent = 0
    while True:
        to_server, to_client = pair.to_server(), pair.to_client()
        if not to_server and not to_client:
            return sent
        sent += to_server


@pytest.mark.parametrize("message", BAD)
def test_a_request(message: bytes) -> None:
    pair = pair_of(1000)
    call = pair.start(request=message)
    assert carried(pair) < 2 * WINDOW
    assert (call.code, pair.calls) == (Code.INVALID_ARGUMENT, [])
    pair.check_nothing_left()


@pytest.mark.parametrize("message", [*BAD, INSIDE])
def test_no_more_of_a_request_is_sent_than_the_first_window(message: bytes) -> None:
    limits = Limits()
    pair = pair_of(1000, limits)
    call = pair.start(request=message)
    assert carried(pair) < limits.first_window + 1000
    assert call.code == Code.INVALID_ARGUMENT
    pair.check_nothing_left()


@pytest.mark.parametrize("message", BAD)
def test_a_message_of_a_stream(message: bytes) -> None:
    pair = pair_of(1000)
    call, served = pair.stream()
    call.send(message)
    assert carried(pair) < 2 * WINDOW
    assert (call.code, taken(served)) == (Code.INVALID_ARGUMENT, [])
    assert events_of(pair.server_events, served)[-1] == CANCELLED
    pair.check_nothing_left()


def test_a_request_with_fields_inside_of_a_part() -> None:
    pair = pair_of(1000)
    call = pair.start(request=INSIDE)
    assert carried(pair) < 2 * MAX_FIELDS + 2 * WINDOW
    assert (call.code, pair.calls) == (Code.INVALID_ARGUMENT, [])
    pair.check_nothing_left()


@pytest.mark.parametrize("message", [*BAD, INSIDE])
def test_a_compressed_message(message: bytes) -> None:
    """It is weighed when it is inflated, before anybody has it."""
    victim = Victim(Limits(stream_window=2 * SIZE, connection_window=2 * SIZE))
    victim.session.routes = pair_of(1000).server.routes
    victim.send(headers(1, request_fields(STREAM, grpc_encoding="deflate")))
    # As long as it was: what grows much is refused for that.
    sent = framed(zlib.compress(message, level=0), 1)
    victim.send(*(data(1, sent[at : at + FRAME], 0) for at in range(0, len(sent), FRAME)))
    (served,) = victim.calls
    assert (victim.statuses(), taken(served)) == ([str(int(Code.INVALID_ARGUMENT))], [])
    victim.close()


@pytest.mark.parametrize(("encoding", "turn"), [("identity", 200_000.0), ("deflate", 600_000.0)])
def test_what_weighing_takes_is_part_of_the_work_of_a_turn(encoding: str, turn: float) -> None:
    """Of what comes behind a message with many fields a turn takes in less than behind one with few."""

    def taken_in(message: bytes) -> int:
        session = ServerSession(Limits(), 0.0, pair_of(0).server.routes)
        session.receive(PREFACE + settings(), 0.0)
        session.drain()
        session.receive(frame(SETTINGS, flags=ACK), 0.0)
        session.turn = turn
        sent = framed(message) if encoding == "identity" else framed(zlib.compress(message, level=0), 1)
        begin = [headers(stream, request_fields(BATCH, grpc_encoding=encoding)) for stream in (1, 3)]
        parts = [data(1, sent[at : at + FRAME], 0) for at in range(0, len(sent), FRAME)]
        behind = data(3, bytes(FRAME), 0) * 16
        return session.receive(b"".join([*begin, *parts, behind]), 0.0) - len(sent)

    few, many = b"\x0a\xfc\xff\x07" + bytes(2**17 - 4), b"\x2a\x05\x0a\x03abc" * 18_724
    assert taken_in(few) > 16 * FRAME
    assert taken_in(many) < 16 * FRAME


def test_each_message_of_a_stream_may_have_so_many() -> None:
    pair = pair_of(2)
    call, served = pair.stream()
    for _ in range(3):
        call.send(GOOD)
        pair.pump()
        assert taken(served) == [GOOD]
    call.end()
    served.finish()
    pair.check_nothing_left()


def test_other_messages_are_taken_as_they_are() -> None:
    message = b"\x0a\xff\xff\xff\x7f" + bytes(SIZE)
    pair = pair_of(None)
    call, served = pair.unary(request=message)
    assert served.message == message
    served.reply(b"")
    pair.check_nothing_left()
    assert call.code == 0
