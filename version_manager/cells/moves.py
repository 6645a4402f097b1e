"""Which hot models go where before other cells are asked for them. Pure.

A model is asked for at the first cell that is awake, of its tenant's hand in the model's own order. When a
map takes over from another, or a cell leaves or comes back, that becomes another cell for some models. What
the cells that were asked hold hot, those that will be asked load first:

    moving   the models that will be asked for elsewhere, by digest
    Wanted   those of them that are hot somewhere, by the cell that is to load them
    dosed    as many as a cell has room for, tenants in turns

Nothing is loaded outside the hand that will deal. What a cell says is hot counts only for tenants in whose
hand it was, and only if it is released now, so neither a wrong list nor a model that was deleted since brings
anything into another's memory. A tenant with very many hot models gets as much of a cell's room as others
leave.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sharding.dealer import Dealer
from sharding.hashing import hash64
from sharding.placement import order
from sharding.ramp import WHOLE, which
from version_manager.model.catalog import Catalog
from version_manager.model.release import Model

# A model that several cells of a hand hold is loaded by as many of the next one, up to so many.
MOST_COPIES = 4


@dataclass(frozen=True, slots=True)
class Standing:
    """Who is asked: by which maps, and of the cells those that are `awake`."""

    active: Dealer
    awake: frozenset[str]
    previous: Dealer | None = None
    ramp: int = WHOLE

    def dealer(self, tenant: str) -> Dealer:
        return which(self.active, self.previous, self.ramp, tenant)

    def hand(self, tenant: str) -> frozenset[str]:
        """The tenant's cells that are awake."""
        return self.awake.intersection(self.dealer(tenant).hand(tenant))

    def asked(self, tenant: str, model: str) -> tuple[str, ...]:
        """The same in the order in which they are asked for a model."""
        return order([*self.hand(tenant)], tenant, model, self.dealer(tenant).generation.seed)


class Move(NamedTuple):
    """A model of `tenant` that will be asked for at others than before: at `to`, in this order.

    `at` is who was asked for it first, of the hand `before`; empty: nobody.
    """

    tenant: str
    owner: int
    size: int
    before: frozenset[str]
    at: str
    to: tuple[str, ...]


class Hot(NamedTuple):
    """A model that a cell holds, and who had it loaded, as routers number tenants; 0: nobody knows."""

    digest: bytes
    owner: int = 0


class Wanted(NamedTuple):
    """A model that a cell is to load: the lower its `rank`, the hotter."""

    digest: bytes
    tenant: str
    size: int
    rank: int


def moving(catalog: Catalog, before: Standing, after: Standing) -> dict[bytes, list[Move]]:
    """What will be asked for elsewhere, of all that is released; an artifact may be several tenants'."""
    found: defaultdict[bytes, list[Move]] = defaultdict(list)
    for models in catalog.buckets():
        by_tenant: defaultdict[str, list[Model]] = defaultdict(list)
        for model in models:
            by_tenant[model.tenant].append(model)
        for tenant, owned in by_tenant.items():
            had, has = before.hand(tenant), after.hand(tenant)
            is_reseeded = before.active.generation.seed != after.active.generation.seed
            if has and (had != has or is_reseeded):
                _add_moves(found, tenant, owned, had, before, after)
    return dict(found)


def _add_moves(
    found: defaultdict[bytes, list[Move]],
    tenant: str,
    owned: Iterable[Model],
    had: frozenset[str],
    before: Standing,
    after: Standing,
) -> None:
    owner = hash64("owner", tenant, seed=after.active.generation.seed) or 1
    for model in owned:
        if model.release is None:
            continue
        to = after.asked(tenant, model.name)[:MOST_COPIES]
        at = next(iter(before.asked(tenant, model.name)), "")
        if to[0] == at:
            continue
        for number in model.release.versions():
            version = model.versions[number]
            found[version.artifact].append(Move(tenant, owner, version.size, had, at, to))


def wanted(
    moves: Mapping[bytes, Sequence[Move]], hot: Mapping[str, Iterable[Hot]]
) -> dict[str, list[Wanted]]:
    """Who is to load what, of what the cells of `hot` hold, each of them the hottest first."""
    holders: defaultdict[bytes, set[str]] = defaultdict(set)
    ranks: dict[tuple[bytes, Move], int] = {}
    copies: defaultdict[tuple[bytes, Move], int] = defaultdict(int)
    for cell, models in hot.items():
        for rank, (digest, owner) in enumerate(models):
            if digest not in moves or cell in holders[digest]:
                continue
            holders[digest].add(cell)
            for move in _of_owner(moves[digest], owner):
                if cell in move.before:
                    copies[digest, move] += 1
                    ranks[digest, move] = min(rank, ranks.get((digest, move), rank))
    found: defaultdict[str, dict[bytes, Wanted]] = defaultdict(dict)
    for (digest, move), rank in sorted(ranks.items(), key=lambda pair: pair[1]):
        for cell in move.to[: copies[digest, move]]:
            if cell not in holders[digest]:
                found[cell].setdefault(digest, Wanted(digest, move.tenant, move.size, rank))
    return {cell: [*models.values()] for cell, models in found.items()}


def _of_owner(moves: Sequence[Move], owner: int) -> Sequence[Move]:
    """Of an artifact of several tenants, that of the one who had it loaded, if that is known."""
    if len(moves) == 1 or not owner:
        return moves
    return [move for move in moves if move.owner == owner] or moves


def dosed(models: Iterable[Wanted], room: int) -> list[bytes]:
    """The artifacts that `room` bytes hold, in the order in which to load them.

    Every tenant's hottest comes first, then every tenant's second, and so on: one that has very many hot
    models takes what others leave.
    """
    turns: defaultdict[str, int] = defaultdict(int)
    queued = []
    for model in sorted(models, key=lambda model: model.rank):
        queued.append((turns[model.tenant], model.rank, model))
        turns[model.tenant] += 1
    queued.sort(key=lambda entry: entry[:2])
    found = []
    for _, _, model in queued:
        room -= model.size
        if room < 0:
            break
        found.append(model.digest)
    return found


def by_rates(moves: Mapping[bytes, Sequence[Move]], rates: Mapping[str, float], cell: str) -> list[Hot]:
    """What `cell` may have held hot, which cannot be asked any more: of the busiest tenants first."""
    found = [
        (-rates.get(move.tenant, 0.0), digest, move.owner)
        for digest, its in moves.items()
        for move in its
        if move.at == cell
    ]
    return [Hot(digest, owner) for _, digest, owner in sorted(found)]
