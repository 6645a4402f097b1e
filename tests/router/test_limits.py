"""A whole router keeps tenants to its part of their limits, as managers tell them, and without one too."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
from support.fakes import Call, FakeManager, no_change, snapshot_path
from support.waiting import eventually
from support.worlds import MODELS, Router, World, details_of, failing, router, world

from protos.versions.v1 import versions_pb2 as pb
from router import kept_shares, reports, snapshot
from version_manager.model.limits import NO_LIMITS, Limits

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
# One request, and no other for a quarter of an hour.
ONE = Limits(rate=0.001)


async def is_refused(front: Router, model: str = "price") -> bool:
    try:
        await front.infer(model)
    except grpc.aio.AioRpcError as error:
        return bool(error.code() == EXHAUSTED and details_of(error) >= {"QuotaFailure", "RetryInfo"})
    return False


async def refused(front: Router, model: str = "price") -> None:
    """Ask until it is refused: what was told is on its way."""
    await eventually(lambda: is_refused(front, model), "a refusal")


async def test_a_limit_holds_for_its_tenant_once_it_is_told_and_no_longer_than_that() -> None:
    async with world(MODELS) as stage:
        other = Router(stage.router.channel, "", "globex")
        stage.change(no_change(limits=(("acme", ONE),)))
        await refused(stage.router)
        await other.infer("secret")
        await other.infer("secret")
        stage.change(no_change(default_limits=ONE, limits=(("acme", NO_LIMITS),)))
        await refused(other, "secret")
        stage.change(no_change(default_limits=NO_LIMITS))

        async def is_answered() -> bool:
            return not await is_refused(other, "secret")

        await eventually(is_answered, "the end of the limit")


async def test_a_router_that_starts_without_a_manager_keeps_limits(tmp_path: Path) -> None:
    path = snapshot_path(tmp_path)
    async with world(MODELS, snapshot=path) as stage:
        stage.change(no_change(limits=(("acme", ONE),)))
        await refused(stage.router)
        await eventually(lambda: path.exists() and bool(snapshot.read(path).limits.tenants), "the file")
        await stage.manager.stop()
        async with router(stage.manager.address, snapshot=path) as front:
            await refused(front)


@pytest.mark.parametrize(("share", "at_once"), [(0.5, 2), (0.75, 3), (None, 1)])
async def test_a_router_gives_its_part_and_no_more(
    monkeypatch: pytest.MonkeyPatch, share: float | None, at_once: int
) -> None:
    shares = [] if share is None else [pb.TenantShare(tenant="acme", share=share)]
    monkeypatch.setattr(FakeManager, "answer", pb.ReportRouterResponse(routers=4, shares=shares))
    monkeypatch.setattr(reports, "_PAUSE", 0.01)
    async with world(MODELS) as stage:
        stage.change(no_change(limits=(("acme", Limits(in_flight=4)),)))
        # What was told before this was heard.
        await until_told(stage)
        running = await hanging(stage, at_once)
        async with failing(EXHAUSTED):
            await stage.router.infer("price", timeout=5.0)
        for call in running:
            call.cancel()


async def until_told(stage: World) -> None:
    """Until its reports say the latest revision, and one of these was answered."""
    revision = stage.view.catalog.revision

    def is_told() -> bool:
        return sum(one.revision == revision for one in stage.manager.reports) > 1

    await eventually(is_told, "the reports")


async def hanging(stage: World, count: int, front: Router | None = None) -> list[asyncio.Task[object]]:
    """So many calls that get no answer."""
    front = stage.router if front is None else front
    asked = 0

    async def hang(call: Call) -> None:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()

    for cell in stage.cells.values():
        cell.before = hang
    calls = [asyncio.ensure_future(front.infer("price", timeout=None)) for _ in range(count)]
    await eventually(lambda: asked >= count, "the calls")
    return calls


async def test_what_is_refused_is_told_as_asked_for() -> None:
    """Parts go by that: by what was served, a router that gave much would go on to give much."""
    async with world(MODELS) as stage:
        stage.change(no_change(limits=(("acme", ONE),)))
        await refused(stage.router)
        async with failing(EXHAUSTED):
            await stage.router.infer("price")
    (last,) = (key for key in last_told(stage.manager) if key.tenant == "acme" and not key.model)
    assert last.counts.requests > last.counts.refused == 2


def last_told(manager: FakeManager) -> list[pb.KeyCounts]:
    known = {(key.tenant, key.model): key for rates in manager.rates for key in rates.keys}
    return list(known.values())


async def test_a_router_that_starts_without_a_manager_keeps_its_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = pb.ReportRouterResponse(routers=4, shares=[pb.TenantShare(tenant="acme", share=0.5)])
    monkeypatch.setattr(FakeManager, "answer", told)
    path = snapshot_path(tmp_path)
    shares = kept_shares.path_of(path)
    async with world(MODELS, snapshot=path) as stage:
        stage.change(no_change(limits=(("acme", Limits(in_flight=4)),)))
        await eventually(lambda: path.exists() and bool(snapshot.read(path).limits.tenants), "the file")
        await eventually(shares.exists, "the shares")
        await stage.manager.stop()
        async with router(stage.manager.address, snapshot=path) as front:
            running = await hanging(stage, 2, front)
            async with failing(EXHAUSTED):
                await front.infer("price", timeout=5.0)
            for call in running:
                call.cancel()
            await asyncio.gather(*running, return_exceptions=True)
