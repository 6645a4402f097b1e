"""Where a model of a tenant may be asked for: the tenant's hand, in this model's order.

The hand comes from the current generation, and behind it stand the previous generation's cells: while
a shard map takes over, models are still resident where the previous one put them. For a tenant that its ramp
has not come to, it is the other way round. Pure, and blind to health: see `pick.py` for which of these cells
is asked now.
"""

from __future__ import annotations

from dataclasses import dataclass

from xxhash import xxh3_128_digest

from croupier.errors import Unavailable
from router.envelope import owner_field
from router.view import KnownCell, View
from sharding.hashing import hash64
from sharding.placement import cells_for
from sharding.ramp import which


@dataclass(frozen=True, slots=True)
class Deal:
    """What the routes of a tenant have alike.

    `owner` tells cells whose a request is, as a field; `generation` deals, 0: none. With the same `basis`
    they have the same cells, whichever generation dealt these.
    """

    owner: bytes = b""
    generation: int = 0
    basis: bytes = b""


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


def deal(view: View, tenant: str) -> Deal:
    """What is dealt to the tenant now; nothing without a map."""
    if view.current is None:
        return Deal()
    dealer = which(view.current, view.previous, view.ramp, tenant)
    other = view.previous if dealer is view.current else view.current
    hand = sorted(dealer.hand(tenant))
    behind = sorted({*other.hand(tenant)}.difference(hand)) if other is not None else []
    owner = owner_of(view, tenant)
    # What of a cell has a say in where it stands in an order: see `pick`. Its address is not of that kind.
    stand = [_stand(view.cells.get(cell)) for cell in (*hand, *behind)]
    told = repr((owner, dealer.generation.seed, hand, behind, stand))
    return Deal(owner, dealer.generation.number, xxh3_128_digest(told.encode()))


def _stand(known: KnownCell | None) -> tuple[str, bool, int] | None:
    return None if known is None else (known.cell.state.value, known.departed, known.cell.protocol)


def owner_of(view: View, tenant: str) -> bytes:
    """The field that tells a cell whose a request is: a number that only this deployment makes of the tenant.

    Raises:
        NoShardMap: there is no seed.
    """
    if view.current is None:
        raise NoShardMap("no shard map is active yet", retry_after=1.0)
    # 0 stands for nobody.
    return owner_field(hash64("owner", tenant, seed=view.current.generation.seed) or 1)
