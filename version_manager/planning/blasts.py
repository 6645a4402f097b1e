"""Who is hurt when cells break: what `sharding.blast` counts and expects, as a message."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

# Imported when it is first asked for otherwise, and nothing else goes on meanwhile.
from numpy.random import default_rng

from protos.versions.v1 import versions_pb2 as pb
from sharding.blast import blast, chances, poison
from sharding.generation import Generation
from sharding.plan import balance_of
from sharding.population import Hands, Indices, Loads
from version_manager.planning.population import Members

TRIALS = 100
MOST_TENANTS = 100
# Any number: who asks twice is told the same.
_DRAWN_BY = 14


def of_cells(
    generation: Generation,
    members: Members,
    hands: Hands,
    rates: Loads | None,
    cells: Collection[str],
    but: int = -1,
) -> pb.Blast:
    """When `cells` break, which is no harm to tenant number `but`."""
    found = blast(hands, cells, () if but < 0 else (but,))
    odds = chances(generation, cells)
    left = dict(zip(found.partial.tolist(), found.left.tolist(), strict=True)) if len(found.partial) else {}
    message = _begun(generation, members, hands, rates)
    message.cells.extend(found.cells)
    message.whole, message.partial = len(found.whole), len(found.partial)
    message.whole_tenants.extend(members.names[t] for t in heaviest(found.whole, rates, MOST_TENANTS))
    for tenant in heaviest(found.partial, rates, MOST_TENANTS):
        message.partial_tenants.add(tenant=members.names[tenant], left=left[tenant])
    message.overlap.extend(found.shared)
    expected = [found.tenants * float(chance) for chance in odds]
    message.expected_overlap.extend(expected)
    message.expected_whole, message.expected_partial = expected[-1], sum(expected[1:-1])
    return message


def of_poison(
    generation: Generation, members: Members, hands: Hands, rates: Loads | None, count: int
) -> pb.Blast:
    """When `count` tenants break what serves them, over so many `TRIALS`."""
    found = poison(hands, generation, count, TRIALS, default_rng(_DRAWN_BY))
    message = _begun(generation, members, hands, rates)
    message.whole, message.partial = float(found.whole.mean()), float(found.partial.mean())
    message.expected_whole, message.expected_partial = found.expected_whole, found.expected_partial
    message.worst_whole, message.worst_partial = int(found.whole.max()), int(found.partial.max())
    return message


def heaviest(tenants: Indices, rates: Loads | None, most: int) -> list[int]:
    """The first `most` of some tenants by their rates; of equals in the order in which they stand."""
    if rates is not None:
        tenants = tenants[np.argsort(-rates[tenants], kind="stable")]
    first: list[int] = tenants[:most].tolist()
    return first


def _begun(generation: Generation, members: Members, hands: Hands, rates: Loads | None) -> pb.Blast:
    loads = balance_of(hands, generation, rates).loads.tolist()
    return pb.Blast(
        generation=generation.number,
        tenants=len(members),
        loads=[
            pb.CellLoad(cell=cell, slots=slots, load=load)
            for cell, slots, load in zip(hands.cells, hands.count().tolist(), loads, strict=True)
        ],
        by_rates=rates is not None,
    )
