from __future__ import annotations

import asyncio
import time

from support.harness import PREDICT, echo, looping
from support.waiting import eventually

from croupier.codes import Code
from croupier.transport.http2.counted_call import CountedCall
from croupier.transport.http2.server_call import ServerCall
from croupier_bench.lines import LATE

DUE = 1000.0


def call(
    number: int = 0, path: bytes = b"/inference.GRPCInferenceService/ModelInfer", due: float = DUE
) -> CountedCall:
    return CountedCall(path, b"%d" % number, 5.0, (), 0, 0, number, due, True)


async def test_answers_are_counted_and_those_to_keep_are_looked_at() -> None:
    async with looping(echo, lines=1) as loop:
        loop.counts.start = DUE
        for number in range(3):
            loop.lines[0].send(call(number))
        await eventually(lambda: loop.counts.ended == 3)
        assert sorted(loop.looked_at) == [(0, b"0"), (1, b"1"), (2, b"2")]


async def test_what_is_put_on_lines_leaves_when_all_is_there() -> None:
    arrived: list[int] = []

    def note(calls: list[ServerCall]) -> None:
        arrived.append(len(calls))
        echo(calls)

    async with looping(note, lines=1) as loop:
        line = loop.lines[0]
        loop.outbox.touched = []
        for number in range(5):
            line.send(call(number))
        for _ in range(20):
            await asyncio.sleep(0)
        assert arrived == []
        loop.outbox.flush()
        assert loop.outbox.touched is None
        await eventually(lambda: loop.counts.ended == 5)
        assert arrived == [5]


async def test_a_line_that_breaks_is_opened_again_and_what_was_on_it_has_failed() -> None:
    held: list[ServerCall] = []

    def hold_the_first(calls: list[ServerCall]) -> None:
        for one in calls:
            if one.message == b"0":
                held.append(one)
            else:
                one.reply(b"again")

    async with looping(hold_the_first, lines=1) as loop:
        line, loop.counts.start = loop.lines[0], DUE
        line.send(call(0))
        await eventually(lambda: bool(held))
        assert line._connection is not None
        line._connection.transport.abort()
        await eventually(lambda: loop.counts.ended == 1)
        assert loop.ends.take()[0] == {(0, "UNAVAILABLE: the connection was lost"): 1}
        line.send(call(1))
        await eventually(lambda: loop.counts.ended == 2)
        assert loop.looked_at == [(1, b"again")]


async def test_without_a_server_calls_fail() -> None:
    async with looping(echo, lines=1) as loop:
        loop.counts.start = DUE
        ended: list[tuple[int, int]] = []
        line = loop.lines[0]
        line.on_ended = lambda _, answered, failed: ended.append((answered, failed))
        await loop.server.stop(0)
        await eventually(lambda: line.state != "connected")
        for number in range(3):
            line.send(call(number))
        await eventually(lambda: loop.counts.ended == 3)
        errors = loop.ends.take()[0]
        assert {word.partition(":")[0] for _, word in errors} == {"UNAVAILABLE"}
        assert sum(errors.values()) == 3
        assert ended == [(0, 1)] * 3


async def test_calls_expire() -> None:
    async with looping(lambda calls: None, lines=1) as loop:
        line, loop.counts.start = loop.lines[0], 0.0
        old, young = call(0, due=1.0), call(1, due=2.0)
        line.send(old)
        line.send(young)
        line.expire(2.0)
        await eventually(lambda: loop.counts.ended == 1)
        assert (old.code, young.is_done) == (Code.DEADLINE_EXCEEDED, False)
        assert loop.ends.take()[0] == {(0, f"DEADLINE_EXCEEDED: {LATE}"): 1}


async def test_whoever_keeps_requests_under_way_is_told_of_ends() -> None:
    def answer_even_ones(calls: list[ServerCall]) -> None:
        for one in calls:
            if int(one.message) % 2:
                one.fail(Code.RESOURCE_EXHAUSTED, "busy")
            else:
                one.reply(b"")

    async with looping(answer_even_ones, lines=1) as loop:
        ended: list[tuple[int, int]] = []
        loop.lines[0].on_ended = lambda _, answered, failed: ended.append((answered, failed))
        for number in range(5):
            loop.lines[0].send(call(number))
        await eventually(lambda: loop.counts.ended == 5)
        assert [sum(column) for column in zip(*ended, strict=True)] == [3, 2]


async def test_a_request_whose_item_failed_has_failed() -> None:
    def answer_nothing(calls: list[ServerCall]) -> None:
        for one in calls:
            one.reply(b"")

    async with looping(answer_nothing, path=PREDICT, lines=1) as loop:
        loop.counts.start = 0.0
        loop.lines[0].send(call(0, PREDICT.encode(), time.monotonic()))
        await eventually(lambda: loop.counts.ended == 1)
        assert loop.ends.take()[0] == {(0, "INTERNAL: the answer has no results"): 1}


async def test_a_peer_that_drains_loses_none_that_it_has_not_seen() -> None:
    async with looping(echo, lines=1) as loop:
        line, loop.counts.start = loop.lines[0], DUE
        loop.outbox.touched = []
        for number in range(3):
            line.send(call(number))
        session = line._session
        assert session is not None
        # As if the peer had said GOAWAY before it saw them.
        session.go_away()
        loop.outbox.flush()
        await eventually(lambda: loop.counts.ended == 3)
        assert len(loop.looked_at) == 3
