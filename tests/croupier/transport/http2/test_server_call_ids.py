"""What a request is called: taken from its caller or made, and told where it should be."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from support.pair import UNARY, Pair

from croupier.errors import NotFound
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.status import from_error, to_error

KEY = b"x-request-id"
OURS = rb"[0-9a-f]{12}-[0-9a-f]+"


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.check_nothing_left()


def named(call: ClientCall) -> tuple[bytes, ...]:
    """The ids that the end of a call told."""
    return tuple(value for name, value in call.raw_metadata(True) if name == KEY)


def ids(call: ClientCall) -> tuple[str]:
    return (to_error(call.code, call.status_message, call.details).request_id,)


def test_a_good_reply_says_nothing_to_those_who_did_not_ask(pair: Pair) -> None:
    call, served = pair.unary()
    assert not served.is_named
    served.reply(b"answer")
    pair.pump()
    assert (call.code, call.message, named(call)) == (0, b"answer", ())


@pytest.mark.parametrize("path", [None, UNARY])
def test_a_callers_id_comes_back_with_the_answer(pair: Pair, path: str | None) -> None:
    call, served = pair.unary(**({"path": path} if path else {}), pairs=((KEY, b"caller-7"),))
    assert served.is_named
    assert str(served.request_id) == "caller-7"
    served.reply(b"answer")
    pair.pump()
    assert (call.code, call.message, named(call)) == (0, b"answer", (b"caller-7",))


def test_who_asks_for_it_is_told_the_id_that_was_made(pair: Pair) -> None:
    call, served = pair.unary(pairs=((b"croupier-debug", b"1"),))
    served.reply(b"answer")
    pair.pump()
    assert named(call) == (str(served.request_id).encode(),)
    assert re.fullmatch(OURS, named(call)[0])
    other, served = pair.unary(pairs=((b"croupier-debug", b"0"),))
    served.reply(b"answer")
    pair.pump()
    assert named(other) == ()


@pytest.mark.parametrize("value", [b"", b"two words", b"caf\xc3\xa9", b"x" * 129, b"x" * 6_000])
def test_an_id_that_cannot_be_used_is_replaced_and_not_repeated(pair: Pair, value: bytes) -> None:
    call, served = pair.unary(pairs=((KEY, value),))
    served.reply(b"answer")
    pair.pump()
    assert re.fullmatch(OURS, named(call)[0])


def test_a_stream_tells_it_at_its_end(pair: Pair) -> None:
    call, served = pair.stream([(KEY, b"caller-7")])
    served.send(b"one")
    served.finish([(b"other", b"1")])
    call.end()
    pair.pump()
    assert (named(call), call.code) == ((b"caller-7",), 0)
    assert (b"other", b"1") in call.raw_metadata(True)
    call, served = pair.stream()
    served.finish()
    call.end()
    pair.pump()
    assert named(call) == ()


@pytest.mark.parametrize("pairs", [(), ((KEY, b"caller-7"),)])
def test_every_error_has_it_as_metadata_and_as_a_detail(
    pair: Pair, pairs: tuple[tuple[bytes, bytes], ...]
) -> None:
    call, served = pair.unary(pairs=pairs)
    status = from_error(NotFound("no such model"))
    served.fail(status.code, status.message, status.details)
    pair.pump()
    expected = str(served.request_id)
    assert expected == "caller-7" or not pairs
    assert named(call) == (expected.encode(),)
    assert ids(call) == (expected,)
    error = to_error(call.code, call.status_message, call.details)
    assert (type(error), error.message) == (NotFound, "no such model")


def test_what_is_refused_before_anybody_hears_of_it_has_one_too(pair: Pair) -> None:
    call = pair.start("/no/such", pairs=((KEY, b"caller-7"),))
    pair.pump()
    assert (call.code, named(call), ids(call)) == (12, (b"caller-7",), ("caller-7",))
    again = pair.start("/no/such")
    pair.pump()
    assert re.fullmatch(OURS, named(again)[0])
    assert named(again) != named(call)


def test_ids_push_nothing_out_of_the_table_of_headers(pair: Pair) -> None:
    """What does not fit into a connection's 4 KiB of headers would have to be sent in full each time."""

    def sizes(number: int) -> tuple[int, int]:
        call = pair.start(pairs=((KEY, f"{number:0128b}".encode()),))
        request = pair.to_server()
        pair.calls[-1].reply(b"answer")
        answer = pair.to_client()
        pair.pump()
        assert call.code == 0
        return request, answer

    found = [sizes(number) for number in range(100)]
    assert set(found[1:]) == {found[-1]}


@pytest.mark.parametrize(
    ("values", "priority"),
    [
        ((), 0),
        ((b"live",), 0),
        ((b"batch",), 4),
        ((b"warm",), -1),
        ((b"",), -1),
        ((b"batch", b"x" * 300), -1),
    ],
)
def test_what_a_caller_says_of_its_priority(pair: Pair, values: tuple[bytes, ...], priority: int) -> None:
    _, served = pair.unary(pairs=tuple((b"croupier-priority", value) for value in values))
    assert served.priority == priority
    served.reply(b"answer")
