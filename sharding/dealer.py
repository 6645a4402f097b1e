"""Deals hands: which few cells serve a tenant, in a generation.

For every tenant, every cell has a score (`hashing.score`) from the hash of the two names and the
cell's weight; small is good. Inside a zone, cells are ranked by score. Dealing goes in rounds: round r
takes the r-th best cell of each zone, so a hand spans as many zones as it can. The hand of size k is
the first k cells so dealt: hands of one tenant nest.

**The order of zones inside a round** is the order of the scores of the cells they put up. It only
matters when a hand ends in the middle of a round, and then zones must take turns in proportion to
their weight. The least of several exponential variates is one whose rate is the sum of theirs, so
"the zone whose best cell scores best" is weighted by the zone's total weight with nothing to add up.
A separate score for a zone under its total weight would order zones as fairly, but then a new weight
or a lost cell would change that total and move tenants from one of the zone's *other* cells.
As it is, for every size of hand:

- removing a cell moves exactly the slots that were on it: one cell leaves each hand that held it,
  one enters, no other hand changes;
- adding a cell or raising its weight moves slots to that cell only.

**A draining seat** is dealt to nobody, exactly as if it had no seat: ranks close up behind it inside its
zone. So draining moves the slots on the cell, taking the seat away later moves nothing more, and
calling the drain off restores every hand as it was. (If instead a draining seat used up its turn, a
hand would lose that zone, and get it back by a second move once the seat goes.) Its place is kept in
that overrides may go on naming it.

**Overrides.** Pins are the hand: their number is its size. A draining pin is passed over and its
place is dealt. Excluded cells are not dealt; a pin outranks an exclusion. With neither pins nor a size of
its own, a tenant gets the generation's size. An isolation group stands in for the tenant's name in the hash:
tenants of one group share one ranking, and a group named as a tenant shares that tenant's.

Health appears nowhere here, and must not: a hand that replaced crashed cells would let one poison
tenant walk through the fleet. Only a generation changes hands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import islice

from sharding.generation import Generation, Override
from sharding.hashing import key64, pair64, score

CACHED_HANDS = 2**17

_NO_OVERRIDE = Override()


class SizeRule(StrEnum):
    """What decided the size of a hand, strongest first."""

    PINS = "pins"
    TENANT = "tenant"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Place:
    """A cell in a hand. `round` counts from 1; a pinned cell has round 0 and score 0."""

    cell: str
    zone: str
    round: int
    score: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a tenant's hand is what it is.

    `dealt_as` is the name that was hashed: the tenant, or its isolation group. `size` is what was
    asked for; a hand is smaller when there are not as many cells. `zones` are in the order of the
    first round; `draining` are the pins that were passed over; `excluded` are the cells that the
    override kept out.
    """

    tenant: str
    dealt_as: str
    generation: int
    size: int
    size_rule: SizeRule
    places: tuple[Place, ...]
    zones: tuple[str, ...]
    pinned: tuple[str, ...]
    draining: tuple[str, ...]
    excluded: tuple[str, ...]

    @property
    def hand(self) -> tuple[str, ...]:
        """The cells in the order of the deal."""
        return tuple(place.cell for place in self.places)


@dataclass(frozen=True, slots=True)
class _Zone:
    """The dealt seats of a zone: (key of the cell, weight, cell)."""

    name: str
    seats: tuple[tuple[bytes, float, str], ...]


class Dealer:
    """Deals from one generation, which `check_generation` has passed; never changes.

    The last `cached` hands are kept. Dealing one anew takes one 16-byte hash, one logarithm and a share of
    a sort for each cell (docs/benchmarks.md, `placement`); looking it up takes next to nothing.
    """

    def __init__(self, generation: Generation, *, cached: int = CACHED_HANDS) -> None:
        self.generation = generation
        zones: dict[str, list[tuple[bytes, float, str]]] = {}
        for seat in generation.seats:
            if not seat.draining:
                key = key64("cell", seat.cell, seed=generation.seed)
                zones.setdefault(seat.zone, []).append((key, seat.weight, seat.cell))
        self._zones = tuple(_Zone(name, tuple(seats)) for name, seats in zones.items())
        self._zone_of = {cell: zone.name for zone in self._zones for _, _, cell in zone.seats}
        self._cached = lru_cache(maxsize=cached)(self._deal)

    def hand(self, tenant: str) -> tuple[str, ...]:
        """The tenant's cells in the order of the deal."""
        return self._cached(tenant)

    def explain(self, tenant: str) -> Explanation:
        """The tenant's hand with the rules that made it so."""
        override = self._override(tenant)
        dealt_as = override.isolation_group or tenant
        size, rule = self._size(override)
        return Explanation(
            tenant=tenant,
            dealt_as=dealt_as,
            generation=self.generation.number,
            size=size,
            size_rule=rule,
            places=tuple(self._places(tenant)),
            zones=tuple(p.zone for p in self._rounds(dealt_as, override.excludes) if p.round == 1),
            pinned=self._pins(override),
            draining=tuple(pin for pin in override.pins if pin not in self._zone_of),
            excluded=tuple(cell for cell in override.excludes if cell not in override.pins),
        )

    def _deal(self, tenant: str) -> tuple[str, ...]:
        return tuple([place.cell for place in self._places(tenant)])

    def _places(self, tenant: str) -> list[Place]:
        override = self._override(tenant)
        size, _ = self._size(override)
        pins = self._pins(override)
        places = [Place(cell, self._zone_of[cell], 0, 0.0) for cell in pins]
        if len(places) < size:
            kept_out = {*override.excludes, *pins}
            dealt = self._rounds(override.isolation_group or tenant, kept_out)
            places.extend(islice(dealt, size - len(places)))
        return places

    def _override(self, tenant: str) -> Override:
        return self.generation.overrides.get(tenant, _NO_OVERRIDE)

    def _size(self, override: Override) -> tuple[int, SizeRule]:
        if override.pins:
            return len(dict.fromkeys(override.pins)), SizeRule.PINS
        if override.hand_size:
            return override.hand_size, SizeRule.TENANT
        return self.generation.hand_size, SizeRule.DEFAULT

    def _pins(self, override: Override) -> tuple[str, ...]:
        return tuple(dict.fromkeys(pin for pin in override.pins if pin in self._zone_of))

    def _rounds(self, name: str, kept_out: Collection[str]) -> Iterator[Place]:
        """Every cell that may be dealt, round by round."""
        key = key64("tenant", name, seed=self.generation.seed)
        ranked = []
        for zone in self._zones:
            # The cell's name settles a tie of scores, the same everywhere.
            seats = [(score(pair64(key, k), weight), cell) for k, weight, cell in zone.seats]
            if kept_out:
                seats = [seat for seat in seats if seat[1] not in kept_out]
            seats.sort()
            ranked.append((zone.name, seats))
        for index in range(max((len(seats) for _, seats in ranked), default=0)):
            turn = sorted((*seats[index], name) for name, seats in ranked if index < len(seats))
            for points, cell, zone_name in turn:
                yield Place(cell, zone_name, index + 1, points)
