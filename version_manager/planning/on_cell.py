"""The tenants that have a cell in their hand, as a message."""

from __future__ import annotations

import numpy as np

from protos.versions.v1 import versions_pb2 as pb
from sharding.population import Hands, Loads
from version_manager.model.catalog import Catalog
from version_manager.planning.blasts import heaviest
from version_manager.planning.population import Members
from version_manager.rates import Asked


def tenants_of(
    cell: str, catalog: Catalog, members: Members, hands: Hands, rates: Loads | None, asked: Asked, top: int
) -> pb.ListCellTenantsResponse:
    """The first `top` of them, the heaviest first, and how many there are."""
    marks = np.array(hands.cells) == cell
    found = np.flatnonzero(hands.marked(marks))
    answer = pb.ListCellTenantsResponse(tenants_total=len(found))
    for tenant in heaviest(found, rates, top):
        name, hand = members.names[tenant], hands.hand(tenant)
        answer.tenants.add(
            tenant=name,
            place=hand.index(cell) + 1,
            size=len(hand),
            models=catalog.count(name),
            rate=asked.tenants.get(name),
        )
    return answer
