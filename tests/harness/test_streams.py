from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.harness import ANSWER, looping, part

from croupier.errors import Unavailable
from croupier.transport.context import Context
from croupier_bench.lines import LATE
from croupier_bench.streams import read
from protos.prediction.v1 import prediction_pb2

pb = prediction_pb2


def answer(number: int, **outcome: object) -> bytes:
    told = outcome or {"response": pb.PredictResponse.FromString(ANSWER)}
    return pb.PredictStreamResponse(id=number, **told).SerializeToString()  # type: ignore[arg-type]


def number_of(message: bytes) -> int:
    return pb.PredictStreamRequest.FromString(message).id


async def backwards(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
    """Answers by twos, the later one first."""
    waiting: list[int] = []
    async for message in messages:
        waiting.append(number_of(message))
        while len(waiting) == 2:
            yield answer(waiting.pop())
            yield answer(waiting.pop())


async def test_answers_come_in_any_order() -> None:
    async with looping(stream=backwards) as loop:
        sender = await loop.play(part([0.001 * number for number in range(20)]), kept=1.0)
        seen = loop.seen(sender)
    assert (seen.due, seen.sent, seen.answered, seen.failed.count) == (20, 20, 20, 0)
    # Each is handed on as what a Predict would have brought.
    assert sorted(loop.looked_at) == [(number, ANSWER) for number in range(20)]


async def test_a_stream_belongs_to_one_tenant() -> None:
    tenants: list[tuple[str, int]] = []

    async def note(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        tenant = dict(context.metadata)["croupier-tenant"]
        async for message in messages:
            tenants.append((str(tenant), number_of(message)))
            yield answer(number_of(message))

    async with looping(stream=note) as loop:
        sender = await loop.play(part([0.0] * 30, models=3))
        assert loop.seen(sender).answered == 30
    assert sorted(tenants) == sorted((f"tenant-{number % 3}", number) for number in range(30))


async def test_statuses_and_failed_items_are_errors() -> None:
    async def refuse(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for message in messages:
            number = number_of(message)
            status = pb.Status(code=8, reason="RATE")
            if number == 0:
                yield answer(number, status=status)
            elif number == 1:
                yield answer(number, response=pb.PredictResponse(results=[pb.Result(status=status)]))
            else:
                yield answer(number)

    async with looping(stream=refuse) as loop:
        seen = loop.seen(await loop.play(part([0.0] * 3)))
    assert (seen.answered, seen.errors_of()) == (1, {"RESOURCE_EXHAUSTED: RATE": 2})


async def test_when_a_stream_ends_what_it_has_not_answered_has_failed_and_another_is_opened() -> None:
    async def end_at_the_third(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        count = 0
        async for message in messages:
            count += 1
            if count == 3:
                raise Unavailable("it drains", reason="DRAINING")
            yield answer(number_of(message))

    async with looping(stream=end_at_the_third, lines=1) as loop:
        seen = loop.seen(await loop.play(part([0.0, 0.005, 0.01, 0.03, 0.035])))
    assert (seen.answered, seen.errors_of()) == (4, {"UNAVAILABLE: DRAINING": 1})


async def test_a_stream_that_ends_well_answers_no_more() -> None:
    async def end(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for _ in messages:
            return
            yield b""

    async with looping(stream=end) as loop:
        seen = loop.seen(await loop.play(part([0.0])))
    assert seen.errors_of() == {"UNAVAILABLE: the stream ended": 1}


async def test_what_is_not_answered_in_time_has_failed() -> None:
    async def be_silent(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for message in messages:
            if number_of(message) == 1:
                # Of none that waits.
                yield answer(77)
                yield b"\xff"

    async with looping(stream=be_silent, timeout=0.05) as loop:
        seen = loop.seen(await loop.play(part([0.0, 0.001])))
    assert seen.errors_of() == {f"DEADLINE_EXCEEDED: {LATE}": 2}
    assert seen.failed.above(0.049) == 2


async def test_without_a_connection_requests_fail() -> None:
    async with looping(stream=backwards, lines=1) as loop:
        line = loop.lines[0]
        await loop.server.stop(0)
        while line._session is not None:
            await line.close()
        seen = loop.seen(await loop.play(part([0.0, 0.001])))
    assert seen.errors_of() == {"UNAVAILABLE: there is no connection": 2}
    assert seen.sent == 2


async def test_a_closed_loop_over_streams_goes_on() -> None:
    async def answer_each(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for message in messages:
            number = number_of(message)
            yield answer(number, status=pb.Status(code=14)) if number % 10 == 9 else answer(number)

    async with looping(stream=answer_each) as loop:
        seen = loop.seen(await loop.play_closed(streams=3, seconds=0.1, models=2))
    assert seen.answered > 20
    assert seen.due == seen.sent == seen.answered + seen.failed.count


@given(st.integers(0, 2**64 - 1), st.binary(max_size=300))
def test_answers_are_read_as_protobuf_reads_them(number: int, name: bytes) -> None:
    output = pb.Output(name=name.hex())
    response = pb.PredictResponse(results=[pb.Result(value=pb.Value(outputs=[output]))])
    assert read(answer(number, response=response)) == (number, response.SerializeToString(), "")
    assert read(answer(number, status=pb.Status(code=5, reason="R"))) == (number, b"", "NOT_FOUND: R")


@given(st.binary(max_size=20))
def test_whatever_comes_is_read_or_refused(message: bytes) -> None:
    try:
        number, response, word = read(message)
    except ValueError:
        return
    assert number >= 0
    assert word or response is not None


def test_an_answer_of_another_order_of_fields_is_read() -> None:
    response = pb.PredictResponse.FromString(ANSWER)
    backwards = b"\x12" + bytes([len(ANSWER)]) + ANSWER + b"\x08\x07"
    assert read(backwards) == (7, response.SerializeToString(), "")
    assert read(b"\x08\x05")[2].startswith("INTERNAL")
    with pytest.raises(ValueError, match="cannot be read"):
        read(b"\x08")
