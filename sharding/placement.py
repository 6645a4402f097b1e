"""Which of a hand's cells should hold a model: a rendezvous order inside the hand.

Every model of a tenant has an order of its own over the same few cells, so a tenant with many models
spreads them over its whole hand, and a request that has to pass over a cell (down, overloaded)
always passes to the same next one. The order says where a model's copies belong; which of them
answers now is the router's to pick, by load and health, which change no order.

While a generation takes over from another, a model may still be resident where the previous hand
held it. `cells_for` therefore lists the current hand's cells first and the previous hand's other
cells after them: nobody has to load a model in a hurry because a map was swapped. The lookback goes
by generations, not by time: a window of time forgets the cells that left a hand by a shrink. While the new
generation is ramped up, a tenant that it does not deal to yet has it the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sharding.dealer import Dealer
from sharding.hashing import key64, pair64
from sharding.ramp import WHOLE, which


def order(hand: Sequence[str], tenant: str, model: str, seed: int = 0) -> tuple[str, ...]:
    """The cells of `hand`, the best for this model first; the order of `hand` itself has no say."""
    key = key64("model", tenant, model, seed=seed)
    ranked = sorted([(pair64(key, cell.encode()), cell) for cell in hand])
    return tuple([cell for _, cell in ranked])


def lookback(dealers: Iterable[Dealer | None], tenant: str) -> tuple[str, ...]:
    """The cells of the tenant's hands in every one of `dealers`, newest first, each cell once."""
    cells: dict[str, None] = {}
    for dealer in dealers:
        if dealer is not None:
            cells.update(dict.fromkeys(dealer.hand(tenant)))
    return tuple(cells)


def cells_for(
    current: Dealer, previous: Dealer | None, tenant: str, model: str, ramp: int = WHOLE
) -> tuple[str, ...]:
    """Where to look for a model: the hand that is dealt in the model's order, then the other hand's rest.

    The current generation deals to the tenants that `ramp` (basis points) has come to, the previous one to
    the others. `previous` is None when there was no generation before, or if it is no more looked back to.
    """
    dealer = which(current, previous, ramp, tenant)
    seed = dealer.generation.seed
    hand = dealer.hand(tenant)
    first = order(hand, tenant, model, seed)
    other = previous if dealer is current else current
    if other is None:
        return first
    rest = [cell for cell in other.hand(tenant) if cell not in hand]
    return first + order(rest, tenant, model, seed) if rest else first
