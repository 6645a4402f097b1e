"""RFC 9113 and RFC 7541 by section, told to a session in memory; `make interop` tells them to servers."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from support.http2_peer import RawPeer, data, headers
from support.http2_sections import BODY, CASES, ECHO, FIELDS, MOST_STREAMS, PROTOCOL_ERROR, USUAL, Case

from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import Route
from croupier.transport.http2.server_session import ServerSession

LIMITS = Limits(max_concurrent_streams=MOST_STREAMS)


class Memory:
    """What stands for a socket: what is written is taken in, and what the session says to it can be read."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._session = ServerSession(LIMITS, 0.0, {ECHO.encode(): Route(ECHO, batch=True)})
        self.write(b"")

    def write(self, data: bytes) -> None:
        if self._session.is_finished:
            return
        self._session.receive(data, 0.0)
        for call in self._session.take_batch():
            call.reply(call.message)
        self._reader.feed_data(self._session.drain())
        if self._session.is_finished:
            self._reader.feed_eof()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name} {case.what}")
async def test_a_session_in_memory(case: Case) -> None:
    reader = asyncio.StreamReader()
    peer = RawPeer(reader, cast(asyncio.StreamWriter, Memory(reader)))
    peer.send(case.first)
    await case.play(peer)


@pytest.mark.parametrize("left_out", [3, 5, 9, 97, 99])
async def test_a_stream_that_was_left_out_is_known_for_long(left_out: int) -> None:
    reader = asyncio.StreamReader()
    peer = RawPeer(reader, cast(asyncio.StreamWriter, Memory(reader)))
    peer.send(USUAL, *(call_on(stream) for stream in (1, 7, 11, 13, 101, 103)))
    await peer.settled()
    peer.send(call_on(left_out))
    assert await peer.ended() == PROTOCOL_ERROR
    assert sorted(stream for stream, heard in peer.streams.items() if heard.is_ended) == [
        1,
        7,
        11,
        13,
        101,
        103,
    ]


async def test_who_leaves_out_every_second_stream_is_served() -> None:
    reader = asyncio.StreamReader()
    peer = RawPeer(reader, cast(asyncio.StreamWriter, Memory(reader)))
    peer.send(USUAL)
    for stream in range(3, 203, 4):
        peer.send(call_on(stream))
        assert (await peer.heard(stream)).status == ("200", "0")


def call_on(stream: int) -> bytes:
    return headers(stream, FIELDS) + data(stream, BODY)


def test_the_names_are_the_cases_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
