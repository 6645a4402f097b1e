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

**Dedicated seats.** A seat that is dedicated to a tenant, or to an isolation group, is dealt to nobody else:
for all others it is exactly as if there were no seat, so dedicating one moves what draining it would. Who
has dedicated seats is dealt these alone, by all rules of this page, and all of them, unless it has a size of
its own.

**Overrides.** Pins are the hand: their number is its size. A draining pin is passed over and its
place is dealt. Excluded cells are not dealt; a pin outranks an exclusion. Without pins or a size of its own,
a tenant gets all its dedicated seats, and if it has none, the generation's size. An isolation group stands in
for the tenant's name in the hash: tenants of one group share one ranking, and the group's dedicated seats; a
group named as a tenant shares that tenant's. Who has dedicated seats under its own name keeps to these.

**Sizes** are numbers, or shares of the cells that may be dealt: active seats, and dedicated ones for their
owner alone. What a tenant excludes still counts.

Health appears nowhere here, and must not: a hand that replaced crashed cells would let one poison
tenant walk through the fleet. Only a generation changes hands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import islice

from sharding.generation import NO_OVERRIDE, Generation, Override, Seat, dealt_as, size_of
from sharding.hashing import key64, pair64, score
from sharding.pool import Pool

CACHED_HANDS = 2**17


class SizeRule(StrEnum):
    """What decided the size of a hand, strongest first."""

    PINS = "pins"
    TENANT = "tenant"
    DEDICATED = "dedicated"
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

    `dealt_as` is the name that was hashed: the tenant, or its isolation group. `dedicated` is that name again
    if dedicated seats are dealt to it, else empty. `size` is what was asked for; a hand is smaller when
    there are not as many cells. `zones` are in the order of the first round; `draining` are the pins that
    were passed over; `excluded` are the cells that the override kept out.
    """

    tenant: str
    dealt_as: str
    dedicated: str
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


@dataclass(frozen=True, slots=True)
class _Pool:
    """What is dealt to one owner of dedicated seats, or, with the name "", to all who have none.

    `native` deals it, `zones` are for explanations; `index` is where the native one has a cell.
    """

    owner: str
    zones: tuple[_Zone, ...]
    native: Pool
    index: Mapping[str, int]

    @property
    def cells(self) -> int:
        return self.native.size


def _pool(owner: str, seats: list[Seat], seed: int) -> _Pool:
    zones: dict[str, list[tuple[bytes, float, str]]] = {}
    # By name, which settles ties.
    for seat in sorted(seats, key=lambda seat: seat.cell):
        key = key64("cell", seat.cell, seed=seed)
        zones.setdefault(seat.zone, []).append((key, seat.weight, seat.cell))
    cells = tuple(sorted(seat.cell for seat in seats))
    index = {cell: number for number, cell in enumerate(cells)}
    native = [[(key, weight, index[cell]) for key, weight, cell in found] for found in zones.values()]
    named = tuple(_Zone(name, tuple(found)) for name, found in zones.items())
    return _Pool(owner, named, Pool(cells, native), index)


class Dealer:
    """Deals from one generation, which `check_generation` has passed; never changes.

    Hands are dealt natively (`pool`), and the last `cached` are kept; what explains one deals it in Python.
    """

    def __init__(self, generation: Generation, *, cached: int = CACHED_HANDS) -> None:
        self.generation = generation
        self._owners = generation.owners()
        self._pools = {
            owner: _pool(owner, seats, generation.seed) for owner, seats in generation.pools().items()
        }
        self._zone_of = {seat.cell: seat.zone for seat in generation.seats if not seat.draining}
        self._cached = lru_cache(maxsize=cached)(self._deal)

    def hand(self, tenant: str) -> tuple[str, ...]:
        """The tenant's cells in the order of the deal."""
        return self._cached(tenant)

    @property
    def plain(self) -> tuple[Pool, int]:
        """What is dealt to tenants without rules of their own, and how many cells of it each of them has."""
        pool = self._pools[""]
        return pool.native, min(size_of(self.generation.hand_size, pool.cells), pool.cells)

    def explain(self, tenant: str) -> Explanation:
        """The tenant's hand with the rules that made it so."""
        override = self._override(tenant)
        name, pool = self._dealt(tenant, override)
        size, rule = self._size(override, pool)
        return Explanation(
            tenant=tenant,
            dealt_as=name,
            dedicated=pool.owner,
            generation=self.generation.number,
            size=size,
            size_rule=rule,
            places=tuple(self._places(tenant)),
            zones=tuple(p.zone for p in self._rounds(name, pool, override.excludes) if p.round == 1),
            pinned=self._pins(override),
            draining=tuple(pin for pin in override.pins if pin not in self._zone_of),
            excluded=tuple(cell for cell in override.excludes if cell not in override.pins),
        )

    def _deal(self, tenant: str) -> tuple[str, ...]:
        override = self._override(tenant)
        name, pool = self._dealt(tenant, override)
        size = min(self._size(override, pool)[0], len(self._zone_of))
        key = key64("tenant", name, seed=self.generation.seed)
        if not override.pins and not override.excludes:
            return pool.native.deal(key, size)
        pins = self._pins(override)
        kept_out = {*override.excludes, *pins} & pool.index.keys()
        return pins + pool.native.deal(key, size - len(pins), tuple(pool.index[cell] for cell in kept_out))

    def _places(self, tenant: str) -> list[Place]:
        override = self._override(tenant)
        name, pool = self._dealt(tenant, override)
        size, _ = self._size(override, pool)
        pins = self._pins(override)
        places = [Place(cell, self._zone_of[cell], 0, 0.0) for cell in pins]
        if len(places) < size:
            kept_out = {*override.excludes, *pins}
            dealt = self._rounds(name, pool, kept_out)
            places.extend(islice(dealt, size - len(places)))
        return places

    def _override(self, tenant: str) -> Override:
        return self.generation.overrides.get(tenant, NO_OVERRIDE)

    def _dealt(self, tenant: str, override: Override) -> tuple[str, _Pool]:
        """The name that the tenant is dealt by, and from what."""
        name = dealt_as(tenant, override, self._owners)
        return name, self._pools.get(name) or self._pools[""]

    def _size(self, override: Override, pool: _Pool) -> tuple[int, SizeRule]:
        if override.pins:
            return len(dict.fromkeys(override.pins)), SizeRule.PINS
        if override.hand_size:
            return size_of(override.hand_size, pool.cells), SizeRule.TENANT
        if pool.owner:
            return pool.cells, SizeRule.DEDICATED
        return size_of(self.generation.hand_size, pool.cells), SizeRule.DEFAULT

    def _pins(self, override: Override) -> tuple[str, ...]:
        return tuple(dict.fromkeys(pin for pin in override.pins if pin in self._zone_of))

    def _rounds(self, name: str, pool: _Pool, kept_out: Collection[str]) -> Iterator[Place]:
        """Every cell that may be dealt, round by round."""
        key = key64("tenant", name, seed=self.generation.seed)
        ranked = []
        for zone in pool.zones:
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
