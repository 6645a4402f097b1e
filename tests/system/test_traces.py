"""A prediction seen whole: the caller's span, the router's, its attempts', and what a cell did for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import propagate  # noqa: F401 - who traces has it
from opentelemetry.sdk.trace import TracerProvider
from support.collector import Collector, grpc_collector
from support.fleet import eventually, publish, small_stack
from support.harm import with_manager
from support.load import MODEL, Tenant

from croupier_client import Client
from croupier_client.errors import NotFound
from croupierctl.stack import Stack
from protos.versions.v1 import versions_pb2 as pb

TENANT = Tenant("traced", 3)


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, Collector]]:
    with grpc_collector() as (kept, endpoint), pytest.MonkeyPatch.context() as patch:
        for program in ("ROUTER", "CELL", "VERSION_MANAGER"):
            patch.setenv(f"CROUPIER_{program}_OTLP_ENDPOINT", endpoint)
            patch.setenv(f"CROUPIER_{program}_OTLP_SECONDS", "0.5")
        with small_stack(Path(tmp_path_factory.mktemp("traced"))) as stack:
            yield stack, kept


def release_cold(stack: Stack, tenant: Tenant) -> str:
    """Publish the tenant's model, which no cell loads before it is asked for; returns the revision."""
    publish(stack, tenant.name, MODEL, tenant.artifact, release=False)
    request = pb.SetReleaseRequest(
        tenant=tenant.name, name=MODEL, splits=[pb.Split(version=1, basis_points=10_000)], skip_warming=True
    )
    return with_manager(stack, lambda manager: manager.set_release(request)).revision


def spans_of(kept: Collector, trace_id: int) -> dict[str, list[Any]]:
    """The spans of a trace by service and name."""
    found: dict[str, list[Any]] = {}
    for service, span in kept.spans:
        if span.trace_id == trace_id.to_bytes(16):
            found.setdefault(f"{service} {span.name}", []).append(span)
    return found


def attributes(span: Any) -> dict[str, str | int]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def test_a_cold_prediction_from_its_caller_to_the_cell(traced: tuple[Stack, Collector]) -> None:
    stack, kept = traced
    tracer = TracerProvider().get_tracer("caller")
    revision = release_cold(stack, TENANT)
    with Client(stack.router, tenant=TENANT.name) as client:
        with tracer.start_as_current_span("caller") as caller:
            answer = client.predict(MODEL, [1.0, 2.0], request_id="my-request", min_revision=revision)
            assert answer.version == 1
        context = caller.get_span_context()
        method = "croupier.prediction.v1.PredictionService/Predict"
        names = {
            f"croupier-router {method}",
            "croupier-router attempt",
            f"croupier-cell {method}",
            "croupier-cell load",
            "croupier-cell score",
        }
        eventually(lambda: spans_of(kept, context.trace_id).keys() >= names, "all spans are sent", 20.0)
        found = spans_of(kept, context.trace_id)
        assert found.keys() == names
        assert [len(spans) for spans in found.values()] == [1] * 5
        (router,), (attempt,) = found[f"croupier-router {method}"], found["croupier-router attempt"]
        (cell,), (load,) = found[f"croupier-cell {method}"], found["croupier-cell load"]
        (score,) = found["croupier-cell score"]
        assert router.parent_span_id == context.span_id.to_bytes(8)
        assert attempt.parent_span_id == router.span_id
        assert cell.parent_span_id == attempt.span_id
        assert load.parent_span_id == score.parent_span_id == cell.span_id
        for outer, inner in ((router, attempt), (attempt, cell), (cell, load), (cell, score), (load, score)):
            assert outer.start_time_unix_nano <= inner.start_time_unix_nano
            assert outer is load or inner.end_time_unix_nano <= outer.end_time_unix_nano
        assert attributes(router) == {"croupier.tenant": TENANT.name, "croupier.request_id": "my-request"}
        assert attributes(attempt)["croupier.cell"] in stack.processes
        # The model is here now.
        with tracer.start_as_current_span("caller") as again:
            client.predict(MODEL, [1.0, 2.0])
        trace = again.get_span_context().trace_id
        eventually(lambda: len(spans_of(kept, trace)) == 4, "the spans of a hot one", 20.0)
        assert "croupier-cell load" not in spans_of(kept, trace)


def test_who_is_not_sampled_leaves_no_span(traced: tuple[Stack, Collector]) -> None:
    stack, kept = traced
    with Client(stack.router, tenant="untraced") as client:
        revision = release_cold(stack, Tenant("untraced", 4))
        before = len(kept.spans)
        client.predict(MODEL, [1.0, 2.0], min_revision=revision)
        with pytest.raises(NotFound):
            client.predict("nosuch", [1.0])
    seen = len(kept.metrics)
    eventually(lambda: len(kept.metrics) >= seen + 6, "metrics go on", 20.0)
    assert kept.spans[before:] == []


def test_the_metrics_of_every_part_are_sent(traced: tuple[Stack, Collector]) -> None:
    _, kept = traced
    for service, name in (
        ("croupier-router", "rpc.server.call.duration"),
        ("croupier-router", "croupier_router_attempt_seconds"),
        ("croupier-cell", "rpc.server.call.duration"),
        ("croupier-cell", "croupier_cell_queue_seconds"),
        ("croupier-version-manager", "croupier_version_manager_models"),
    ):
        eventually(lambda service=service, name=name: name in kept.latest(service), name, 20.0)
