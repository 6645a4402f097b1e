"""Limits as operators set them, through real gRPC, on a real etcd."""

import json
import math

import pytest
from support.manager import artifact, older_manager
from support.waiting import eventually

from croupier.errors import Conflict, FailedPrecondition, InvalidRequest
from protos.versions.v1 import versions_pb2 as pb

KEY = "croupier/tenants/acme/limits"


def wanted(tenant="acme", reason="", author="", dry_run=False, expected=None, **limits):
    return pb.SetLimitsRequest(
        tenant=tenant,
        limits=pb.Limits(**limits),
        reason=reason,
        author=author,
        dry_run=dry_run,
        expected_revision=expected,
    )


async def test_what_is_set_is_told_kept_and_audited(fleet, client):
    await client.publish("acme", "churn", artifact())
    assert await client.get_limits("acme") == pb.KeptLimits(
        tenant="acme", limits=pb.Limits(), default_limits=pb.Limits()
    )
    default = await client.set_limits(wanted("", rate=50, rows=9))
    assert (default.tenant, default.default_limits) == ("", default.limits)
    made = await client.set_limits(wanted(rate=100, rows=math.inf, reason="they pay", author="ann"))
    assert made.limits == pb.Limits(rate=100, rows=math.inf)
    assert (made.default_limits, made.revision > 0) == (default.limits, True)
    assert await client.get_limits("acme") == made
    assert json.loads((await fleet.raw.get(KEY)).value) == {"schema": 5, "rate": 100, "rows": "none"}
    assert json.loads((await fleet.raw.get("croupier/limits")).value) == {"schema": 5, "rate": 50, "rows": 9}
    entry = json.loads((await fleet.audit())[-1])
    assert (entry["what"], entry["target"], entry["reason"]) == ("set limits", "acme", "they pay")
    assert (entry["before"], entry["limits"]["rate"], entry["author"]) == ({}, 100, "ann")
    held = (await client.get_tenant("acme")).limits
    assert held == pb.Limits(rate=100)
    other = await fleet.start_manager()
    assert await other.get_limits("acme") == made


async def test_what_says_nothing_or_the_same_is_no_change(fleet, client):
    assert (await client.set_limits(wanted())).revision == 0
    made = await client.set_limits(wanted(rate=5))
    assert await client.set_limits(wanted(rate=5, expected=made.revision)) == made
    entries = [json.loads(one) for one in await fleet.audit()]
    assert [one["what"] for one in entries] == ["set limits"]
    cleared = await client.set_limits(wanted())
    assert (cleared.limits, (await fleet.raw.get(KEY)).value) == (pb.Limits(), b"{}")


async def test_a_dry_run_writes_nothing_and_refuses_what_the_change_would_be_refused_for(fleet, client):
    would = await client.set_limits(wanted(rate=5, dry_run=True))
    assert (would.limits.rate, would.revision, len(would.warnings)) == (5, 0, 1)
    assert (await client.get_limits("acme")).limits == pb.Limits()
    with pytest.raises(Conflict):
        await client.set_limits(wanted(rate=5, dry_run=True, expected=7))
    with pytest.raises(InvalidRequest):
        await client.set_limits(wanted(rate=0, dry_run=True))
    assert not await fleet.kept()


async def test_a_change_against_another_revision_is_refused(client):
    first = await client.set_limits(wanted(rate=1, expected=0))
    for stale in (0, first.revision + 1):
        with pytest.raises(Conflict) as refused:
            await client.set_limits(wanted(rate=2, expected=stale))
        assert refused.value.reason == "STALE_LIMITS"
        assert refused.value.metadata == {"current": str(first.revision)}
    assert (await client.set_limits(wanted(rate=3))).limits.rate == 3


async def test_what_cannot_be_kept_is_refused(fleet, client):
    for request in (
        wanted("../x", rate=5),
        wanted(rate=-1),
        wanted(in_flight=1.5),
        wanted(bytes=math.nan),
        wanted(rate=5, reason="x" * 10_000),
    ):
        with pytest.raises(InvalidRequest):
            await client.set_limits(request)
    assert not await fleet.kept()


async def test_nothing_is_limited_while_a_part_would_not_keep_it(fleet, client):
    async with older_manager(fleet, 5):
        for dry_run in (False, True):
            with pytest.raises(FailedPrecondition) as refused:
                await client.set_limits(wanted(rate=5, dry_run=dry_run))
            assert refused.value.reason == "NOT_UNDERSTOOD"
    assert (await client.set_limits(wanted(rate=5))).limits.rate == 5


async def test_garbage_in_etcd_is_named_audited_and_passed_over_and_can_be_replaced(fleet, client):
    good = await client.set_limits(wanted(rate=7))
    await fleet.raw.put(KEY, b'{"schema":5,"rate":"fast"}')
    status = await client.get_status()
    while not status.bad_records:
        status = await client.get_status()
    (bad,) = status.bad_records
    assert (bad.key, bad.kind, bad.field) == (KEY, "limits", "rate")
    assert (await client.get_limits("acme")).limits == good.limits

    async def is_audited() -> bool:
        return any(json.loads(one)["who"] == "outside" for one in await fleet.audit())

    await eventually(is_audited)
    # The same as is served, and yet a change: etcd does not say it.
    made = await client.set_limits(wanted(rate=7))
    assert made.revision > good.revision
    assert json.loads((await fleet.raw.get(KEY)).value)["rate"] == 7
    assert not (await client.get_status()).bad_records


async def test_a_watcher_is_told_of_limits_and_of_their_change(fleet, client):
    await client.set_limits(wanted(rate=7))
    async for event in client.watch(0, "", protocol=6):
        if event.chunk.limits:
            assert list(event.chunk.limits) == [pb.TenantLimits(tenant="acme", limits=pb.Limits(rate=7))]
        if event.HasField("end"):
            await client.set_limits(wanted("", rows=3))
        if event.HasField("delta"):
            assert event.delta.default_limits == pb.Limits(rows=3)
            assert not event.delta.limits
            break


async def test_who_asks_for_more_than_the_limit_is_warned_of(client):
    counts = pb.Counts(requests=500, cold=300)
    key = pb.KeyCounts(tenant="acme", counts=counts)
    await client.publish("acme", "churn", artifact())
    rates = pb.Rates(incarnation=1, total=counts, keys=[key])
    await client.report_router(pb.ReportRouterRequest(report=pb.RouterReport(id="r"), rates=rates))
    told = await client.set_limits(wanted(rate=0.01, cold_loads=0.01, dry_run=True))
    assert ["requests/s now" in one or "cold answers/s now" in one for one in told.warnings] == [True, True]
    told = await client.set_limits(wanted("", rate=0.01, dry_run=True))
    assert len(told.warnings) == 1
