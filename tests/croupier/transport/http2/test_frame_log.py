"""Frames in the log, as they stand there."""

from __future__ import annotations

import logging
import re

import pytest
from support import http2_peer as http2
from support.pair import Pair

from croupier.telemetry.logs import FRAMES
from croupier.transport.http2.frame_log import describe


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What is logged: without the sessions' numbers, and ever the same list."""
    caplog.set_level(logging.DEBUG, FRAMES)
    found: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            name, _, rest = record.getMessage().partition(" ")
            found.append(f"{name.partition('#')[0]} {rest}")

    caplog.handler.addFilter(lambda record: Lines().emit(record) is None)
    return found


def test_a_session_that_is_not_logged_has_no_log() -> None:
    pair = Pair()
    assert (pair.client.frame_log, pair.server.frame_log) == (None, None)


def test_a_unary_call(lines: list[str]) -> None:
    pair = Pair()
    del lines[:]
    call = pair.start(request=b"secret question")
    pair.pump()
    pair.calls[0].reply(b"secret answer")
    pair.pump()
    assert call.code == 0
    assert [re.sub(r" size=\d+", "", line) for line in lines] == [
        "client > HEADERS stream=1 END_HEADERS",
        "client > DATA stream=1 END_STREAM",
        "server < HEADERS stream=1 END_HEADERS",
        "server < DATA stream=1 END_STREAM",
        "server > HEADERS stream=1 END_HEADERS",
        "server > DATA stream=1",
        "server > HEADERS stream=1 END_STREAM END_HEADERS",
        "client < HEADERS stream=1 END_HEADERS",
        "client < DATA stream=1",
        "client < HEADERS stream=1 END_STREAM END_HEADERS",
    ]
    assert "client > DATA stream=1 size=20 END_STREAM" in lines
    assert "secret" not in "".join(lines)


def test_ends_say_why(lines: list[str]) -> None:
    pair = Pair()
    call = pair.open(((b"x-secret", b"token"),))
    pair.pump()
    del lines[:]
    call.cancel()
    pair.server.terminate(11)
    pair.pump()
    assert "client > RST_STREAM stream=1 size=4 code=CANCEL" in lines
    assert "client < GOAWAY stream=0 size=8 code=ENHANCE_YOUR_CALM" in lines
    assert "secret" not in "".join(lines)
    assert "token" not in "".join(lines)


def test_what_is_refused(lines: list[str]) -> None:
    pair = Pair()
    del lines[:]
    pair.server.receive(http2.frame(http2.WINDOW_UPDATE, 0, b"\0\0\0\0"), pair.now)
    assert lines[0].startswith("server < WINDOW_UPDATE stream=0 size=4 by=0 refused: ")


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ((4, 1, 0, 0), "SETTINGS stream=0 size=0 ACK"),
        ((6, 0, 0, 8), "PING stream=0 size=8"),
        ((8, 0, 3, 4, 65_535), "WINDOW_UPDATE stream=3 size=4 by=65535"),
        ((3, 0, 3, 4, 8), "RST_STREAM stream=3 size=4 code=CANCEL"),
        ((7, 0, 0, 8, 0x99), "GOAWAY stream=0 size=8 code=0x99"),
        ((1, 0x2D, 5, 40), "HEADERS stream=5 size=40 END_STREAM END_HEADERS PADDED PRIORITY"),
        ((255, 0x81, 5, 40), "type 0xff stream=5 size=40 flags=0x81"),
    ],
)
def test_words(frame: tuple[int, ...], words: str) -> None:
    assert describe(*frame) == words
