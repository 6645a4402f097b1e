"""The steps of a load, told to who waited for it."""

from __future__ import annotations

from random import Random

import pytest

from cell.loading import marks as marks_module
from cell.loading.marks import Mark, Marks, log_if_slow, tell
from croupier.request_ids import RequestId
from croupier.telemetry.logs import fields_of
from croupier.telemetry.traces import Kind, Span, Tracer

SECOND = 10**9


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[Span]:
    """Spans that have ended. It is 100 s on one clock and 1,000 s on the other."""
    monkeypatch.setattr(marks_module.time, "monotonic", lambda: 100.0)
    return []


def waiting(ended: list[Span], since: float) -> Span:
    """The span of somebody who has waited for so many seconds."""
    tracer = Tracer(1.0, ended.append, rng=Random(1), now=lambda: 1_000 * SECOND)
    span = tracer.span("load", Kind.INTERNAL, None)
    span.began = int((1_000 - since) * SECOND)
    return span


def test_a_step_begins_where_the_one_before_ended(ended: list[Span]) -> None:
    span = waiting(ended, 10.0)
    tell(span, [Mark("queue", 92.0), Mark("store", 97.0), Mark("build", 99.5)])
    assert [(one.name, one.began / SECOND, one.ended / SECOND) for one in ended] == [
        ("queue", 990.0, 992.0),
        ("store", 992.0, 997.0),
        ("build", 997.0, 999.5),
    ]
    assert {one.parent_id for one in ended} == {span.span_id}


def test_who_came_later_was_not_there_for_the_first_ones(ended: list[Span]) -> None:
    tell(waiting(ended, 5.0), [Mark("queue", 92.0), Mark("store", 97.0)])
    assert [(one.name, one.began / SECOND, one.ended / SECOND) for one in ended] == [("store", 995.0, 997.0)]


@pytest.mark.parametrize("request_id", [None, RequestId("mine")])
def test_who_waited_for_long_is_told_what_for(
    ended: list[Span], caplog: pytest.LogCaptureFixture, request_id: RequestId | None
) -> None:
    marks = [Mark("queue", 92.0), Mark("store", 97.0), Mark("build", 99.5)]
    log_if_slow(marks, b"\xab" * 32, 95.0, request_id)
    (line,) = caplog.records
    assert line.getMessage() == "slow: a request waited for its model"
    assert fields_of(line) == {
        **({} if request_id is None else {"request_id": "mine"}),
        "artifact": "ab" * 32,
        "ms": 5_000,
        "store_ms": 2_000,
        "build_ms": 2_500,
    }


def test_who_waited_a_moment_leaves_no_line(ended: list[Span], caplog: pytest.LogCaptureFixture) -> None:
    log_if_slow([Mark("queue", 99.9)], bytes(32), 99.5, None)
    assert caplog.records == []


def test_a_mark_is_made_when_it_is_asked_for(ended: list[Span]) -> None:
    marks = Marks()
    marks("queue")
    assert marks == [("queue", 100.0)]
