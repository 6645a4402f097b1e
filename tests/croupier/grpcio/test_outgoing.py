"""What goes with a call: ids and spans of whoever calls, and nothing without them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from random import Random
from types import SimpleNamespace

import pytest

from croupier import request_ids
from croupier.grpcio.outgoing import outgoing
from croupier.request_ids import RequestId
from croupier.telemetry import traces
from croupier.telemetry.traces import Kind, Parent, Tracer

TRACE, SPAN = 0xA, 0xB


@pytest.fixture
def named() -> Iterator[None]:
    token = request_ids.current.set(RequestId("mine"))
    yield
    request_ids.current.reset(token)


@pytest.fixture
def traced() -> Iterator[traces.Span]:
    tracer = Tracer(1.0, lambda span: None, rng=Random(1))
    span = tracer.span("verb", Kind.INTERNAL, Parent(TRACE, SPAN, True, b"vendor=1"))
    token = traces.current.set(span)
    yield span
    traces.current.reset(token)


@pytest.fixture
def opentelemetry(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The library, as a program that uses it has imported it."""
    found = {"traceparent": f"00-{TRACE:032x}-{SPAN:016x}-01", "baggage": "user=1"}
    library = SimpleNamespace(inject=lambda carrier: carrier.update(found))
    monkeypatch.setitem(sys.modules, "opentelemetry.propagate", library)
    return library


def test_nothing_where_nobody_knows_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.propagate", raising=False)
    assert outgoing() == []


def test_the_id_and_the_span_of_the_task(
    named: None, traced: traces.Span, opentelemetry: SimpleNamespace
) -> None:
    assert outgoing() == [
        ("x-request-id", "mine"),
        ("traceparent", f"00-{TRACE:032x}-{traced.span_id:016x}-01"),
        ("tracestate", "vendor=1"),
    ]


def test_the_span_of_a_program_that_has_opentelemetry(named: None, opentelemetry: SimpleNamespace) -> None:
    assert outgoing() == [
        ("x-request-id", "mine"),
        ("traceparent", f"00-{TRACE:032x}-{SPAN:016x}-01"),
    ]


def test_not_twice_where_every_channel_says_it(
    opentelemetry: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation.grpc", SimpleNamespace())
    assert outgoing() == []
