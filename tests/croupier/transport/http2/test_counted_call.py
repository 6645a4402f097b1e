"""Counted calls between two joined sessions, and what is counted beside a plain twin."""

from __future__ import annotations

import pytest
from fuzz.counts import Search
from support.counted_twin import seen
from support.pair import BATCH, Pair

from croupier.codes import Code
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


def test_it_counts_as_its_twin_does_and_reads_answers_as_protobuf_does() -> None:
    search = Search(20_261_128)
    search.run(20_000)
    assert search.differences == []
    assert search.ends.keys() == {"counted", "answers", "no answers"}
