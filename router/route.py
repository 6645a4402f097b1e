"""Where a model of a tenant may be asked for: the tenant's hand, in this model's order.

The hand comes from the current generation, and behind it stand the previous generation's cells: while
a shard map takes over, models are still resident where the previous one put them. Pure, and blind
to health: see `pick.py` for which of these cells is asked now.
"""

from __future__ import annotations

from croupier.errors import Unavailable
from router.envelope import owner_field
from router.view import View
from sharding.hashing import hash64
from sharding.placement import cells_for


class NoShardMap(Unavailable):
    """No generation is active yet. The operator's; passing."""

    reason = "NO_SHARD_MAP"


def route(view: View, tenant: str, model: str) -> tuple[str, ...]:
    """The ids of the cells that may serve the model, best first.

    Raises:
        NoShardMap: there is no hand to deal.
    """
    if view.current is None:
        raise NoShardMap("no shard map is active yet", retry_after=1.0)
    return cells_for(view.current, view.previous, tenant, model)


def owner_of(view: View, tenant: str) -> bytes:
    """The field that tells a cell whose a request is: a number that only this deployment makes of the tenant.

    Raises:
        NoShardMap: there is no seed.
    """
    if view.current is None:
        raise NoShardMap("no shard map is active yet", retry_after=1.0)
    # 0 stands for nobody.
    return owner_field(hash64("owner", tenant, seed=view.current.generation.seed) or 1)
