"""Who shares how many cells with the poisoned hand: dealt by the real dealer, and by the formula. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from sharding.dealer import Dealer
from sharding.generation import size_of
from sharding.overlap import shared_with
from sharding.placement import order

# Names that are looked at for one whose hand makes a picture.
_NAMES = 1_000


@dataclass(frozen=True, slots=True)
class Sharing:
    """`shared` has, for each of the others, how many cells its hand has in common with the poison's."""

    poison: str
    hand: tuple[str, ...]
    shared: dict[str, int]
    expected: tuple[float, ...]

    @property
    def tenants(self) -> list[int]:
        """How many share 0, 1, … cells."""
        found = Counter(self.shared.values())
        return [found[cells] for cells in range(len(self.hand) + 1)]


def choose(dealer: Dealer, tenants: Sequence[str]) -> Sharing:
    """Poison the first hand that somebody shares whole and somebody shares nothing of.

    Where there is none, as with a handful of tenants, it is the one with the most of both.
    """
    hands = [set(dealer.hand(tenant)) for tenant in tenants]

    def picture(name: str) -> tuple[bool, bool]:
        hand = set(dealer.hand(name))
        return any(hand == other for other in hands), any(hand.isdisjoint(other) for other in hands)

    best = max((f"poison-{number}" for number in range(_NAMES)), key=picture)
    return sharing(dealer, best, tenants)


def sharing(dealer: Dealer, poison: str, tenants: Sequence[str]) -> Sharing:
    hand = dealer.hand(poison)
    shared = {tenant: len(set(hand).intersection(dealer.hand(tenant))) for tenant in tenants}
    seats = dealer.generation.seats
    zone_of = {seat.cell: seat.zone for seat in seats}
    zones = Counter(zone_of.values())
    held = Counter(zone_of[cell] for cell in hand)
    size = size_of(dealer.generation.hand_size, len(seats))
    chances = shared_with([held[zone] for zone in zones], list(zones.values()), size)
    return Sharing(poison, hand, shared, tuple(map(float, chances)))


def first_cell(dealer: Dealer, tenant: str, model: str) -> str:
    """The cell that is asked for the model while nothing is broken."""
    return order(dealer.hand(tenant), tenant, model, dealer.generation.seed)[0]


def name_for(dealer: Dealer, tenant: str, cell: str, prefix: str) -> str:
    """A name for a model that `cell`, of the tenant's hand, is asked for first."""
    names = (f"{prefix}-{number}" for number in count())
    return next(name for name in names if first_cell(dealer, tenant, name) == cell)
