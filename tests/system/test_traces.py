"""A prediction seen whole: the caller's span, the router's, its attempts', and what a cell did for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import propagate  # noqa: F401 - who traces has it
from opentelemetry.sdk.trace import TracerProvider
from support.collector import Collector, grpc_collector
from support.fleet import publish, small_stack, train_wine
from support.harm import with_manager
from support.load import MODEL, Tenant
from support.waiting import wait_until

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
            "croupier-router identity",
            "croupier-router attempt",
            f"croupier-cell {method}",
            "croupier-cell load",
            "croupier-cell score",
        }
        wait_until(lambda: spans_of(kept, context.trace_id).keys() >= names, "all spans are sent", 20.0)
        found = spans_of(kept, context.trace_id)
        steps = [found.pop(f"croupier-cell {step}")[0] for step in ("queue", "store", "check", "build")]
        assert found.keys() == names
        assert [len(spans) for spans in found.values()] == [1] * 6
        (router,), (attempt,) = found[f"croupier-router {method}"], found["croupier-router attempt"]
        (identity,) = found["croupier-router identity"]
        (cell,), (load,) = found[f"croupier-cell {method}"], found["croupier-cell load"]
        (score,) = found["croupier-cell score"]
        assert router.parent_span_id == context.span_id.to_bytes(8)
        assert attempt.parent_span_id == identity.parent_span_id == router.span_id
        assert cell.parent_span_id == attempt.span_id
        assert load.parent_span_id == score.parent_span_id == cell.span_id
        assert {step.parent_span_id for step in steps} == {load.span_id}
        for outer, inner in ((router, attempt), (attempt, cell), (cell, load), (cell, score), (load, score)):
            assert outer.start_time_unix_nano <= inner.start_time_unix_nano
            assert outer is load or inner.end_time_unix_nano <= outer.end_time_unix_nano
        assert attributes(router) == {"croupier.tenant": TENANT.name, "croupier.request_id": "my-request"}
        assert attributes(attempt)["croupier.cell"] in stack.processes
        # The model is here now.
        with tracer.start_as_current_span("caller") as again:
            client.predict(MODEL, [1.0, 2.0])
        trace = again.get_span_context().trace_id
        wait_until(lambda: len(spans_of(kept, trace)) == 5, "the spans of a hot one", 20.0)
        assert "croupier-cell load" not in spans_of(kept, trace)


def test_a_prediction_that_waits_for_company_and_a_thread(traced: tuple[Stack, Collector]) -> None:
    stack, kept = traced
    wine = train_wine()
    publish(stack, "vintner", "wine", wine.artifact)
    tracer = TracerProvider().get_tracer("caller")
    with Client(stack.router, tenant="vintner") as client:
        wait_until(lambda: client.predict("wine", wine.rows[0]).version == 1, "it is served")
        with tracer.start_as_current_span("caller") as caller:
            client.predict("wine", wine.rows[0])
    trace_id = caller.get_span_context().trace_id
    # The router's with its two, the cell's, and what the cell did.
    wait_until(lambda: len(spans_of(kept, trace_id)) == 6, "all spans are sent", 20.0)
    found = spans_of(kept, trace_id)
    (cell,) = found["croupier-cell croupier.prediction.v1.PredictionService/Predict"]
    (batch,), (score,) = found["croupier-cell batch"], found["croupier-cell score"]
    assert batch.parent_span_id == cell.span_id
    assert score.parent_span_id == batch.span_id
    assert (attributes(batch)["rows"], attributes(score)["rows"]) == (1, 1)


def test_a_publication_from_its_caller_to_the_cells(traced: tuple[Stack, Collector]) -> None:
    stack, kept = traced
    tenant = Tenant("published", 5)
    tracer = TracerProvider().get_tracer("caller")
    with tracer.start_as_current_span("pipeline") as caller:
        publish(stack, tenant.name, MODEL, tenant.artifact)
    context = caller.get_span_context()
    method, warm = "croupier.versions.v1.VersionManager/Publish", "croupier.cell.v1.Cell/Warm"

    def all_is_sent() -> bool:
        told = spans_of(kept, context.trace_id)
        cells = told.get(f"croupier-cell {warm}", [])
        return f"croupier-version-manager {method}" in told and len(cells) == 2

    wait_until(all_is_sent, "all spans are sent", 20.0)
    found = spans_of(kept, context.trace_id)
    (publishing,) = found[f"croupier-version-manager {method}"]
    assert publishing.parent_span_id == context.span_id.to_bytes(8)
    assert attributes(publishing)["croupier.request_id"]
    (check,), (store,) = (found[f"croupier-version-manager {name}"] for name in ("check", "store"))
    commits, (warming,) = found["croupier-version-manager commit"], found["croupier-version-manager warm"]
    # Of the version, and of the release.
    assert len(commits) == 2
    for step in (check, store, *commits, warming):
        assert step.parent_span_id == publishing.span_id
        assert publishing.start_time_unix_nano <= step.start_time_unix_nano
        assert step.end_time_unix_nano <= publishing.end_time_unix_nano
    writes, follows = (found[f"croupier-version-manager {name}"] for name in ("etcd Txn", "follow"))
    of_commits = sorted(commit.span_id for commit in commits)
    assert sorted(one.parent_span_id for one in writes) == of_commits
    assert sorted(one.parent_span_id for one in follows) == of_commits
    asked, served = found["croupier-version-manager warm cell"], found[f"croupier-cell {warm}"]
    assert {one.parent_span_id for one in asked} == {warming.span_id}
    assert sorted(one.parent_span_id for one in served) == sorted(one.span_id for one in asked)
    loads = found["croupier-cell load"]
    assert sorted(one.parent_span_id for one in loads) == sorted(one.span_id for one in served)
    assert {one.parent_span_id for one in found["croupier-cell build"]} == {one.span_id for one in loads}
    # Nothing hangs in the air.
    known = {span.span_id for spans in found.values() for span in spans} | {context.span_id.to_bytes(8)}
    assert {span.parent_span_id for spans in found.values() for span in spans} <= known


def test_a_map_change_is_traced(traced: tuple[Stack, Collector]) -> None:
    stack, kept = traced
    tracer = TracerProvider().get_tracer("caller")
    with tracer.start_as_current_span("operator") as caller:
        with_manager(stack, lambda manager: manager.repair())
        generation = with_manager(stack, lambda manager: manager.get_generation())
        with_manager(stack, lambda manager: manager.reseed_shards(generation.number, "a test"))
    trace_id = caller.get_span_context().trace_id
    manager = "croupier-version-manager croupier.versions.v1.VersionManager/"
    wait_until(lambda: f"{manager}ReseedShards" in spans_of(kept, trace_id), "all spans are sent", 20.0)
    found = spans_of(kept, trace_id)
    ((reseed,), (repair,)) = (found[f"{manager}{name}"] for name in ("ReseedShards", "Repair"))
    (commit,), (find,) = (found[f"croupier-version-manager {name}"] for name in ("commit", "find"))
    assert commit.parent_span_id == reseed.span_id
    assert find.parent_span_id == repair.span_id


def test_who_is_not_sampled_leaves_no_span(traced: tuple[Stack, Collector]) -> None:
    stack, kept = traced
    with Client(stack.router, tenant="untraced") as client:
        revision = release_cold(stack, Tenant("untraced", 4))
        before = len(kept.spans)
        client.predict(MODEL, [1.0, 2.0], min_revision=revision)
        with pytest.raises(NotFound):
            client.predict("nosuch", [1.0])
    seen = len(kept.metrics)
    wait_until(lambda: len(kept.metrics) >= seen + 6, "metrics go on", 20.0)
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
        wait_until(lambda service=service, name=name: name in kept.latest(service), name, 20.0)
