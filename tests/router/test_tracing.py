"""Calls to cells as spans, and the spans of requests that came to trouble."""

from __future__ import annotations

from math import inf
from random import Random
from typing import Any

import pytest

from croupier.codes import Code
from croupier.errors import Unavailable
from croupier.request_ids import Known, RequestId
from croupier.telemetry.traces import Kind, Span, Tracer
from router.tracing import LateSpans, Told, Traced

TENANT, METHOD = (lambda: "acme"), "/inference.GRPCInferenceService/ModelInfer"


def none(key: bytes) -> tuple[bytes, ...]:
    return ()


class Started:
    span: Any = None


class Exchange:
    """Stands in for `Whole`: it keeps what goes with its calls."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.metadata: list[Any] = []

    def start(self, call: Any, timeout: float | None, metadata: Any) -> Started:
        self.metadata.append(metadata)
        if self.error is not None:
            raise self.error
        return Started()

    def outcomes(self, call: Any, response: bytes) -> list[bytes]:
        return [response]

    def refusal(self, outcome: bytes) -> None:
        return None


class CellCall:
    cell, units = "cell-1", (1, 2)


@pytest.fixture
def ended() -> list[Span]:
    return []


@pytest.fixture
def tracer(ended: list[Span]) -> Tracer:
    return Tracer(0.0, ended.append, rng=Random(1))


def test_each_call_is_a_span_that_its_cell_is_told_of(tracer: Tracer, ended: list[Span]) -> None:
    span, exchange = tracer.span("Infer", Kind.SERVER, None), Exchange()
    traced: Any = Traced(exchange, span, ((b"x-request-id", b"mine"),))  # type: ignore[arg-type]
    first, second = (traced.start(CellCall(), 1.0).span for _ in range(2))
    assert [one.attributes["croupier.attempt"] for one in (first, second)] == [1, 2]
    assert {one.parent_id for one in (first, second)} == {span.span_id}
    assert exchange.metadata == [((b"x-request-id", b"mine"), *one.pairs()) for one in (first, second)]
    assert ended == [], "they end with the calls"
    assert traced.outcomes(CellCall(), b"answer") == [b"answer"]


def test_calls_of_a_request_that_nobody_traces_are_told_of_it_alone() -> None:
    exchange = Exchange()
    told: Any = Told(exchange, ((b"x-request-id", b"mine"),))  # type: ignore[arg-type]
    assert told.start(CellCall(), 1.0).span is None
    assert exchange.metadata == [((b"x-request-id", b"mine"),)]
    assert told.outcomes(CellCall(), b"answer") == [b"answer"]
    assert told.refusal(b"answer") is None


def test_a_call_that_is_never_made_is_a_span_as_well(tracer: Tracer, ended: list[Span]) -> None:
    exchange = Exchange(Unavailable("the cell is not connected"))
    traced: Any = Traced(exchange, tracer.span("Infer", Kind.SERVER, None), ())  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        traced.start(CellCall(), 1.0)
    assert [(one.name, one.code) for one in ended] == [("attempt", Code.UNAVAILABLE)]


@pytest.mark.parametrize(
    ("code", "seconds", "count"),
    [
        ("OK", 0.9, 0),
        ("OK", 1.0, 1),
        ("NOT_FOUND", 0.1, 0),
        ("INVALID_ARGUMENT", 0.1, 0),
        ("CANCELLED", 0.1, 0),
        ("UNAVAILABLE", 0.0, 1),
        ("INTERNAL", 0.0, 1),
        ("DEADLINE_EXCEEDED", 0.1, 1),
    ],
)
def test_what_was_slow_or_in_trouble_gets_a_span(
    tracer: Tracer, ended: list[Span], code: str, seconds: float, count: int
) -> None:
    late = LateSpans(tracer, 1.0, clock=lambda: 0.0)
    late.ended(Known(RequestId("mine")), METHOD, code, seconds, TENANT, none)
    assert len(ended) == count
    for span in ended:
        assert (span.name, Code(span.code).name) == (METHOD[1:], code)
        assert span.attributes == {"croupier.tenant": "acme", "croupier.request_id": "mine"}


def test_what_has_a_span_gets_no_other(tracer: Tracer, ended: list[Span]) -> None:
    late = LateSpans(tracer, inf, clock=lambda: 0.0)
    caller = Known(RequestId(), span=tracer.span("Infer", Kind.SERVER, None))
    late.ended(caller, METHOD, "INTERNAL", 0.1, TENANT, none)
    assert ended == []


def test_a_flood_of_trouble_makes_some_spans_a_second(tracer: Tracer, ended: list[Span]) -> None:
    now = 0.0
    late = LateSpans(tracer, inf, clock=lambda: now)
    for seconds, expected in ((0.0, 20), (0.5, 30), (100.0, 50)):
        now += seconds
        for _ in range(1_000):
            late.ended(Known(RequestId()), METHOD, "UNAVAILABLE", 0.1, TENANT, none)
        assert len(ended) == expected
