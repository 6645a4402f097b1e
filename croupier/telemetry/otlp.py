"""Sends metrics and spans by OTLP, over gRPC or HTTP, from threads of its own.

The SDK of OpenTelemetry has the exporters. Metrics are those of the Prometheus page,
read anew for each export: an instrument is declared once, and hot paths write none of the SDK's, which take
microseconds. Spans are made natively (`span_bytes.pyx`): the SDK takes fifty microseconds for one, while its
thread has the interpreter's lock. What cannot be sent is dropped, and nobody waits for it.

Imported by whoever was told an endpoint: it brings grpcio with it.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import grpc
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.common.v1 import common_pb2 as common
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import REGISTRY
from prometheus_client.core import Metric

from croupier.codes import Code
from croupier.settings import TelemetrySettings
from croupier.telemetry.span_bytes import span_field, traces_data
from croupier.telemetry.traces import Span
from croupier.version import version

_log = logging.getLogger(__name__)

_SCOPE = InstrumentationScope("croupier", version())
_CUMULATIVE = sdk.AggregationTemporality.CUMULATIVE
_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
# A peer may end a call with any number.
_NAMES = {int(code): code.name for code in Code}
# Spans that wait, and how many go at once: a call takes as long as some thousand of them, so few wait until
# there are many. Their bytes are far below what a collector takes in one message.
_MOST_SPANS = 8_192
_AT_ONCE = 2_048
_MANY = 1_024
_SPAN_SECONDS = 2.0
_LOOK_SECONDS = 0.5
_EXPORT_SECONDS = 5.0
_CLOSE_SECONDS = 3.0
# OpenTelemetry's own metric, whose name and labels Prometheus cannot have.
_RPC = "rpc_server_call_duration_seconds"
_RENAMED = {
    "rpc_method": "rpc.method",
    "rpc_response_status_code": "rpc.response.status_code",
}


class _Stub(NamedTuple):
    """As the generated one, for requests that are bytes."""

    Export: Callable[..., ExportTraceServiceResponse]


class _OverGrpc(GrpcSpans):
    """The SDK's, which connects, waits and tries again, for spans that are bytes already."""

    encode: Callable[[Sequence[bytes]], bytes]
    _channel: Any
    _client: Any

    def _initialize_channel_and_stub(self) -> None:
        super()._initialize_channel_and_stub()  # type: ignore[no-untyped-call]
        # The SDK's would have them parsed, to be written again.
        self._client = _Stub(
            self._channel.unary_unary(_EXPORT, response_deserializer=ExportTraceServiceResponse.FromString)
        )

    def _translate_data(self, data: Sequence[Any]) -> Any:
        return self.encode(data)


class _OverHttp(HttpSpans):
    """As `_OverGrpc`."""

    encode: Callable[[Sequence[bytes]], bytes]

    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        is_sent = self._client.export(self.encode(spans)).success
        return SpanExportResult.SUCCESS if is_sent else SpanExportResult.FAILURE


class Spans:
    """Exports spans until `close`, which sends what there is. `program` is the name of the service."""

    def __init__(self, settings: TelemetrySettings, program: str) -> None:
        self.resource = Resource(
            {
                "service.name": program,
                "service.version": version(),
                "service.instance.id": str(uuid.uuid4()),
            }
        )
        self._exporter = _span_exporter(settings)
        about = _resource(self.resource).SerializeToString()
        scope = common.InstrumentationScope(name=_SCOPE.name, version=version()).SerializeToString()
        self._exporter.encode = lambda spans: traces_data(about, scope, list(spans))
        # Of what cannot be sent the oldest go. Whoever emits does nothing more: bytes are made in a thread.
        self._waiting: deque[Span] = deque(maxlen=_MOST_SPANS)
        self.emit: Callable[[Span], None] = self._waiting.append
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otlp-spans", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send what there is, if that takes no longer than a process may take to end."""
        _for_a_while(self._close)

    def _close(self) -> None:
        self._is_closed.set()
        self._thread.join()
        self._exporter.shutdown()

    def _run(self) -> None:
        waited = 0.0
        while not self._is_closed.wait(_LOOK_SECONDS):
            waited += _LOOK_SECONDS
            if waited >= _SPAN_SECONDS or len(self._waiting) >= _MANY:
                self._export()
                waited = 0.0
        self._export()

    def _export(self) -> None:
        """Send what waits now."""
        left = len(self._waiting)
        while left > 0:
            count = min(left, _AT_ONCE)
            left -= count
            spans = [self._waiting.popleft() for _ in range(count)]
            try:
                self._exporter.export(_made(spans))
            except Exception:  # noqa: BLE001 - the next ones may do
                _log.exception("spans could not be exported")


class Otlp:
    """Exports spans and metrics, as `Spans`."""

    def __init__(self, settings: TelemetrySettings, program: str) -> None:
        self._spans = Spans(settings, program)
        self._resource = self._spans.resource
        self.emit = self._spans.emit
        self._seconds = settings.otlp_seconds
        self._metrics = _metric_exporter(settings)
        self._began = time.time_ns()
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """As `Spans.close`."""
        _for_a_while(self._close)

    def _close(self) -> None:
        self._is_closed.set()
        self._thread.join(2 * _EXPORT_SECONDS)
        self._spans.close()
        self._metrics.shutdown(timeout_millis=_EXPORT_SECONDS * 1e3)

    def _run(self) -> None:
        while not self._is_closed.wait(self._seconds):
            self._export()
        self._export()

    def _export(self) -> None:
        try:
            data = metrics_data(REGISTRY.collect(), self._resource, self._began, time.time_ns())
            self._metrics.export(data, timeout_millis=_EXPORT_SECONDS * 1e3)
        except Exception:  # noqa: BLE001 - the next one may do
            _log.exception("metrics could not be exported")


def _made(spans: Sequence[Span]) -> list[bytes]:
    """The spans as they are sent, without those that cannot be."""
    try:
        return [span_field(span, _message(span) if span.code else "") for span in spans]
    except Exception:  # noqa: BLE001 - it is one of them, most likely
        return [made for span in spans if (made := _made_alone(span))]


def _made_alone(span: Span) -> bytes:
    """b"" where that cannot be."""
    try:
        return span_field(span, _message(span))
    except Exception:  # noqa: BLE001 - the others may do
        _log.exception("a span could not be made")
        return b""


def _message(span: Span) -> str:
    return _NAMES.get(span.code) or str(span.code)


def _resource(resource: Resource) -> resource_pb2.Resource:
    """What is exported is of this."""
    pairs = [
        common.KeyValue(key=key, value=common.AnyValue(string_value=str(value)))
        for key, value in resource.attributes.items()
    ]
    return resource_pb2.Resource(attributes=pairs)


def _for_a_while(close: Callable[[], None]) -> None:
    closing = threading.Thread(target=close, name="otlp-close", daemon=True)
    closing.start()
    closing.join(_CLOSE_SECONDS)


def _metric_exporter(settings: TelemetrySettings) -> Any:
    if settings.otlp_protocol == "http":
        return HttpMetrics(**_by_http(settings, "metrics"))
    return GrpcMetrics(**_by_grpc(settings))


def _span_exporter(settings: TelemetrySettings) -> Any:
    if settings.otlp_protocol == "http":
        return _OverHttp(**_by_http(settings, "traces"))
    return _OverGrpc(**_by_grpc(settings))


def _by_http(settings: TelemetrySettings, what: str) -> dict[str, Any]:
    return {
        "endpoint": f"{settings.otlp_endpoint.rstrip('/')}/v1/{what}",
        "certificate_file": str(settings.otlp_ca) if settings.otlp_ca else None,
        "timeout": _EXPORT_SECONDS,
    }


def _by_grpc(settings: TelemetrySettings) -> dict[str, Any]:
    endpoint, ca = settings.otlp_endpoint, settings.otlp_ca
    is_plain = endpoint.startswith("http://")
    credentials = None if is_plain else grpc.ssl_channel_credentials(ca.read_bytes() if ca else None)
    return {
        "endpoint": endpoint,
        "insecure": is_plain,
        "credentials": credentials,
        "timeout": _EXPORT_SECONDS,
    }


def metrics_data(families: Iterable[Metric], resource: Resource, began: int, now: int) -> sdk.MetricsData:
    """What the Prometheus page would show, as OTLP has it: cumulative since `began`, in nanoseconds."""
    metrics = [one for family in families if (one := _metric(family, began, now)) is not None]
    scope = sdk.ScopeMetrics(_SCOPE, metrics, "")
    return sdk.MetricsData([sdk.ResourceMetrics(resource, [scope], "")])


def _metric(family: Metric, began: int, now: int) -> sdk.Metric | None:
    if family.type == "histogram":
        points = _histogram_points(family, began, now)
        name, unit = ("rpc.server.call.duration", "s") if family.name == _RPC else (family.name, "")
        return sdk.Metric(name, family.documentation, unit, sdk.Histogram(points, _CUMULATIVE))
    wanted = {"counter": f"{family.name}_total", "gauge": family.name}.get(family.type)
    if wanted is None:
        return None
    numbers = [
        sdk.NumberDataPoint(_attributes(one.labels), began if family.type == "counter" else 0, now, one.value)
        for one in family.samples
        if one.name == wanted
    ]
    if family.type == "counter":
        return sdk.Metric(wanted, family.documentation, "", sdk.Sum(numbers, _CUMULATIVE, is_monotonic=True))
    return sdk.Metric(family.name, family.documentation, "", sdk.Gauge(numbers))


def _histogram_points(family: Metric, began: int, now: int) -> list[sdk.HistogramDataPoint]:
    """One for each set of labels, whose samples stand together: buckets, count and sum."""
    found: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for sample in family.samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        of = found.setdefault(
            tuple(labels.items()), {"labels": labels, "bounds": [], "counts": [], "sum": 0.0}
        )
        if sample.name.endswith("_bucket"):
            of["bounds"].append(float(sample.labels["le"]))
            of["counts"].append(int(sample.value))
        elif sample.name.endswith("_sum"):
            of["sum"] = sample.value
    return [_point(of, began, now) for of in found.values() if of["counts"]]


def _point(of: dict[str, Any], began: int, now: int) -> sdk.HistogramDataPoint:
    upto = of["counts"]
    counts = [count - before for count, before in zip(upto, [0, *upto], strict=False)]
    return sdk.HistogramDataPoint(
        _attributes(of["labels"]),
        began,
        now,
        upto[-1],
        of["sum"],
        counts,
        of["bounds"][:-1],
        # Not known, and OTLP does without.
        min=None,  # type: ignore[arg-type]
        max=None,  # type: ignore[arg-type]
    )


def _attributes(labels: dict[str, str]) -> dict[str, str]:
    named = {_RENAMED.get(name, name): value for name, value in labels.items()}
    return {"rpc.system.name": "grpc", **named} if "rpc.method" in named else named
