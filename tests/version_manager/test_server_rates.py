"""Rates through the API: who may report what, and who is told of whom."""

from types import SimpleNamespace

import pytest
from support.steps import finished

from croupier.errors import InvalidRequest
from croupier.roles import Caller, Role
from protos.versions.v1 import versions_pb2 as pb
from version_manager.rates import Rates
from version_manager.server import VersionManagerService

OF_ACME = Caller(Role.VIEWER, "v", frozenset({"acme"}))


async def test_rates_are_told_of_what_routers_report(client):
    counts = pb.Counts(requests=3, cold=1, first_bucket=20, buckets=[3])
    key = pb.KeyCounts(tenant="acme", counts=counts)
    rates, router = pb.Rates(incarnation=1, total=counts, keys=[key]), pb.RouterReport(id="r")
    await client.report_router(pb.ReportRouterRequest(report=router, rates=rates))
    before = pb.RouterReport(id="of the release before")
    await client.report_router(pb.ReportRouterRequest(report=before))
    answer = await client.get_rates(pb.GetRatesRequest())
    assert [(row.tenant, row.total.counts) for row in answer.rows] == [("acme", counts)]
    assert (answer.all.total.counts, answer.routers) == (counts, 1)
    wrong = pb.Rates(keys=[pb.KeyCounts(tenant="a/b")])
    with pytest.raises(InvalidRequest):
        await client.report_router(pb.ReportRouterRequest(report=router, rates=wrong))


@pytest.mark.parametrize(
    ("caller", "seen"),
    [(None, ["acme", "globex"]), (Caller(Role.VIEWER, "v"), ["acme", "globex"]), (OF_ACME, ["acme"])],
)
async def test_a_caller_for_some_tenants_is_told_of_their_rates_alone(caller, seen):
    rates = Rates()
    keys = [pb.KeyCounts(tenant=tenant, counts=pb.Counts(requests=1)) for tenant in ("acme", "globex")]
    finished(rates.take("r", pb.Rates(incarnation=1, keys=keys)))
    parts = SimpleNamespace(
        rates=rates,
        routers=SimpleNamespace(mark_limited=lambda rows: None),
        **dict.fromkeys(("bulk", "families", "fits", "mirror", "publisher", "releases")),
    )
    service = VersionManagerService(parts, lambda context: caller)
    answer = await service.GetRates(pb.GetRatesRequest(), None)
    assert [row.tenant for row in answer.rows] == seen
