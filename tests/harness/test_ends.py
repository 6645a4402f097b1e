from __future__ import annotations

import pytest

from croupier.codes import Code
from croupier.errors import InvalidRequest, QuotaExceeded, Unavailable
from croupier.transport.http2.counted_call import CountedCall, Counts
from croupier.transport.status import from_error, request_info
from croupier_bench.ends import OTHERS, Ends, error_word, item_word, reason_of, status_word
from protos.prediction.v1 import prediction_pb2

ERRORS = [
    Unavailable("it drains", reason="DRAINING", retry_after=1.0),
    QuotaExceeded("x" * 500, reason="RATE", retry_after=0.1),
    InvalidRequest("no", reason="R" * 127, field="items"),
    Unavailable("nobody said why"),
]


def counts(start: float = 100.0) -> Counts:
    made = Counts([False], timeout=1.0)
    made.start = start
    return made


def call(code: int, message: str, due: float = 100.5, number: int = 7) -> CountedCall:
    made = CountedCall(b"/a/B", b"", 1.0, (), 0, 3, number, due, True)
    made.abort(code, message)
    return made


@pytest.mark.parametrize("error", ERRORS)
def test_the_reason_of_our_errors_is_found(error: Unavailable) -> None:
    status = from_error(error)
    assert reason_of(status.details) == status.reason == error.reason
    assert reason_of(status.details + request_info("0123456789abcdef")) == error.reason
    name = Code(status.code).name
    assert error_word(status.code, status.message, status.details) == f"{name}: {error.reason}"


def test_answers_in_the_time_that_is_measured_are_looked_at_for_cells() -> None:
    looked: list[float] = []

    class Told:
        def look(self, call: CountedCall) -> None:
            looked.append(call.due)

    ends = Ends(counts(), sample=Told())  # type: ignore[arg-type]
    for due, code in ((99.0, 0), (100.5, 0), (101.0, 14)):
        ends.look(call(code, "", due=due), 102.0)
    assert looked == [100.5]


def test_other_details_have_no_reason() -> None:
    details = from_error(ERRORS[0]).details
    at = details.index(b"google.rpc.ErrorInfo")
    assert [reason_of(details[:end]) for end in (0, at, at + 20, at + 21, at + 23)] == [""] * 5
    # Whatever comes, nothing is raised.
    assert {type(reason_of(details[:end] + b"\xff")) for end in range(len(details))} == {str}


def test_without_a_reason_the_message_counts_without_its_numbers() -> None:
    lost = error_word(14, "connection 17 of 10.0.0.1 was lost", b"")
    assert lost == "UNAVAILABLE: connection … of ….….….… was lost"
    assert error_word(13, "x" * 1000, b"") == f"INTERNAL: {'x' * 80}"
    assert error_word(2, "", b"") == "UNKNOWN"
    assert error_word(77, "", b"") == "code 77"


def test_an_item_says_why_it_failed() -> None:
    pb = prediction_pb2
    value = pb.Result(value=pb.Value())
    status = pb.Status(code=5, message="no model", reason="NO_MODEL")
    response = pb.PredictResponse(results=[value, pb.Result(status=status), value])
    assert item_word(response.SerializeToString()) == "NOT_FOUND: NO_MODEL"
    assert status_word(pb.Status(code=14, message="busy 3")) == "UNAVAILABLE: busy …"
    assert item_word(b"") == "INTERNAL: the answer has no results"
    assert item_word(b"\xff") == "INTERNAL: the answer cannot be read"
    assert item_word(pb.PredictResponse(results=[pb.Result()]).SerializeToString()).startswith("INTERNAL")


def test_errors_are_counted_by_class_and_word() -> None:
    counted = counts()
    ends = Ends(counted)
    for number in range(3):
        ends.look(call(14, f"connection {number} was lost"), 101.0)
    ends.look(call(4, "late"), 101.0)
    # Of the warm-up.
    ends.look(call(4, "late", due=99.0), 101.0)
    errors, wrong, seen = ends.take()
    assert errors == {(0, "UNAVAILABLE: connection … was lost"): 3, (0, "DEADLINE_EXCEEDED: late"): 1}
    assert (wrong, seen) == ({}, 0)
    assert [(second, row, count) for second, row, count, *_ in counted.harvest()] == [(0, counted.failed, 4)]
    assert ends.take() == ({}, {}, 0)


def test_a_peer_that_says_something_else_each_time_fills_no_memory() -> None:
    ends = Ends(counts())
    for number in range(1000):
        ends.fail(0, 100.5, 101.0, f"INTERNAL: {'x' * number}")
    errors, _, _ = ends.take()
    assert len(errors) == 101
    assert errors[0, OTHERS] == 900


def test_answers_are_looked_at_and_wrong_ones_counted_by_second() -> None:
    asked: list[tuple[int, int, int, bytes]] = []

    def is_right(kind: int, model: int, number: int, reply: bytes) -> str | None:
        asked.append((kind, model, number, reply))
        return "another version" if number == 8 else None

    ends = Ends(counts(), is_right)
    for number, due in ((7, 100.5), (8, 102.5), (8, 99.0)):
        ends.verify(0, 3, number, due, b"reply")
    _, wrong, seen = ends.take()
    assert asked == [(0, 3, 7, b"reply"), (0, 3, 8, b"reply")]
    assert (wrong, seen) == ({(2, 0, "another version"): 1}, 2)


def test_nobody_looks_at_answers_unless_that_is_asked() -> None:
    ends = Ends(counts())
    ends.verify(0, 3, 7, 100.5, b"reply")
    assert ends.take()[2] == 0
