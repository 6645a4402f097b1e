"""Where a model of a tenant may be asked for: the tenant's hand, in this model's order.

The hand comes from the current generation, and behind it stand the previous generation's cells: while
a shard map takes over, models are still resident where the previous one put them. For a tenant that its ramp
has not come to, it is the other way round. Pure, and blind to health: see `pick.py` for which of these cells
is asked now.
"""

from __future__ import annotations

from croupier.errors import Unavailable
from router.envelope import owner_field
from router.view import View
from sharding.hashing import hash64
from sharding.placement import cells_for
from sharding.ramp import point, which

# Where all stand while nothing takes over: the ramp has always come to them.
NOWHERE = -1


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
    return cells_for(view.current, view.previous, tenant, model, view.ramp)


def point_of(view: View, tenant: str) -> int:
    """Where the tenant stands on the ramp of `view`, whose newer generation deals to those below the ramp.

    All of a view's routes for one tenant agree on it, so that a tenant is dealt to by one generation.
    """
    if view.current is None or view.previous is None:
        return NOWHERE
    return point(view.current.generation, tenant)


def dealt_by(view: View, tenant: str) -> int:
    """The number of the generation that deals to the tenant; 0: there is none."""
    if view.current is None:
        return 0
    return which(view.current, view.previous, view.ramp, tenant).generation.number


def hand_of(view: View, tenant: str) -> tuple[str, ...]:
    """The cells that the tenant is dealt now, without those of the other generation; none without a map."""
    if view.current is None:
        return ()
    return which(view.current, view.previous, view.ramp, tenant).hand(tenant)


def owner_of(view: View, tenant: str) -> bytes:
    """The field that tells a cell whose a request is: a number that only this deployment makes of the tenant.

    Raises:
        NoShardMap: there is no seed.
    """
    if view.current is None:
        raise NoShardMap("no shard map is active yet", retry_after=1.0)
    # 0 stands for nobody.
    return owner_field(hash64("owner", tenant, seed=view.current.generation.seed) or 1)
