"""The world as a router knows it: catalog, shard maps and cells, in one immutable value.

A request reads one `View` from its beginning to its end. `feeds.py` swaps the next one in;
`successor` and `View.after` make it. Pure.

**What is lost is not what is gone.** A cell that left the registry keeps its last address here and is
marked departed: it may be that only its lease is lost, and a departed cell is asked last, not
never. It is dropped once no shard map that is held seats it.

**An empty or shrunken catalog never means delete all.** A whole new catalog takes the place of the
held one only if `refusal` finds nothing against it:

- the same catalog at an older revision is refused: somebody restored or reads a stale replica;
- one without a shard map, when a shard map is held, is refused: etcd was wiped;
- one that lost more than half of the models (and more than a few) is refused;
- one that deals by another seed is refused, unless the seed was changed on purpose (the generation from which
  on it holds is then a later one): with a mistaken seed, every tenant would be dealt a new hand;
- an empty one is refused, unless it is the same catalog, further on, its shard map in place: then
  the few models that were left have truly been removed.

A catalog that comes after a later thaw than the held one (`catalog thaw`) may have lost what it likes, since
an operator said that this is meant; one from before the thaw that is held is refused.

A delta names what was removed, so it is held to the third and fourth rule alone. A refused catalog
changes nothing but the cells (`View.with_cells_of`): where a process is now is no loss to believe. The held
one is served on, and a metric alarms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

from sharding.dealer import Dealer
from sharding.generation import Generation
from sharding.ramp import WHOLE
from version_manager.model.catalog import Catalog, Delta
from version_manager.model.family import Families, Family, FamilyKey
from version_manager.model.fleet import Cell, Load
from version_manager.model.limits import Limits, TenantLimits

# Losing this many models at once is nothing to stop for.
_FEW = 10


@dataclass(frozen=True, slots=True)
class KnownCell:
    """A cell as it last registered. `departed`: it is no longer registered."""

    cell: Cell
    departed: bool = False


@dataclass(frozen=True, slots=True)
class ViewChange:
    """What a delta of the watch brings; `generations` is active, then previous; empty: unchanged.

    `ramp` None: as held.
    """

    models: Delta
    cells: tuple[Cell, ...] = ()
    removed_cells: tuple[str, ...] = ()
    generations: tuple[Generation, ...] = ()
    ramp: int | None = None
    # Of tenants; NO_LIMITS: they have none of their own any more. The default's None: as held.
    limits: tuple[tuple[str, Limits], ...] = ()
    default_limits: Limits | None = None
    # Of families and models; None: there is none any more.
    families: tuple[tuple[FamilyKey, Family | None], ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """`current` deals the hands; `previous` is where models may be resident still.

    While `current` takes over from it, it deals to `ramp` of 10,000 tenants, and `previous` to the others.

    `thaw` counts the losses in etcd that an operator said were meant: the catalog comes after that one.
    """

    catalog: Catalog = field(default_factory=Catalog.build)
    current: Dealer | None = None
    previous: Dealer | None = None
    cells: Mapping[str, KnownCell] = field(default_factory=dict)
    thaw: int = 0
    ramp: int = WHOLE
    # What tenants may take.
    limits: TenantLimits = field(default_factory=TenantLimits)
    # What models of one name have in common.
    families: Families = field(default_factory=Families)

    @property
    def generations(self) -> tuple[Generation, ...]:
        """Active, then previous."""
        return tuple(dealer.generation for dealer in (self.current, self.previous) if dealer)

    def after(self, change: ViewChange) -> View:
        """The view that follows; itself if nothing changed that a route depends on."""
        current, previous = self.current, self.previous
        if change.generations:
            current, previous = _dealers(self, change.generations)
        after = replace(
            self,
            catalog=self.catalog.apply(change.models),
            current=current,
            previous=previous,
            cells=_merge(self.cells, change.cells, change.removed_cells),
            ramp=self.ramp if change.ramp in {None, self.ramp} else change.ramp,
            limits=self.limits.after(dict(change.limits), change.default_limits),
            families=self.families.after(dict(change.families)),
        )
        if all(getattr(after, field.name) is getattr(self, field.name) for field in fields(View)):
            return self
        return replace(after, cells=_prune(after.cells, current, previous))

    def with_cells_of(self, refused: View) -> View:
        """This view with the cells of one whose catalog is refused; itself if they are the same."""
        arrived = [known.cell for known in refused.cells.values() if not known.departed]
        lost = self.cells.keys() - {cell.id for cell in arrived}
        cells = _merge(self.cells, arrived, sorted(lost))
        if cells is self.cells:
            return self
        return replace(self, cells=_prune(cells, self.current, self.previous))


EMPTY = View()


def successor(
    held: View,
    catalog: Catalog,
    generations: tuple[Generation, ...],
    cells: Iterable[Cell],
    thaw: int | None = None,
    ramp: int = WHOLE,
    limits: TenantLimits | None = None,
    families: Families | None = None,
) -> View:
    """The view that a whole snapshot makes; cells that it lacks are departed.

    `thaw`, `limits`, `families` None: as held.
    """
    arrived = tuple(cells)
    lost = held.cells.keys() - {cell.id for cell in arrived}
    current, previous = _dealers(held, generations)
    merged = _merge(held.cells, arrived, sorted(lost))
    return replace(
        held,
        catalog=catalog,
        current=current,
        previous=previous,
        cells=_prune(merged, current, previous),
        thaw=held.thaw if thaw is None else thaw,
        ramp=ramp,
        limits=held.limits if limits is None or limits == held.limits else limits,
        families=held.families if families is None or families == held.families else families,
    )


def refusal(held: View, new: View) -> str:
    """Why a whole snapshot must not replace what is held; empty if it may."""
    same, ahead = held.catalog.name == new.catalog.name, new.catalog.revision > held.catalog.revision
    if not held.catalog.size and held.current is None:
        return ""
    if new.thaw < held.thaw:
        return "it is from before the thaw that is held"
    if same and new.catalog.revision < held.catalog.revision:
        return "it is older than what is held"
    if held.current is not None and new.current is None:
        return "it has no shard map"
    if new.thaw > held.thaw:
        return _strange_seed(held, new)
    if held.catalog.size and not new.catalog.size and not (same and ahead):
        return "it is empty"
    return delta_refusal(held, new)


def delta_refusal(held: View, new: View) -> str:
    """Why a delta must not be taken; empty if it may."""
    return _strange_seed(held, new) or _collapse(held, new)


def _strange_seed(held: View, new: View) -> str:
    if held.current is None or new.current is None:
        return ""
    before, after = held.current.generation, new.current.generation
    if after.seed != before.seed and after.seed_since <= before.seed_since:
        return f"it deals by seed {after.seed}, and the held shard map by {before.seed}"
    return ""


def _collapse(held: View, new: View) -> str:
    """Why so many models cannot have gone at once; empty if they can."""
    lost = held.catalog.size - new.catalog.size
    if lost > _FEW and new.catalog.size * 2 < held.catalog.size:
        return f"it lost {lost} of {held.catalog.size} models"
    return ""


def _dealers(held: View, generations: tuple[Generation, ...]) -> tuple[Dealer | None, Dealer | None]:
    """Dealers for the active and the previous generation; known ones keep the hands that they dealt."""
    known = [dealer for dealer in (held.current, held.previous) if dealer]
    found: list[Dealer | None] = []
    for generation in generations[:2]:
        same = [dealer for dealer in known if dealer.generation == generation]
        found.append(same[0] if same else Dealer(generation))
    found += [None, None]
    return found[0], found[1]


def _merge(
    held: Mapping[str, KnownCell], arrived: Iterable[Cell], removed: Iterable[str]
) -> Mapping[str, KnownCell]:
    changed: dict[str, KnownCell] = {}
    for cell in arrived:
        # Load reports come all the time and move no route.
        known = KnownCell(replace(cell, load=Load()))
        if held.get(cell.id) != known:
            changed[cell.id] = known
    for name in removed:
        if name in held and not held[name].departed:
            changed[name] = replace(held[name], departed=True)
    return {**held, **changed} if changed else held


def _prune(
    cells: Mapping[str, KnownCell], current: Dealer | None, previous: Dealer | None
) -> Mapping[str, KnownCell]:
    """Departed cells that nobody can be routed to any more are dropped."""
    dealers = [dealer for dealer in (current, previous) if dealer]
    if not dealers or not any(known.departed for known in cells.values()):
        return cells
    seated = {seat.cell for dealer in dealers for seat in dealer.generation.seats}
    kept = {name: known for name, known in cells.items() if not known.departed or name in seated}
    # The same mapping says that no cell changed, which routes are remembered by (`routes.pyx`).
    return kept if len(kept) < len(cells) else cells
