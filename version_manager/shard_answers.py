"""What operators are told of the shard map beside its content: how far a ramp is, and what was before."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from protos.versions.v1 import versions_pb2 as pb
from sharding.changes import changes
from sharding.generation import Generation
from version_manager.map.records import Active

# Of one generation.
_MOST_CHANGES = 20
_MOST_OF_A_CHANGE = 200


def ramp_to_pb(pointer: Active) -> pb.Ramp:
    return pb.Ramp(
        active=pointer.active,
        previous=pointer.previous,
        basis_points=pointer.ramp,
        seconds=pointer.seconds,
        paused=pointer.paused,
        author=pointer.author,
        reason=pointer.reason,
        at=pointer.at,
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
