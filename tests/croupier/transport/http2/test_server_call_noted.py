"""What a server notes goes with a good answer, and a client that was told nothing need not look."""

from collections.abc import Iterator

import pytest
from support.pair import Pair

NOTED = [(b"noted", b"1")]


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.check_nothing_left()


def test_what_is_noted_goes_with_the_answer(pair: Pair) -> None:
    call, served = pair.unary()
    served.noted = NOTED
    served.reply(b"answer")
    pair.pump()
    assert (call.code, call.message, call.has_metadata) == (0, b"answer", True)
    assert (call.raw_metadata(True), call.values(b"noted")) == (NOTED, (b"1",))


def test_it_goes_with_other_metadata(pair: Pair) -> None:
    call, served = pair.unary(pairs=((b"x-request-id", b"caller-7"),))
    served.noted = NOTED
    served.begin()
    served.send(b"answer")
    served.finish([(b"more", b"2")])
    pair.pump()
    assert call.code == 0
    assert call.raw_metadata(True) == [(b"more", b"2"), *NOTED, (b"x-request-id", b"caller-7")]


def test_it_goes_with_no_error(pair: Pair) -> None:
    call, served = pair.unary()
    served.noted = NOTED
    served.fail(5, "nothing there")
    pair.pump()
    assert (call.code, call.values(b"noted")) == (5, ())


def test_who_is_told_nothing_has_no_metadata(pair: Pair) -> None:
    call, served = pair.unary()
    served.reply(b"answer")
    pair.pump()
    assert (call.code, call.has_metadata) == (0, False)
