"""Counted calls between two joined sessions, and what is counted beside a plain twin."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.counted_twin import PlainCounts, is_answered, seen
from support.pair import BATCH, Pair

from croupier.codes import Code
from croupier.transport.http2 import counted_call
from croupier.transport.http2.counted_call import CountedCall, Counts, expired
from protos.prediction.v1 import prediction_pb2

START = 1000.0
OK = prediction_pb2.Result(value=prediction_pb2.Value(), version=3)
BAD = prediction_pb2.Result(status=prediction_pb2.Status(code=14))


def counts(*predicts: bool, start: float = START) -> Counts:
    made = Counts(predicts or [False], timeout=2.0)
    made.start = start
    return made


def counted(number: int = 0, due: float = START, kind: int = 0, *, kept: bool = False) -> CountedCall:
    return CountedCall(
        BATCH.encode(), b"request", 5.0, ((b"croupier-tenant", b"acme"),), kind, 7, number, due, kept
    )


def response(*results: prediction_pb2.Result) -> bytes:
    return prediction_pb2.PredictResponse(results=results).SerializeToString()


def started(pair: Pair, *calls: CountedCall) -> None:
    for call in calls:
        assert pair.client.start(call)
    pair.pump()


def test_a_call_arrives_with_its_metadata_and_its_time() -> None:
    pair, call = Pair(), counted(number=2**40)
    started(pair, call)
    (arrived,) = pair.calls
    assert arrived.values(b"croupier-tenant") == (b"acme",)
    assert arrived.message == b"request"
    assert (call.kind, call.model, call.number, call.due, call.is_kept) == (0, 7, 2**40, START, False)


def test_answered_calls_are_counted_and_not_handed_back() -> None:
    pair, found = Pair(), counts()
    calls = [counted(number, due=START + number) for number in range(3)]
    started(pair, *calls)
    found.sent(calls, START + 2.5)
    for arrived in pair.calls:
        arrived.reply(b"answer")
    pair.pump()
    assert found.take(pair.completed, START + 3.0) == []
    assert found.ended == 3
    rows = {key: value[:3] for key, value in seen(found.harvest()).items()}
    assert rows == {
        **{(second, 0): (1, 3.0 - second, 3.0 - second) for second in range(3)},
        **{(second, found.late): (1, 2.5 - second, 2.5 - second) for second in range(3)},
        **{(second, found.since): (1, 0.5, 0.5) for second in range(3)},
    }
    assert found.harvest() == []


def test_others_and_those_that_are_kept_are_handed_back() -> None:
    pair, found = Pair(), counts()
    kept, refused, silent = counted(0, kept=True), counted(1), counted(2)
    started(pair, kept, refused, silent)
    found.sent([kept, refused, silent], START)
    pair.calls[0].reply(b"answer")
    pair.calls[1].fail(Code.UNAVAILABLE, "busy")
    silent.abort(Code.DEADLINE_EXCEEDED, "late")
    pair.pump()
    assert set(found.take(pair.completed, START + 1.0)) == {kept, refused, silent}
    assert (kept.message, refused.code, silent.code) == (b"answer", Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)
    assert found.ended == 1
    found.fail(refused.due, START + 1.0)
    assert seen(found.harvest())[0, found.failed][:2] == (1, 1.0)


@pytest.mark.parametrize(
    ("answer", "failed"),
    [(response(OK, OK), False), (response(OK, BAD), True), (response(), True), (b"\xff", True)],
)
def test_a_request_with_an_item_that_failed_has_failed(answer: bytes, failed: bool) -> None:
    pair, found, call = Pair(), counts(True), counted()
    started(pair, call)
    pair.calls[0].reply(answer)
    pair.pump()
    assert found.take(pair.completed, START + 1.0) == [call] * failed
    assert (call.has_failed_item, found.ended) == (failed, not failed)


def test_what_is_due_before_the_start_is_not_counted() -> None:
    found = Counts([False], timeout=2.0)
    found.answer(0, START, START, START + 1.0)
    found.start = START
    found.answer(0, START - 0.001, START, START + 1.0)
    found.fail(START - 5.0, START)
    found.send(START - 0.001, START)
    assert found.harvest() == []
    assert found.ended == 3


def test_a_kind_that_there_is_not_is_refused() -> None:
    pair, found, call = Pair(), counts(), counted(kind=1)
    started(pair, call)
    pair.calls[0].reply(b"answer")
    pair.pump()
    with pytest.raises(IndexError):
        found.take(pair.completed, START)
    for kind in (-1, 1):
        with pytest.raises(IndexError):
            found.answer(kind, START, START, START)


def test_the_oldest_calls_expire() -> None:
    pair = Pair()
    calls = [counted(number, due=START + number) for number in range(4)]
    started(pair, *calls)
    pair.calls[1].reply(b"answer")
    pair.pump()
    assert expired(pair.client, START + 2.0) == [calls[0]]
    assert expired(pair.client, START + 9.0) == [calls[0], calls[2], calls[3]]
    assert expired(pair.client, START) == []


@given(st.integers(0, 2**32))
def test_it_counts_as_its_twin_does(seed: int) -> None:
    random, found, twin = Random(seed), counts(False, True), PlainCounts(START)
    for _ in range(random.randrange(200)):
        due = START + random.choice((-1.0, 0.0, 0.5, 1.0, random.uniform(-1, 30), random.expovariate(0.1)))
        sent = due + random.choice((0.0, random.expovariate(1e4), random.expovariate(1)))
        now = sent + random.choice((0.0, 1e-6, 0.002047, 0.002048, random.expovariate(100), 1e5))
        match random.randrange(4):
            case 0:
                kind = random.randrange(2)
                found.answer(kind, due, sent, now)
                twin.record(due, kind, now - due)
                twin.record(due, found.since, now - sent)
            case 1:
                found.fail(due, now)
                twin.record(due, found.failed, now - due)
            case 2:
                found.send(due, sent)
                twin.record(due, found.late, sent - due)
            case _ if random.random() < 0.1:
                assert_same(found, twin)
    assert_same(found, twin)


def assert_same(found: Counts, twin: PlainCounts) -> None:
    ours: dict[tuple[int, int], list[tuple[int, float, float, dict[int, int]]]] = {}
    for one in found.harvest():
        for key, value in seen([one]).items():
            ours.setdefault(key, []).append(value)
    theirs = twin.harvest()
    assert ours.keys() == theirs.keys()
    for key, (count, total, most, buckets) in theirs.items():
        # A second that came back after a later one took its place stands in several parts.
        assert sum(part[0] for part in ours[key]) == count
        assert math.isclose(sum(part[1] for part in ours[key]), total, rel_tol=1e-9, abs_tol=1e-9)
        assert max(part[2] for part in ours[key]) == most
        merged: dict[int, int] = {}
        for part in ours[key]:
            for index, size in part[3].items():
                merged[index] = merged.get(index, 0) + size
        assert merged == buckets


RESULTS = st.builds(
    prediction_pb2.Result,
    value=st.sampled_from([None, prediction_pb2.Value(outputs=[prediction_pb2.Output(name="score")])]),
    version=st.integers(0, 3),
)


@given(st.lists(RESULTS | st.just(BAD), max_size=4), st.integers(0, 40), st.binary(max_size=3))
def test_answers_are_whole_where_protobuf_finds_them_so(
    results: list[prediction_pb2.Result], cut: int, more: bytes
) -> None:
    whole = response(*results)
    assert counted_call.is_answered(whole) == is_answered(whole)
    # Of what is not protobuf's own writing, nothing is taken for an answer that protobuf would not read.
    for data in (whole[:cut], whole + more, more):
        if counted_call.is_answered(data):
            assert has_values(data)


def has_values(data: bytes) -> bool:
    return bool(prediction_pb2.PredictResponse.FromString(data).results)
