"""What goes with a call beside its messages: metadata of every kind, their limit, and the time it has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.pair import CUTS, Pair

from croupier.codes import Code
from croupier.transport.http2.limits import Limits


@pytest.fixture(params=CUTS)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Whatever a test does, nothing is left in the end."""
    pair = Pair(cut=CUTS[request.param])
    yield pair
    pair.check_nothing_left()


class TestMetadata:
    def test_of_a_request(self, pair: Pair) -> None:
        call, served = pair.stream([(b"k", b"one"), (b"x-bin", b"AAE"), (b"k", b"two"), (b"empty", b"")])
        assert served.values(b"k") == (b"one", b"two")
        assert (
            served.values(b"x-bin"),
            served.values(b"empty"),
            served.values(b"nothing"),
        ) == ((b"AAE",), (b"",), ())
        assert [entry for entry in served.raw_metadata() if entry[0] in (b"k", b"x-bin", b"empty")] == [
            (b"k", b"one"),
            (b"x-bin", b"AAE"),
            (b"k", b"two"),
            (b"empty", b""),
        ]
        assert served.raw_metadata(True) == []
        served.finish()
        call.end()

    def test_what_http2_needs_is_not_metadata(self, pair: Pair) -> None:
        call, served = pair.stream()
        names = {name for name, _ in served.raw_metadata()}
        assert {b"user-agent", b"grpc-accept-encoding"} == names
        assert served.values(b"user-agent") == (b"croupier",)
        served.finish()
        call.end()

    def test_of_a_response(self, pair: Pair) -> None:
        call, served = pair.stream()
        served.begin([(b"k", b"one"), (b"k", b"two"), (b"x-bin", b"AAE")])
        pair.pump()
        assert (
            call.has_headers,
            call.raw_metadata(),
        ) == (True, [(b"k", b"one"), (b"k", b"two"), (b"x-bin", b"AAE")])
        served.begin([(b"late", b"1")])
        served.finish([(b"k", b"three"), (b"t", b"")])
        call.end()
        pair.pump()
        assert call.raw_metadata(True) == [(b"k", b"three"), (b"t", b"")]
        assert call.raw_metadata() == [(b"k", b"one"), (b"k", b"two"), (b"x-bin", b"AAE")]
        assert call.values(b"k") == (b"one", b"two", b"three")

    def test_the_same_names_again_and_again(self, pair: Pair) -> None:
        # HPACK's table is the same at both ends after many turns.
        for number in range(20):
            pairs = [(b"k%d" % (number % 7), b"v%d" % number), (b"same", b"value")]
            call, served = pair.stream(pairs)
            assert pairs == [entry for entry in served.raw_metadata() if entry in pairs]
            served.finish(pairs)
            call.end()
            pair.pump()
            assert pairs == call.raw_metadata(True)

    @pytest.mark.parametrize(
        ("name", "is_kept"), [(b"x-request-id", False), (b"traceparent", False), (b"tracestate", True)]
    )
    def test_what_differs_every_time_takes_no_room_in_the_table(self, name: bytes, is_kept: bool) -> None:
        pair, sent = Pair(), []
        for pairs in ((), (), ((name, b"z" * 50),), ((name, b"z" * 50),)):
            pair.start(pairs=pairs)
            sent.append(pair.to_server())
        assert (sent[3] - sent[1] < 10) == is_kept

    @pytest.mark.parametrize("count", [1, 50, 56])
    def test_many(self, pair: Pair, count: int) -> None:
        pairs = [(b"name-%d" % number, b"value") for number in range(count)]
        call, served = pair.stream(pairs)
        assert pairs == [entry for entry in served.raw_metadata() if entry in pairs]
        served.begin(pairs)
        served.finish(pairs)
        call.end()
        pair.pump()
        assert (pairs, pairs) == (call.raw_metadata(), call.raw_metadata(True))

    def test_who_calls(self) -> None:
        pair = Pair(secure=True, user_agent="me/1")
        call, served = pair.unary()
        assert served.values(b"user-agent") == (b"me/1",)
        served.reply(b"")
        pair.check_nothing_left()
        assert call.code == 0


class TestHeadersOverTheLimit:
    LIMITS = Limits(max_header_bytes=1000)
    BIG = ((b"x", b"y" * 1000),)

    def test_of_a_request(self) -> None:
        pair = Pair(self.LIMITS, client_limits=Limits())
        call = pair.open(self.BIG)
        pair.pump()
        assert (call.code, call.is_broken, pair.calls) == (Code.RESOURCE_EXHAUSTED, False, [])
        pair.check_nothing_left()

    @pytest.mark.parametrize("initial", [True, False])
    def test_of_a_response(self, initial: bool) -> None:
        pair = Pair(client_limits=self.LIMITS)
        call, served = pair.stream()
        served.begin(self.BIG if initial else ())
        served.finish(() if initial else self.BIG)
        pair.pump()
        assert (call.code, call.is_broken) == (Code.RESOURCE_EXHAUSTED, True)
        pair.check_nothing_left()

    def test_just_below(self) -> None:
        # RFC 9113, 6.5.2: names, values, and 32 bytes for each field.
        room = 1000 - sum(
            len(name) + len(value) + 32
            for name, value in ((":status", "200"), ("content-type", "application/grpc"), ("x", ""))
        )
        for size, code in ((room, 0), (room + 1, Code.RESOURCE_EXHAUSTED)):
            pair = Pair(client_limits=self.LIMITS)
            call, served = pair.stream()
            call.end()
            served.begin([(b"x", b"y" * size)])
            served.finish()
            pair.pump()
            assert code == call.code
