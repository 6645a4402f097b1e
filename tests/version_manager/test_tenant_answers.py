"""What is answered of a tenant's records."""

import math

import pytest
from support.records import KEYS, FakeEtcd, model_keys

from protos.versions.v1 import versions_pb2 as pb
from version_manager import tenant_answers
from version_manager.cells.usage import CellUsage, Used
from version_manager.map.mirror import Mirror
from version_manager.map.records import encode
from version_manager.model.limits import UNLIMITED, Limits
from version_manager.model.residency import ResidencyRule
from version_manager.rates import Rates
from version_manager.writes.limits import Why


@pytest.fixture
def mirror() -> Mirror:
    mirror = Mirror(None, KEYS)  # type: ignore[arg-type]
    limits = {KEYS.limits("acme"): encode(Limits(rate=5)), KEYS.limits(): encode(Limits(rows=9))}
    mirror.take(FakeEtcd(model_keys("acme", "churn") | limits).listed())
    return mirror


def test_limits_are_told_as_they_would_hold(mirror: Mirror) -> None:
    own = Limits(rate=UNLIMITED)
    told = tenant_answers.limits_to_pb("acme", own, 7, mirror.map, Rates())
    assert told == pb.KeptLimits(
        tenant="acme", limits=pb.Limits(rate=math.inf), default_limits=pb.Limits(rows=9), revision=7
    )
    told = tenant_answers.limits_to_pb("", Limits(in_flight=3), 7, mirror.map, Rates())
    assert told.default_limits == told.limits == pb.Limits(in_flight=3)
    told = tenant_answers.limits_to_pb("acne", Limits(in_flight=3), 7, mirror.map, Rates())
    assert list(told.warnings) == ["there is no tenant acne: none has a model here"]


def test_what_a_change_is_for_is_read() -> None:
    request = pb.SetLimitsRequest(reason="they pay", author="ann", dry_run=True)
    assert tenant_answers.why_from_pb(request) == Why("they pay", "ann", dry_run=True)


def test_what_is_kept_is_told_with_what_is_doubtful(mirror: Mirror) -> None:
    told = tenant_answers.residency_to_pb("acne", ResidencyRule(5), 7, mirror.map)
    assert (told.floor_bytes, told.revision, len(told.warnings)) == (5, 7, 1)


def test_use_is_told_by_cell_and_version() -> None:
    told = tenant_answers.usage_to_pb(CellUsage("cell-1", {3: Used(5, 0.5)}))
    assert told == pb.CellUsage(
        cell="cell-1", versions=[pb.VersionUsage(version=3, requests=5, idle_seconds=0.5)]
    )
