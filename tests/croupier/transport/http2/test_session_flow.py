"""Flow control, and what two joined sessions hold: bounded at both ends, whatever the other one does."""

from __future__ import annotations

import pytest
from support import http2_peer as http2
from support.pair import BATCH, MIB, NARROW, UNARY, WINDOW, Pair, pattern, taken

from croupier.codes import Code
from croupier.transport.http2.limits import Limits

DRAIN = 256 * 2**10


class TestLargeMessages:
    @pytest.mark.parametrize("path", [BATCH, UNARY])
    @pytest.mark.parametrize("size", [WINDOW - 6, WINDOW - 5, WINDOW - 4, 3 * MIB + 1])
    def test_unary(self, path: str, size: int) -> None:
        pair = Pair(NARROW)
        call, served = pair.unary(path, pattern(size))
        assert pattern(size) == served.message
        served.reply(pattern(size)[::-1])
        pair.check_nothing_left()
        assert (0, pattern(size)[::-1]) == (call.code, call.message)

    def test_streaming(self) -> None:
        pair = Pair(NARROW)
        call, served = pair.stream()
        for end, other in ((call, served), (served, call)):
            end.send(pattern(MIB))
            pair.pump()
            assert [pattern(MIB)] == taken(other)
        call.end()
        served.finish()
        pair.check_nothing_left()

    def test_many_at_once_share_the_connection(self) -> None:
        pair = Pair(NARROW)
        calls = [pair.start(request=pattern(200_000 + number)) for number in range(20)]
        pair.pump()
        assert len(pair.calls) == 20
        for served in pair.calls:
            served.reply(served.message)
        pair.check_nothing_left()
        assert [len(call.message) for call in calls] == [200_000 + number for number in range(20)]

    def test_one_over_the_limit(self) -> None:
        small = Limits(max_message_bytes=1000)
        pair = Pair(small, client_limits=Limits())
        fits, over = pair.start(request=bytes(1000)), pair.start(request=bytes(1001))
        pair.pump()
        [served] = pair.calls
        served.reply(b"")
        pair.check_nothing_left()
        assert [(call.code, call.is_broken) for call in (fits, over)] == [
            (0, False),
            (Code.RESOURCE_EXHAUSTED, False),
        ]

    def test_a_response_over_the_limit(self) -> None:
        pair = Pair(client_limits=Limits(max_message_bytes=1000))
        call, served = pair.unary()
        served.reply(bytes(1001))
        pair.check_nothing_left()
        assert (call.code, call.is_broken, served.is_open) == (Code.RESOURCE_EXHAUSTED, True, False)


class TestFirstWindow:
    """A request's window is small until three quarters of it were taken, and whole from then on."""

    LIMITS = Limits(stream_queue=4 * MIB)

    def carried(self, pair: Pair) -> int:
        """How many bytes the server is sent until it has to take some."""
        sent = 0
        while size := pair.to_server() + pair.to_client():
            sent += size
        return sent

    def test_a_long_message_opens_it_as_it_arrives(self) -> None:
        pair, message = Pair(), pattern(10 * MIB)
        pair.start(request=message)
        turns = 0
        while pair.to_server():
            pair.to_client()
            turns += 1
        # A turn of `drain` is a quarter of a window.
        assert turns < 4 * 10 + 5
        assert pair.calls[0].message == message

    def test_nothing_that_waits_to_be_taken_opens_it(self) -> None:
        pair = Pair(self.LIMITS)
        call, served = pair.stream()
        for _ in range(200):
            call.send(bytes(2**14))
        assert self.LIMITS.first_window - 2**15 < self.carried(pair) < self.LIMITS.first_window + 1000
        assert len(taken(served)) * 2**14 < self.LIMITS.first_window
        # What was taken is given back later.
        first, whole = self.LIMITS.first_window, self.LIMITS.stream_window
        assert whole - first - 2**15 < self.carried(pair) < whole + 1000

    def test_it_is_not_opened_for_little(self) -> None:
        pair = Pair()
        call, served = pair.stream()
        for _ in range(3):
            call.send(bytes(2**14))
            pair.to_server()
            assert len(taken(served)) == 1
        assert pair.to_client() == 0

    def test_it_is_no_larger_than_the_whole_one(self) -> None:
        limits = Limits(stream_window=WINDOW, stream_queue=MIB)
        pair = Pair(limits)
        call, _ = pair.stream()
        for _ in range(20):
            call.send(bytes(2**14))
        assert self.carried(pair) < WINDOW + 1000


class TestDraining:
    def test_in_pieces(self) -> None:
        wide = Limits(stream_window=2**24, connection_window=2**24)
        pair = Pair(wide)
        call, served = pair.unary()
        served.reply(pattern(MIB))
        pieces = [pair.server.drain()]
        while pair.server.has_more:
            pieces.append(pair.server.drain())
        assert all(DRAIN - 20_000 < len(piece) <= DRAIN for piece in pieces[:-1])
        assert len(pieces) == 5
        assert pair.server.drain() == b""
        for piece in pieces:
            pair.deliver(pair.client, piece)
        assert pattern(MIB) == call.message
        pair.check_nothing_left()

    def test_the_owner_is_woken_once(self) -> None:
        pair = Pair()
        woken: list[str] = []
        pair.client.wake = lambda: woken.append("client")
        pair.server.wake = lambda: woken.append("server")
        for _ in range(5):
            pair.start()
        assert woken == ["client"]
        assert pair.client.has_more
        data = pair.client.drain()
        assert not pair.client.has_more
        pair.start()
        assert woken == ["client", "client"]
        pair.deliver(pair.server, data)
        for served in pair.calls:
            served.reply(b"")
        assert woken == ["client", "client", "server"]

    def test_taking_a_message_wakes_for_the_window(self) -> None:
        pair = Pair(NARROW)
        call, served = pair.stream()
        call.send(bytes(WINDOW))
        pair.pump()
        woken: list[int] = []
        pair.server.wake = lambda: woken.append(1)
        taken(served)
        assert woken == [1]
        call.cancel()
        pair.check_nothing_left()


class TestFramesThatOpenCallsAllow:
    """gRPC's C++ server tells of a window twice for each call, and of a thousand calls at once in one go."""

    LIMITS = Limits(control_burst=100, control_rate=1)
    CALLS = 300

    @pytest.mark.parametrize("role", ["client", "server"])
    def test_each_call_may_have_its_window_widened_more_than_once(self, role: str) -> None:
        pair = Pair(self.LIMITS)
        for _ in range(self.CALLS):
            pair.open()
        pair.pump()
        assert len(pair.calls) == self.CALLS
        session = pair.client if role == "client" else pair.server
        for _ in range(4):
            pair.deliver(session, b"".join(http2.window_update(1 + 2 * at, 5) for at in range(self.CALLS)))
        assert not session.is_broken
        # And no more than that.
        for _ in range(4):
            pair.deliver(session, self.CALLS * http2.window_update(1, 5))
        assert session.is_broken

    @pytest.mark.parametrize("role", ["client", "server"])
    def test_calls_that_have_ended_allow_nothing_more(self, role: str) -> None:
        pair = Pair(self.LIMITS)
        for _ in range(self.CALLS):
            _, served = pair.unary()
            served.reply(b"")
        pair.check_nothing_left()
        session = pair.client if role == "client" else pair.server
        pair.deliver(session, self.CALLS * http2.window_update(0, 5))
        assert session.is_broken
