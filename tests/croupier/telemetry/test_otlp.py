"""What is exported, as a collector on the published protos reads it."""

from __future__ import annotations

from random import Random

import pytest
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from support.collector import grpc_collector, http_collector
from support.waiting import wait_until

from croupier.codes import Code
from croupier.settings import TelemetrySettings
from croupier.telemetry import otlp as otlp_module
from croupier.telemetry.metrics import LoopHistogram
from croupier.telemetry.otlp import Otlp, Spans, metrics_data
from croupier.telemetry.traces import Kind, Tracer

RPC = LoopHistogram("croupier_otlp_seconds", "Seconds", (0.1, 1.0), ["code"])
COLLECTORS = {"grpc": grpc_collector, "http": http_collector}


@pytest.mark.parametrize("protocol", COLLECTORS)
def test_a_collector_gets_spans_and_the_metrics_of_the_page(protocol: str) -> None:
    for value in (0.05, 0.5, 0.5, 7.0):
        RPC.labels(protocol).observe(value)
    with COLLECTORS[protocol]() as (kept, endpoint):
        otlp = Otlp(TelemetrySettings(otlp_endpoint=endpoint, otlp_protocol=protocol), "croupier-test")
        tracer = Tracer(1.0, otlp.emit, rng=Random(1))
        span = tracer.begin("Infer", lambda key: ())
        assert span is not None
        span.note("croupier.tenant", "acme")
        child = span.child("attempt", Kind.CLIENT)
        child.end(Code.UNAVAILABLE)
        span.end()
        # What waits is sent before the process ends.
        otlp.close()
    sent = {one.name: one for _, one in kept.spans}
    assert [service for service, _ in kept.spans] == ["croupier-test"] * 2
    assert sent["attempt"].parent_span_id == sent["Infer"].span_id == span.span_id.to_bytes(8)
    assert sent["attempt"].trace_id == sent["Infer"].trace_id == span.trace_id.to_bytes(16)
    assert (sent["Infer"].kind, sent["attempt"].kind) == (2, 3)
    assert (sent["Infer"].status.code, sent["attempt"].status.code) == (0, 2)
    assert sent["attempt"].status.message == "UNAVAILABLE"
    assert sent["Infer"].start_time_unix_nano == span.began
    assert sent["Infer"].end_time_unix_nano == span.ended
    assert [(one.key, one.value.string_value) for one in sent["Infer"].attributes] == [
        ("croupier.tenant", "acme")
    ]
    points = kept.latest("croupier-test")["croupier_otlp_seconds"].histogram.data_points
    (point,) = [one for one in points if one.attributes[0].value.string_value == protocol]
    assert list(point.bucket_counts) == [1, 2, 1]
    assert list(point.explicit_bounds) == [0.1, 1.0]
    assert (point.count, point.sum) == (4, 8.05)
    assert not point.HasField("min")


@pytest.mark.parametrize("protocol", COLLECTORS)
def test_a_span_that_cannot_be_made_takes_no_other_along(
    protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    with COLLECTORS[protocol]() as (kept, endpoint):
        spans = Spans(TelemetrySettings(otlp_endpoint=endpoint, otlp_protocol=protocol), "croupier-test")
        tracer = Tracer(1.0, spans.emit, rng=Random(1))
        first, odd, last = (tracer.span(name, Kind.SERVER, None) for name in ("first", "odd", "last"))
        odd.note("tenant", "\ud800")
        # A peer may end a call with any number.
        for span, code in ((first, 99), (odd, Code.OK), (last, Code.OK)):
            span.end(code)
        spans.close()
    assert [(one.name, one.status.message) for _, one in kept.spans] == [("first", "99"), ("last", "")]
    assert "a span could not be made" in caplog.text


def test_each_kind_of_instrument_and_what_otlp_has_no_word_for() -> None:
    registry = CollectorRegistry()
    Counter("done", "Done", ["kind"], registry=registry).labels("a").inc(3)
    Gauge("level", "Level", registry=registry).set(1.5)
    Histogram("took", "Took", registry=registry, buckets=(1.0,)).observe(0.5)
    Info("about", "About", registry=registry).info({"a": "b"})
    data = metrics_data(registry.collect(), Resource({}), 10, 20)
    found = {one.name: one.data for one in data.resource_metrics[0].scope_metrics[0].metrics}
    assert set(found) == {"done_total", "level", "took"}
    (done,) = found["done_total"].data_points
    assert (done.attributes, done.value, done.start_time_unix_nano, done.time_unix_nano) == (
        {"kind": "a"},
        3.0,
        10,
        20,
    )
    assert [point.value for point in found["level"].data_points] == [1.5]
    assert found["took"].data_points[0].bucket_counts == [1, 0]


def test_calls_have_the_name_and_the_attributes_of_the_conventions() -> None:
    registry = CollectorRegistry()
    labels = ["rpc_method", "rpc_response_status_code"]
    calls = Histogram("rpc_server_call_duration_seconds", "Calls", labels, registry=registry, buckets=(1.0,))
    calls.labels("inference.GRPCInferenceService/ModelInfer", "OK").observe(0.5)
    data = metrics_data(registry.collect(), Resource({}), 10, 20)
    (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
    assert (metric.name, metric.unit) == ("rpc.server.call.duration", "s")
    assert metric.data.data_points[0].attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": "inference.GRPCInferenceService/ModelInfer",
        "rpc.response.status_code": "OK",
    }


@pytest.mark.parametrize(("seconds", "count"), [(1e9, 1_024), (0.0, 1)])
def test_many_spans_go_at_once_and_few_when_they_have_waited(
    seconds: float, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_module, "_SPAN_SECONDS", seconds)
    monkeypatch.setattr(otlp_module, "_LOOK_SECONDS", 0.001)
    with grpc_collector() as (kept, endpoint):
        spans = Spans(TelemetrySettings(otlp_endpoint=endpoint), "croupier-test")
        tracer = Tracer(1.0, lambda span: None, rng=Random(1))
        # All of them are there before the thread looks.
        spans._waiting.extend([tracer.span("Infer", Kind.SERVER, None) for _ in range(count)])
        wait_until(lambda: len(kept.spans) == count, "the spans are sent", 20.0)
        spans.close()


def test_nobody_listens_and_nothing_grows_or_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_module, "_EXPORT_SECONDS", 0.05)
    otlp = Otlp(TelemetrySettings(otlp_endpoint="http://127.0.0.1:1", otlp_protocol="http"), "croupier-test")
    tracer = Tracer(1.0, otlp.emit, rng=Random(1))
    for _ in range(5_000):
        tracer.span("Infer", Kind.SERVER, None).end()
    otlp.close()
    assert len(otlp._spans._waiting) <= otlp_module._MOST_SPANS
