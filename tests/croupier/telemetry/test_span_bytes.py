"""Spans as bytes, beside what the SDK's own encoder makes of the same."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from croupier.codes import Code
from croupier.telemetry.span_bytes import span_field, traces_data
from croupier.telemetry.traces import Kind, Span, Tracer, Value

RESOURCE = Resource({"service.name": "croupier-test"})
SCOPE = InstrumentationScope("croupier", "1.2.3")
KINDS = {Kind.INTERNAL: SpanKind.INTERNAL, Kind.SERVER: SpanKind.SERVER, Kind.CLIENT: SpanKind.CLIENT}
NOBODY = Tracer(0.0, lambda span: None, rng=Random(1))

ids = st.integers(1, 2**64 - 1)
times = st.integers(0, 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
values = st.one_of(texts, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
states = st.sampled_from([b"", b"k=v", b"a@b=1,c/d=x y"])


@st.composite
def spans(draw: st.DrawFn) -> Span:
    kind, trace_id, parent_id = (
        draw(st.sampled_from(Kind)),
        draw(st.integers(1, 2**128 - 1)),
        draw(ids | st.just(0)),
    )
    ended = draw(times)
    tracer = Tracer(0.0, lambda span: None, rng=Random(1), now=lambda: ended)
    span = Span(draw(texts), kind, trace_id, draw(ids), parent_id, draw(states), draw(times), tracer)
    for key, value in draw(
        st.dictionaries(st.text("abc.é", min_size=1, max_size=200), values, max_size=5)
    ).items():
        span.note(key, value)
    span.end(draw(st.sampled_from([0, 0, *Code])))
    return span


def readable(span: Span) -> ReadableSpan:
    """The span as the SDK has it."""
    state = TraceState.from_header([span.state.decode()]) if span.state else None
    flags = TraceFlags(TraceFlags.SAMPLED)
    is_good = span.code == Code.OK
    return ReadableSpan(
        span.name,
        SpanContext(span.trace_id, span.span_id, False, flags, state),
        SpanContext(span.trace_id, span.parent_id, True, flags) if span.parent_id else None,
        RESOURCE,
        span.attributes,
        kind=KINDS[span.kind],
        instrumentation_scope=SCOPE,
        status=Status(StatusCode.UNSET) if is_good else Status(StatusCode.ERROR, Code(span.code).name),
        start_time=span.began,
        end_time=span.ended,
    )


def encoded(span: Span) -> bytes:
    return span_field(span, Code(span.code).name)


@given(st.lists(spans(), min_size=1, max_size=4))
def test_they_say_what_those_of_the_sdk_say(given: list[Span]) -> None:
    expected: Any = encode_spans([readable(span) for span in given])
    of = expected.resource_spans[0]
    resource, scope = of.resource.SerializeToString(), of.scope_spans[0].scope.SerializeToString()
    actual = traces_data(resource, scope, [encoded(span) for span in given])
    assert type(expected).FromString(actual) == expected


def test_what_is_not_a_number_stays_that() -> None:
    span = NOBODY.span("odd", Kind.INTERNAL, None)
    span.note("share", math.nan)
    sent: Any = encode_spans([readable(span)])
    (found,) = (
        type(sent).FromString(traces_data(b"", b"", [encoded(span)])).resource_spans[0].scope_spans[0].spans
    )
    assert math.isnan(found.attributes[0].value.double_value)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, "\ud800", None, b"bytes"])
def test_what_otlp_has_no_word_for_is_refused(value: Value) -> None:
    span = NOBODY.span("odd", Kind.INTERNAL, None)
    span.note("value", value)
    with pytest.raises((OverflowError, UnicodeEncodeError, TypeError)):
        encoded(span)
