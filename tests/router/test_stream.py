import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import pytest
from support.serving import turns
from support.waiting import eventually

from router.stream import answer_all


class Desk:
    """Answers each request once it is told to."""

    def __init__(self) -> None:
        self.begun: list[bytes] = []
        self.cancelled: list[bytes] = []
        self.gates: dict[bytes, asyncio.Event] = {}

    def open(self, request: bytes) -> None:
        self.gates.setdefault(request, asyncio.Event()).set()

    async def answer(self, request: bytes) -> bytes:
        self.begun.append(request)
        try:
            await self.gates.setdefault(request, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.cancelled.append(request)
            raise
        if request == b"bad":
            raise ValueError(request)
        return request.upper()


class Requests:
    """Counts how many were read; ends after the last one unless `endless`."""

    def __init__(self, *requests: bytes, endless: bool = False) -> None:
        self.left = list(requests)
        self.read = 0
        self.endless = endless
        self.kept = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self.left:
            if self.endless:
                await asyncio.Event().wait()
            raise StopAsyncIteration
        self.read += 1
        return self.left.pop(0)

    def keep(self) -> Callable[[], None]:
        self.kept += 1
        return self._let_go

    def _let_go(self) -> None:
        self.kept -= 1


class Broken(Requests):
    async def __anext__(self) -> bytes:
        if not self.left:
            raise ConnectionError
        return await super().__anext__()


async def test_answers_come_as_they_get_ready() -> None:
    desk = Desk()
    async with aclosing(answer_all(Requests(b"a", b"b", b"c"), desk.answer, at_once=3)) as answers:
        for request in (b"b", b"c", b"a"):
            desk.open(request)
            assert await anext(answers) == request.upper()
        assert [answer async for answer in answers] == []


async def test_no_more_are_read_than_may_be_in_work() -> None:
    desk, requests = Desk(), Requests(*[b"%d" % n for n in range(9)])
    async with aclosing(answer_all(requests, desk.answer, at_once=2)) as answers:
        first = asyncio.ensure_future(anext(answers))
        await eventually(lambda: len(desk.begun) == 2, "two in work")
        assert requests.read == 2
        desk.open(b"0")
        assert await first == b"0"
        # Nothing is read while the answer is not taken.
        assert requests.read == 2
        second = asyncio.ensure_future(anext(answers))
        await eventually(lambda: desk.begun == [b"0", b"1", b"2"], "the next one")
        assert requests.read == 3
        desk.open(b"2")
        assert await second == b"2"


async def test_no_more_bytes_are_read_than_may_be_in_work() -> None:
    desk, requests = Desk(), Requests(b"large", b"small", b"next")
    answering = answer_all(requests, desk.answer, at_once=3, most_bytes=5)
    async with aclosing(answering) as answers:
        first = asyncio.ensure_future(anext(answers))
        await eventually(lambda: desk.begun == [b"large"], "the large one in work")
        await turns()
        assert (requests.read, requests.kept) == (1, 1)
        desk.open(b"large")
        assert await first == b"LARGE"
        await eventually(lambda: desk.begun == [b"large", b"small"], "the next one")
        assert requests.kept == 1
    assert requests.kept == 0


async def test_an_empty_stream_has_no_answers() -> None:
    assert [answer async for answer in answer_all(Requests(), Desk().answer, at_once=2)] == []


async def test_an_error_ends_the_stream_and_what_is_in_work() -> None:
    desk = Desk()
    desk.open(b"bad")
    with pytest.raises(ValueError, match="bad"):
        async for _ in answer_all(Requests(b"slow", b"bad", endless=True), desk.answer, at_once=3):
            pass
    assert desk.cancelled == [b"slow"]


async def test_a_broken_request_stream_ends_the_answers() -> None:
    desk = Desk()
    with pytest.raises(ConnectionError):
        async for _ in answer_all(Broken(b"a"), desk.answer, at_once=3):
            pass
    assert desk.cancelled == desk.begun


async def test_cancellation_reaches_what_is_in_work() -> None:
    desk = Desk()

    async def consume() -> None:
        async for _ in answer_all(Requests(b"a", b"b", endless=True), desk.answer, at_once=5):
            pass

    consuming = asyncio.create_task(consume())
    await eventually(lambda: len(desk.begun) == 2, "two in work")
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    assert sorted(desk.cancelled) == [b"a", b"b"]


async def test_a_consumer_that_goes_cancels_what_is_in_work() -> None:
    desk = Desk()
    desk.open(b"a")
    async with aclosing(answer_all(Requests(b"a", b"b", endless=True), desk.answer, at_once=5)) as answers:
        assert await anext(answers) == b"A"
        waiting = asyncio.ensure_future(anext(answers))
        await eventually(lambda: b"b" in desk.begun, "the second")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert desk.cancelled == [b"b"]
