"""Steps of a call: spans one below the other, and nothing where it is not traced."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from random import Random

import pytest
from support.pair import Pair

from croupier.codes import Code
from croupier.errors import NotFound
from croupier.telemetry.traces import Kind, Span, Tracer, current
from croupier.transport.http2.server_call import ServerCall, trace
from croupier.transport.steps import ending_of, step


@pytest.fixture
def spans() -> Iterator[list[Span]]:
    """Those that have ended, of a task that serves a traced call."""
    ended: list[Span] = []
    tracer = Tracer(1.0, ended.append, rng=Random(1), now=iter(range(1, 1_000)).__next__)
    token = current.set(tracer.span("call", Kind.SERVER, None))
    yield ended
    current.reset(token)


def test_a_step_is_below_the_one_around_it(spans: list[Span]) -> None:
    call = current.get()
    assert call is not None
    with step("outer", {"croupier.bytes": 3}), step("inner", kind=Kind.CLIENT) as span:
        assert current.get() is span
    assert current.get() is call
    inner, outer = spans
    assert [(one.name, one.kind, one.code) for one in spans] == [
        ("inner", Kind.CLIENT, Code.OK),
        ("outer", Kind.INTERNAL, Code.OK),
    ]
    assert (outer.parent_id, inner.parent_id) == (call.span_id, outer.span_id)
    assert {one.trace_id for one in spans} == {call.trace_id}
    assert outer.attributes == {"croupier.bytes": 3}
    assert outer.began < inner.began < inner.ended < outer.ended


def test_what_fails_ends_its_step_with_the_code(spans: list[Span]) -> None:
    with pytest.raises(NotFound), step("read"):
        raise NotFound("no such model")
    assert [(one.name, one.code) for one in spans] == [("read", Code.NOT_FOUND)]


async def test_steps_of_tasks_that_run_at_once_do_not_mix(spans: list[Span]) -> None:
    both = asyncio.Barrier(2)

    async def work(name: str) -> None:
        with step(name) as span:
            await both.wait()
            with step(f"in {name}") as below:
                assert span is not None
                assert below is not None
                assert below.parent_id == span.span_id
                await both.wait()

    await asyncio.gather(work("a"), work("b"))
    assert len(spans) == 4


async def test_a_step_that_is_cancelled_says_so(spans: list[Span]) -> None:
    async def hang() -> None:
        with step("wait"):
            began.set()
            await asyncio.Event().wait()

    began = asyncio.Event()
    task = asyncio.create_task(hang())
    await began.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [(one.name, one.code) for one in spans] == [("wait", Code.CANCELLED)]


def test_a_call_that_is_not_traced_has_no_steps() -> None:
    with step("store") as span:
        assert span is None
        assert current.get() is None


def test_a_step_of_what_is_left_in_the_middle_was_cancelled(spans: list[Span]) -> None:
    def work() -> Generator[None]:
        with step("stream"):
            yield

    left = work()
    next(left)
    left.close()
    assert [(one.name, one.code) for one in spans] == [("stream", Code.CANCELLED)]


def test_a_foreign_failure_is_internal() -> None:
    assert ending_of(RuntimeError("a secret")) == Code.INTERNAL


PARENT = (b"traceparent", b"00-%032x-%016x-01" % (7, 9))
UNSAMPLED = (b"traceparent", PARENT[1][:-2] + b"00")


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    pair.check_nothing_left()


def served(pair: Pair, *pairs: tuple[bytes, bytes]) -> ServerCall:
    return pair.unary(pairs=pairs)[1]


def let_go(pair: Pair, calls: list[ServerCall]) -> None:
    for call in calls:
        call.reply(b"")
    pair.pump()


def test_of_what_a_read_brought_those_with_a_parent_are_traced(pair: Pair) -> None:
    calls = [
        served(pair),
        served(pair, PARENT),
        served(pair, UNSAMPLED),
        served(pair),
    ]
    trace(Tracer(0.0, lambda span: None, rng=Random(1)), calls)
    assert [call.span is not None for call in calls] == [False, True, False, False]
    span = calls[1].span
    assert span is not None
    assert (span.trace_id, span.parent_id) == (7, 9)
    let_go(pair, calls)


def test_those_whose_turn_it_is_begin_one_but_for_who_has_a_parent(pair: Pair) -> None:
    calls = [served(pair), served(pair, UNSAMPLED), served(pair, PARENT)]
    trace(Tracer(1.0, lambda span: None, rng=Random(1)), calls)
    assert [call.span and call.span.parent_id for call in calls] == [0, None, 9]
    let_go(pair, calls)


def test_a_part_of_many_reads_begins_a_trace(pair: Pair) -> None:
    tracer, begun = Tracer(0.1, lambda span: None, rng=Random(1)), 0
    for _ in range(50):
        calls = [served(pair) for _ in range(20)]
        trace(tracer, calls)
        begun += sum(call.span is not None for call in calls)
        let_go(pair, calls)
    assert 60 <= begun <= 140
