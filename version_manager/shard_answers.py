"""What operators are told of the map beside its content: how far a ramp is, what was, and why it stands."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from protos.versions.v1 import versions_pb2 as pb
from sharding.changes import changes
from sharding.generation import Generation
from version_manager.cells.handover import Progress
from version_manager.map.records import Active
from version_manager.writes.thawing import Freeze

# Of one generation.
_MOST_CHANGES = 20
_MOST_OF_A_CHANGE = 200


def ramp_to_pb(pointer: Active, progress: Progress | None = None) -> pb.Ramp:
    """`progress`: how far cells have loaded what they will be asked for, if that is known."""
    return pb.Ramp(
        active=pointer.active,
        previous=pointer.previous,
        basis_points=pointer.ramp,
        seconds=pointer.seconds,
        paused=pointer.paused,
        author=pointer.author,
        reason=pointer.reason,
        at=pointer.at,
        warmed=progress.warmed if progress else 0,
        to_warm=progress.to_warm if progress else 0,
    )


def history(archive: Mapping[int, Generation]) -> pb.ShardHistory:
    """The generations in `archive`, the latest first. Compares them all: not for the event loop."""
    found = [archive[number] for number in sorted(archive)]
    told = [_past(before, after) for before, after in pairwise([None, *found]) if after is not None]
    return pb.ShardHistory(generations=reversed(told))


def _past(before: Generation | None, generation: Generation) -> pb.PastGeneration:
    lines = changes(before, generation) if before is not None else []
    return pb.PastGeneration(
        number=generation.number,
        at=generation.at,
        author=generation.author,
        reason=generation.reason,
        seats=len(generation.seats),
        overrides=len(generation.overrides),
        changes=[line[:_MOST_OF_A_CHANGE] for line in lines[:_MOST_CHANGES]],
        changes_total=len(lines),
    )


def freeze_to_pb(freeze: Freeze) -> pb.Freeze:
    lost, missing, older = freeze.counts
    return pb.Freeze(
        frozen=bool(freeze.why),
        why=freeze.why,
        lost_models=lost,
        missing_keys=missing,
        older_keys=older,
        models=[pb.ModelKey(tenant=tenant, name=name) for tenant, name in freeze.models],
        missing=map(printable, freeze.missing),
        older=map(printable, freeze.older),
        cluster=f"{freeze.cluster_id:016x}",
        revision=freeze.revision,
    )


def printable(key: str) -> str:
    """A key in etcd may have bytes that are no text."""
    return key.encode("utf-8", "backslashreplace").decode()
