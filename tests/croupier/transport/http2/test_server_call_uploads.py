"""A large request is asked about once its length is known, and before it is taken in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from support import http2_peer as http2
from support.pair import BATCH, CUTS, MIB, UNARY, Cut, Pair, pattern

from croupier.codes import Code
from croupier.transport.http2.server_call import Route, ServerCall

LARGE = 2**16 + 1


class Uploads:
    """What was asked, and how many are on their way; refuses those over so many bytes, at once or `later`."""

    def __init__(self, pair: Pair, refuses: int = 2**31, *, later: bool = False) -> None:
        self.asked: list[int] = []
        self.open = 0
        self.refuses = refuses
        self.refused: list[ServerCall] = []
        self.later = later
        route = Route(BATCH, batch=True, uploads=self.begin)
        pair.server.routes = {BATCH.encode(): route, UNARY.encode(): Route(UNARY)}

    def begin(self, call: ServerCall, size: int) -> Callable[[], None] | None:
        self.asked.append(size)
        if size > self.refuses:
            self.refused.append(call)
            if not self.later:
                self.tell()
            return None
        self.open += 1
        return self.end

    def tell(self) -> None:
        for call in self.refused:
            call.fail(Code.RESOURCE_EXHAUSTED, "no")

    def end(self) -> None:
        self.open -= 1


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.check_nothing_left()


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_one_that_is_let_in_arrives(cut: Cut) -> None:
    pair = Pair(cut=cut)
    uploads = Uploads(pair)
    pair.start(request=pattern(MIB))
    pair.to_server()
    assert (uploads.asked, uploads.open) == ([MIB], 1)
    pair.pump()
    [served] = pair.calls
    assert (served.message, uploads.open) == (pattern(MIB), 0)
    served.reply(b"")
    pair.check_nothing_left()


def test_small_ones_and_other_routes_are_not_asked_about(pair: Pair) -> None:
    uploads = Uploads(pair)
    pair.start(request=bytes(LARGE - 1))
    pair.start(UNARY, request=bytes(LARGE))
    pair.pump()
    assert uploads.asked == []
    for served in pair.calls:
        served.reply(b"")


def test_a_refused_one_is_answered_by_its_first_bytes_and_sent_no_further(pair: Pair) -> None:
    uploads = Uploads(pair, refuses=MIB)
    over, fits = pair.start(request=pattern(10 * MIB)), pair.start(request=pattern(MIB))
    sent = pair.to_server()
    pair.to_client()
    assert (over.code, over.status_message) == (Code.RESOURCE_EXHAUSTED, "no")
    pair.pump()
    assert sent < MIB
    assert (len(pair.calls), uploads.open) == (1, 0)
    assert pair.server.held < 3 * MIB
    pair.calls[0].reply(b"")
    pair.pump()
    assert fits.code == Code.OK


def test_one_that_is_told_later_is_sent_no_further_meanwhile_and_held_no_bytes_of(pair: Pair) -> None:
    uploads = Uploads(pair, refuses=MIB, later=True)
    over = pair.start(request=pattern(10 * MIB))
    sent = pair.to_server()
    pair.pump()
    assert sent < MIB
    assert (over.is_done, pair.calls, uploads.open) == (False, [], 0)
    assert pair.server.held < 2_000
    uploads.tell()
    pair.pump()
    assert (over.code, over.status_message) == (Code.RESOURCE_EXHAUSTED, "no")


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_one_that_is_told_later_may_be_whole_by_then(cut: Cut) -> None:
    pair = Pair(cut=cut)
    uploads = Uploads(pair, refuses=0, later=True)
    over = pair.start(request=bytes(LARGE))
    pair.pump()
    assert (over.is_done, pair.calls) == (False, [])
    uploads.tell()
    pair.pump()
    assert over.code == Code.RESOURCE_EXHAUSTED
    pair.check_nothing_left()


def test_one_that_is_told_later_may_have_gone_by_then(pair: Pair) -> None:
    uploads = Uploads(pair, refuses=MIB, later=True)
    over = pair.start(request=pattern(10 * MIB))
    pair.to_server()
    over.cancel()
    pair.pump()
    uploads.tell()
    pair.pump()
    assert (over.code, pair.calls) == (Code.CANCELLED, [])


def test_one_that_stops_on_its_way_is_not_on_its_way_any_more(pair: Pair) -> None:
    uploads = Uploads(pair)
    call = pair.start(request=pattern(10 * MIB))
    pair.to_server()
    assert uploads.open == 1
    call.cancel()
    pair.pump()
    assert (uploads.open, pair.calls) == (0, [])


def test_nor_when_its_connection_goes() -> None:
    pair = Pair()
    uploads = Uploads(pair)
    pair.start(request=pattern(10 * MIB))
    pair.to_server()
    pair.server.close()
    assert uploads.open == 0


@pytest.mark.parametrize("size", [4096, 4097])
def test_a_compressed_one_is_asked_about_where_it_may_become_large(size: int) -> None:
    pair = Pair()
    uploads = Uploads(pair)
    fields = http2.request_fields(BATCH, ("grpc-encoding", "gzip"))
    pair.deliver(pair.server, http2.headers(1, fields))
    prefix = b"\1" + size.to_bytes(4, "big")
    pair.deliver(pair.server, http2.data(1, prefix, flags=0))
    assert uploads.asked == ([size] if size > 4096 else [])
    pair.server.close()
