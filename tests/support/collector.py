"""A collector of OTLP on the published protos: it keeps what it is sent, over gRPC and over HTTP."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_grpc


class Collector:
    """What has come. Threads of servers append, tests read."""

    def __init__(self) -> None:
        self.metrics: list[metrics.ExportMetricsServiceRequest] = []
        self.traces: list[traces.ExportTraceServiceRequest] = []

    @property
    def spans(self) -> list[tuple[str, Any]]:
        """Every span with the name of the service that it is of."""
        return [
            (_service(of.resource), span)
            for request in self.traces
            for of in request.resource_spans
            for scope in of.scope_spans
            for span in scope.spans
        ]

    def latest(self, service: str = "") -> dict[str, Any]:
        """The metrics of the last export of a service, by name."""
        for request in reversed(self.metrics):
            for of in request.resource_metrics:
                if not service or _service(of.resource) == service:
                    return {one.name: one for scope in of.scope_metrics for one in scope.metrics}
        return {}


def _service(resource: Any) -> str:
    named: str = next(one.value.string_value for one in resource.attributes if one.key == "service.name")
    return named


class _Metrics(metrics_grpc.MetricsServiceServicer):
    def __init__(self, kept: Collector) -> None:
        self._kept = kept

    def Export(self, request: Any, context: Any) -> Any:
        self._kept.metrics.append(request)
        return metrics.ExportMetricsServiceResponse()


class _Traces(traces_grpc.TraceServiceServicer):
    def __init__(self, kept: Collector) -> None:
        self._kept = kept

    def Export(self, request: Any, context: Any) -> Any:
        self._kept.traces.append(request)
        return traces.ExportTraceServiceResponse()


@contextmanager
def grpc_collector() -> Iterator[tuple[Collector, str]]:
    """The collector and its endpoint."""
    kept = Collector()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    metrics_grpc.add_MetricsServiceServicer_to_server(_Metrics(kept), server)
    traces_grpc.add_TraceServiceServicer_to_server(_Traces(kept), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield kept, f"http://127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


@contextmanager
def http_collector() -> Iterator[tuple[Collector, str]]:
    kept = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/metrics":
                kept.metrics.append(metrics.ExportMetricsServiceRequest.FromString(body))
            elif self.path == "/v1/traces":
                kept.traces.append(traces.ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield kept, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
