"""What nghttp2 tells of a peer's frames, and what a session makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from hyperframe.frame import Frame, GoAwayFrame
from support.http2_peer import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    data,
    frame,
    go_away,
    headers,
    request_fields,
    reset,
)
from support.http2_peer import settings as settings_frame
from support.pair import BATCH, HEAD, Pair, events_of

from croupier.codes import Code
from croupier.transport.http2.server_session import CANCELLED


class TestHeadersSince:
    """For the owner, who gives a peer some time for a header block."""

    OPEN = headers(1, request_fields(BATCH), 0)

    def test_until_they_end(self) -> None:
        pair = Pair()
        assert pair.server.headers_since == 0.0
        pair.server.receive(self.OPEN[:20], pair.now)
        assert pair.now == pair.server.headers_since
        pair.server.receive(self.OPEN[20:], pair.now + 1)
        assert pair.now == pair.server.headers_since
        pair.server.receive(frame(CONTINUATION, 1, b"", END_HEADERS), pair.now + 2)
        assert pair.server.headers_since == 0.0

    @pytest.mark.parametrize("whose", ["server", "client"])
    def test_bad_ones_end_too(self, whose: str) -> None:
        # What is wrong with one call is no reason to end its connection some seconds later.
        pair = Pair()
        session = pair.server
        bad = headers(1, [*request_fields(BATCH), ("X-Upper", "1")])
        if whose == "client":
            pair.unary()
            session, bad = pair.client, headers(1, [*HEAD, ("X-Upper", "1")])  # type: ignore[assignment]
        session.receive(bad, pair.now)
        pair.pump()
        assert (session.headers_since, session.is_broken, session.open_calls) == (0.0, False, 0)


@pytest.mark.parametrize(
    ("garbage", "code"),
    [
        (b"\xff" * 100, 6),
        (headers(0, HEAD), 1),
        (data(99, b"x"), 1),
        (settings_frame((4, 2**31)), 3),
    ],
    ids=["no frame", "HEADERS on stream 0", "DATA on an idle stream", "settings that are wrong"],
)
@pytest.mark.parametrize("whose", ["server", "client"])
def test_a_peer_that_breaks_the_protocol_is_told_and_left(whose: str, garbage: bytes, code: int) -> None:
    pair = Pair()
    call, served = pair.stream()
    session = pair.server if whose == "server" else pair.client
    session.receive(garbage, pair.now)
    goodbye = last_frame(session.drain())
    assert session.is_finished
    assert (GoAwayFrame, code) == (type(goodbye), goodbye.error_code)
    session.close()
    pair.collect()
    if whose == "server":
        assert events_of(pair.server_events, served)[1:] == [CANCELLED]
        call.cancel()
    else:
        assert (call.code, call.is_broken) == (Code.UNAVAILABLE, True)
    assert (session.held, session.open_calls) == (0, 0)


def last_frame(sent: bytes) -> Any:
    while sent:
        last, length = Frame.parse_frame_header(memoryview(sent[:9]))
        last.parse_body(memoryview(sent[9 : 9 + length]))
        sent = sent[9 + length :]
    return last


def test_a_reset_of_a_stream_that_has_ended_is_ignored() -> None:
    pair = Pair()
    call, served = pair.unary()
    served.reply(b"answer")
    pair.pump()
    pair.client.receive(reset(1) + data(1, b"late", END_STREAM), pair.now)
    pair.server.receive(reset(1), pair.now)
    assert (call.code, call.message) == (Code.OK, b"answer")
    pair.client.receive(go_away(2**31 - 1), pair.now)
    assert not pair.client.is_usable
