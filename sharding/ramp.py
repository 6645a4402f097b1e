"""A ramp: which of two generations deals to a tenant while one takes over from the other.

A new generation may be given a share of the tenants at first: those whose point, a hash of the tenant and of
the generation, lies below the ramp. So

- a tenant is dealt by one generation or by the other, all of its models at once, and by the same one in
  every router that has the same ramp;
- a ramp that rises takes tenants over and gives none back, and one that falls gives back those it took last;
- who comes first is other in every generation, and has nothing to do with who is dealt which cells, nor with
  the traffic splits of releases: neither hashes what this does.

Either generation's hand is looked back to from the other's (`placement.cells_for`), so nobody is ever served
outside the two.
"""

from __future__ import annotations

from sharding.dealer import Dealer
from sharding.generation import Generation
from sharding.hashing import hash64

# A ramp in basis points: the new generation deals to all.
WHOLE = 10_000


def point(generation: Generation, tenant: str) -> int:
    """Where the tenant stands on the ramp of `generation`: 0 to 9,999."""
    return hash64("ramp", tenant, str(generation.number), seed=generation.seed) % WHOLE


def which(active: Dealer, previous: Dealer | None, ramp: int, tenant: str) -> Dealer:
    """Who deals to the tenant: `active` once `ramp` (basis points) has come to it, before that `previous`."""
    if previous is None or ramp >= WHOLE or point(active.generation, tenant) < ramp:
        return active
    return previous
