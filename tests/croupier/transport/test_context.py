"""A handler and its call, joined in memory: nothing travels before the test carries it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import pytest
from support.pair import STREAM, UNARY, Pair, taken
from support.serving import turns

from croupier.codes import Code
from croupier.errors import InvalidRequest, NotFound
from croupier.transport.context import Context, run
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.server_call import ServerCall


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.check_nothing_left()


def ordinary(pair: Pair, request: bytes = b"request") -> tuple[ClientCall, ServerCall]:
    return pair.unary(UNARY, request)


async def test_an_answer(pair: Pair) -> None:
    call, served = ordinary(pair)

    async def handler(message: bytes, context: Context) -> bytes:
        assert context.peer == "10.0.0.1:5"
        context.send_initial_metadata([("begun", "yes")])
        context.set_trailing_metadata([("cost-bin", b"\0\1")])
        return message.upper()

    await run(served, Context(served, "10.0.0.1:5"), handler)
    pair.pump()
    assert (call.code, call.message) == (Code.OK, b"REQUEST")
    assert (b"begun", b"yes") in call.raw_metadata()
    assert call.raw_metadata(True) == [(b"cost-bin", b"AAE")]


async def test_an_error_is_its_status_and_is_logged_only_if_it_is_ours(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    async def wrong(message: bytes, context: Context) -> bytes:
        raise NotFound("no model wine")

    async def broken(message: bytes, context: Context) -> bytes:
        raise KeyError("a caller's value")

    for handler, code, message, logged in (
        (wrong, Code.NOT_FOUND, "no model wine", 0),
        (broken, Code.INTERNAL, "internal error", 1),
    ):
        call, served = ordinary(pair)
        with caplog.at_level(logging.ERROR, "croupier.transport.context"):
            await run(served, Context(served, ""), handler)
        pair.pump()
        assert (call.code, call.status_message, len(caplog.records)) == (code, message, logged)


async def test_a_handler_that_waited_for_what_was_cancelled_is_at_fault(pair: Pair) -> None:
    call, served = ordinary(pair)

    async def handler(message: bytes, context: Context) -> bytes:
        raise asyncio.CancelledError

    await run(served, Context(served, ""), handler)
    pair.pump()
    assert call.code == Code.INTERNAL


async def test_a_task_that_is_cancelled_while_the_caller_waits_means_a_stop(pair: Pair) -> None:
    call, served = ordinary(pair)

    async def handler(message: bytes, context: Context) -> bytes:
        await asyncio.Event().wait()
        return b""

    task = asyncio.create_task(run(served, Context(served, ""), handler))
    await turns()
    task.cancel()
    # It ends, and does not keep the error and all that knows it.
    assert await task is None
    pair.pump()
    assert (call.code, call.status_message) == (Code.UNAVAILABLE, "the server is stopping")


class TestMessages:
    async def test_each_is_held_until_the_next_is_asked_for(self, pair: Pair) -> None:
        call, served = pair.stream()
        for size in (50_000, 10):
            call.send(bytes(size))
        call.end()
        pair.pump()
        messages = Context(served, "").messages()
        both = pair.server.held
        assert len(await anext(messages)) == 50_000
        assert pair.server.held > both - 50_000
        assert len(await anext(messages)) == 10
        assert pair.server.held < both - 50_000
        with pytest.raises(StopAsyncIteration):
            await anext(messages)
        served.finish()

    async def test_one_that_is_kept_is_held_until_it_is_let_go(self, pair: Pair) -> None:
        call, served = pair.stream()
        call.send(bytes(50_000))
        call.end()
        pair.pump()
        messages = Context(served, "").messages()
        await anext(messages)
        let_go = messages.keep()
        with pytest.raises(StopAsyncIteration):
            await anext(messages)
        held = pair.server.held
        let_go()
        assert held - pair.server.held >= 50_000
        served.finish()


async def test_a_writer_waits_for_a_reader(pair: Pair) -> None:
    call, served = pair.stream()
    written = 0

    async def pour(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        nonlocal written
        while written < 400:
            written += 1
            yield bytes(10_000)

    context = Context(served, "")
    task = asyncio.create_task(run(served, context, pour))
    call.end()
    heard = 0
    while not task.done():
        await turns(5)
        before = written
        await turns(5)
        assert before == written
        assert (written - heard) * 10_000 < 2**21
        pair.pump()
        heard += len(taken(call))
        pair.pump()
        context.notify()
    pair.pump()
    assert (call.code, heard + len(taken(call))) == (Code.OK, 400)


async def test_metadata_that_cannot_be_read_are_the_callers(pair: Pair) -> None:
    call, served = pair.stream([(b"x-bin", b"!")])
    with pytest.raises(InvalidRequest, match="the metadata cannot be read") as error:
        _ = Context(served, "").metadata
    assert error.value.field == "metadata"
    assert served.path == STREAM
    call.cancel()
