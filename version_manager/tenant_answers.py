"""What is answered to those who ask for a tenant's records or its use, or changed them."""

from __future__ import annotations

from protos.versions.v1 import versions_pb2 as pb
from version_manager import doubts
from version_manager.cells.usage import CellUsage
from version_manager.map.image import Map
from version_manager.model import wire
from version_manager.model.limits import Limits, TenantLimits
from version_manager.model.residency import ResidencyRule
from version_manager.rates import Rates
from version_manager.writes.limits import Why


def residency_to_pb(tenant: str, residency: ResidencyRule, revision: int, served: Map) -> pb.Residency:
    message = wire.residency_to_pb(tenant, residency, revision)
    message.warnings.extend(doubts.of_residency(tenant, residency, served))
    return message


def why_from_pb(request: pb.SetLimitsRequest) -> Why:
    return Why(request.reason, request.author, request.dry_run)


def limits_to_pb(tenant: str, own: Limits, revision: int, served: Map, rates: Rates) -> pb.KeptLimits:
    """`own`, of a tenant or with none of everybody, are those that hold, or would, where it was a dry run."""
    held = served.limits.after({tenant: own}) if tenant else served.limits.after({}, own)
    return pb.KeptLimits(
        tenant=tenant,
        limits=wire.limits_to_pb(own),
        default_limits=wire.limits_to_pb(held.default),
        revision=revision,
        warnings=_warnings(tenant, held, served, rates),
    )


def _warnings(tenant: str, held: TenantLimits, served: Map, rates: Rates) -> list[str]:
    return doubts.of_limits(tenant, held, rates.used(), served)


def usage_to_pb(usage: CellUsage) -> pb.CellUsage:
    versions = [
        pb.VersionUsage(version=number, requests=used.requests, idle_seconds=used.idle_seconds)
        for number, used in usage.versions.items()
    ]
    return pb.CellUsage(cell=usage.cell, failure=usage.failure, versions=versions)
