"""A connection on a transport that only notes what it is told, and a few on real sockets.

Work is done in turns, so that nobody waits for all that a peer sent at once; what ends is said, and what is
never read or never answered is given up.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import nullcontext
from pathlib import Path

import pytest
from support.certificates import Authority
from support.hostile import ENHANCE_YOUR_CALM, call_on
from support.http2_peer import ACK, PING, RawPeer, data, frame, message, settings
from support.joined import LIMITS, Joined, requests

from croupier.settings import ServerTls
from croupier.transport.net import connection
from croupier.transport.serving import Server

KIB = 2**10
FLOOD = 2_000 * settings()


class TestTurns:
    def test_few_requests_are_one_turn(self) -> None:
        joined = Joined()
        joined.data_received(requests(32))
        assert (joined.batches, joined.io.said) == ([32], [])

    def test_many_requests_are_many_turns(self) -> None:
        joined = Joined()
        joined.data_received(requests(1_000))
        # Reading rests, and one callback waits for the next turn beside that which writes.
        assert joined.io.said == ["pause"]
        assert len(joined.batches) == 1
        while joined.turns.waiting:
            before = len(joined.batches)
            joined.turns.run_once()
            assert len(joined.batches) <= before + 1
        assert sum(joined.batches) == 1_000
        assert len(joined.batches) > 5
        assert joined.io.said == ["pause", "resume"]

    def test_a_long_read_has_others_come_before_the_next(self) -> None:
        joined = Joined()
        joined.data_received(call_on(1) + 16 * data(1, bytes(16 * KIB), 0)[: 9 + 16 * KIB])
        assert joined.io.said == ["pause"]
        joined.turns.run_once()
        assert joined.io.said == ["pause", "resume"]

    def test_what_was_read_stays_in_order(self) -> None:
        joined = Joined()
        # A turn that ends inside a message goes on there.
        joined.data_received(requests(300) + requests(0) + call_on(601) + data(601, message(b"last")))
        while joined.turns.waiting:
            joined.turns.run_once()
        assert sum(joined.batches) == 301
        assert joined.session.open_calls == 0

    def test_a_connection_that_goes_meanwhile_reads_no_more(self) -> None:
        joined = Joined()
        joined.data_received(requests(1_000))
        joined.connection_lost(None)
        served = sum(joined.batches)
        while joined.turns.waiting:
            joined.turns.run_once()
        assert (sum(joined.batches), joined.is_gone) == (served, True)
        assert joined.io.said == ["pause"]

    def test_who_is_cut_off_in_one_turn_has_no_other(self) -> None:
        joined = Joined()
        joined.data_received(requests(200) + FLOOD + requests(200))
        while joined.turns.waiting:
            joined.turns.run_once()
        assert joined.io.said == ["pause", "end"]


class TestLastWords:
    @pytest.mark.parametrize("unsent", [0, 100 * KIB])
    def test_who_is_cut_off_has_a_second_to_hear_why(self, unsent: int) -> None:
        joined = Joined()
        joined.io.unsent = unsent
        joined.data_received(FLOOD)
        # Not closed: with bytes that nobody has read, TCP would drop what was said.
        assert joined.io.said == ["end"]
        assert (joined.session.held, joined.session.open_calls) == (unsent, 0)
        joined.turns.run_once()
        joined.tick(joined.now + 0.9)
        assert joined.io.said == ["end"]
        joined.tick(joined.now + 1.1)
        assert joined.io.said == ["end", "abort"]
        joined.connection_lost(None)
        assert joined.session.held == 0

    def test_who_goes_on_is_not_read(self) -> None:
        joined = Joined()
        joined.data_received(FLOOD)
        joined.data_received(requests(3))
        assert joined.io.said == ["end"]
        joined.data_received(bytes(64 * KIB))
        assert (joined.io.said, joined.batches) == (["end", "pause"], [])

    def test_under_tls_the_socket_below_is_ended_once_all_is_on_its_way(self) -> None:
        joined = Joined()
        joined.io.below, peer = socket.socketpair()
        with joined.io.below, peer:
            peer.setblocking(False)
            joined.data_received(FLOOD)
            with pytest.raises(BlockingIOError):
                peer.recv(1)
            joined.turns.run_once()
            assert (peer.recv(1), joined.io.said) == (b"", [])
            joined.tick(joined.now + 1.1)
            assert joined.io.said == ["abort"]

    def test_under_tls_a_socket_that_was_given_back_is_left_alone(self) -> None:
        joined = Joined()
        # By then its number may be another connection's.
        joined.io.below, peer = socket.socketpair()
        with joined.io.below, peer:
            peer.setblocking(False)
            joined.data_received(FLOOD)
            joined.connection_lost(None)
            joined.turns.run_once()
            with pytest.raises(BlockingIOError):
                peer.recv(1)

    def test_who_did_nothing_wrong_has_as_long_as_for_any_answer(self) -> None:
        joined = Joined()
        joined.io.unsent = 100 * KIB
        joined.session.go_away()
        joined.turns.run_once()
        assert joined.io.said == ["close"]
        joined.tick(joined.now + LIMITS.request_seconds - 1)
        assert joined.io.said == ["close"]
        joined.tick(joined.now + LIMITS.request_seconds + 1)
        assert joined.io.said == ["close", "abort"]

    def test_who_speaks_another_protocol_reads_the_answer(self) -> None:
        joined = Joined()
        joined.refuse(b"HTTP/1.1 505\r\n\r\n")
        assert (joined.io.written[-1], joined.io.said) == (b"HTTP/1.1 505\r\n\r\n", ["end"])
        joined.tick(joined.now + 1.1)
        assert joined.io.said == ["end", "abort"]


class TestOnSockets:
    """No clock ticks here: what ends, ends by itself."""

    @pytest.mark.parametrize("is_safe", [False, True], ids=["in the clear", "over TLS"])
    async def test_both_ends_are_gone_as_soon_as_it_was_said(self, tmp_path: Path, is_safe: bool) -> None:
        authority = Authority(tmp_path, "ours")
        pair = authority.issue("server")
        context = ssl.create_default_context(cafile=str(authority.certificate))
        context.set_alpn_protocols(["h2"])
        server = Server(tls=ServerTls(pair.certificate, pair.key) if is_safe else None)
        address = await server.start("127.0.0.1:0")
        _stop_clock(server)
        async with RawPeer.connect(address, tls=context if is_safe else None) as peer:
            peer.send(FLOOD)
            assert await peer.ended() == ENHANCE_YOUR_CALM
        while server.connections:
            await asyncio.sleep(0)
        await server.stop(0)


def _stop_clock(server: Server) -> None:
    assert server._ticker is not None
    server._ticker.cancel()


class TestSilence:
    def test_who_says_nothing_is_asked_and_given_up(self) -> None:
        joined = Joined()
        joined.tick(joined.now + LIMITS.keepalive_seconds)
        assert not joined.session.ping_at
        asked = joined.now + LIMITS.keepalive_seconds + 1
        joined.tick(asked)
        assert joined.session.ping_at == asked
        joined.tick(asked + LIMITS.keepalive_timeout)
        assert joined.io.said == []
        joined.tick(asked + LIMITS.keepalive_timeout + 1)
        assert joined.io.said == ["abort"]

    def test_who_answers_is_kept(self) -> None:
        joined = Joined()
        joined.now += LIMITS.keepalive_seconds + 1
        joined.tick(joined.now)
        joined.turns.run_once()
        joined.data_received(frame(PING, 0, bytes(8), ACK))
        joined.tick(joined.now + LIMITS.keepalive_seconds)
        assert (joined.session.ping_at, joined.io.said) == (0.0, [])

    def test_who_does_not_read_is_given_up(self) -> None:
        joined = Joined()
        joined.pause_writing()
        joined.tick(joined.now + LIMITS.request_seconds)
        assert joined.io.said == []
        joined.tick(joined.now + LIMITS.request_seconds + 1)
        assert joined.io.said == ["abort"]


class TestWriting:
    def test_nothing_is_drained_for_who_does_not_read(self) -> None:
        joined = Joined()
        joined.io.unsent = 300 * KIB
        joined.pause_writing()
        before = len(joined.io.written)
        joined.data_received(requests(2))
        joined.turns.run_once()
        assert (joined.batches, len(joined.io.written)) == ([2], before)
        assert joined.session.held >= 300 * KIB
        joined.resume_writing()
        assert len(joined.io.written) == before + 1
        joined.turns.run_once()
        assert (len(joined.io.written), joined.session.held) == (before + 1, 0)

    def test_replies_of_one_read_are_one_write(self) -> None:
        joined = Joined()
        before = len(joined.io.written)
        joined.data_received(requests(32))
        joined.turns.run_once()
        assert len(joined.io.written) == before + 1

    def test_a_graceful_end_waits_for_a_round_trip_and_for_calls(self) -> None:
        joined = Joined()
        joined.data_received(call_on(1))
        joined.begin_end()
        joined.turns.run_once()
        # On its way when the client heard that it should open no more.
        joined.data_received(call_on(3) + data(3, message(b"x")))
        joined.data_received(frame(PING, 0, bytes(8), ACK))
        joined.turns.run_once()
        assert (joined.batches, joined.io.said) == ([1], [])
        joined.data_received(data(1, message(b"x")))
        joined.turns.run_once()
        assert (joined.batches, joined.io.said) == ([1, 1], ["close"])

    @pytest.mark.parametrize("pieces", [1, 2, 5])
    def test_more_than_one_piece_is_a_section_of_its_own(
        self, pieces: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        joined, named, left = Joined(), [], [b"x"] * pieces
        monkeypatch.setattr(connection, "section", lambda name: named.append(name) or nullcontext())
        joined.deliver = lambda: None  # type: ignore[method-assign]
        before = len(joined.io.written)

        class Much:
            is_calm = is_broken = is_finished = False

            @property
            def has_more(self) -> bool:
                return bool(left)

            def drain(self) -> bytes:
                return left.pop()

        joined.session = Much()  # type: ignore[assignment]
        joined.flush()
        assert len(joined.io.written) == before + pieces
        assert named == ["large write"] * (pieces > 1)
