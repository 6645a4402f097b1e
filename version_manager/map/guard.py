"""Whether to believe etcd when it says that much is gone.

An empty or shrunken etcd never means "delete all": it means a wiped disk, a restored backup, an
`etcdctl del --prefix` in the wrong window. So what etcd reports waits in a `Batch` first. A sound
batch is taken at once. A suspicious one freezes the map: it stays, later reports join it, and it is
taken whole once all of the content is back, or an operator said that the loss is meant (a thaw, which
covers what was lost up to the revision that it names).

Registrations of cells and managers never wait: a frozen batch gives them away (`take_leased`). They tell
where a process is now, and end with its lease; who waits with them loses the cells that restart meanwhile.

Suspicious is:

1. A revision by which more than one model goes away, if that is more than a tenth of them. A
   version manager never removes two models in one revision.
2. A listing (what happened since the last event is unknown, so no revision can be looked at alone)
   that lacks more than ten models, if that is more than a tenth of them, or all of several. Models whose
   numbers a version manager wrote down as spent meanwhile were removed by it, and are not counted.
3. Another cluster, or a revision that went back: there, everything that is served has to be found
   again, and the spent numbers, and nothing of it older, except for cells, which register again by
   themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from croupier.stores.etcd import KeyValue
from version_manager.map.image import Image
from version_manager.map.mods import ModelId

_TENTH = 10
_FLOOR_OF_A_REVISION = 1
_FLOOR_OF_A_LISTING = 10


@dataclass(slots=True)
class Leased:
    """Reports of the records that cells and managers keep for as long as they live."""

    puts: dict[str, KeyValue] = field(default_factory=dict)
    deletes: set[str] = field(default_factory=set)

    def put(self, pair: KeyValue) -> None:
        self.deletes.discard(pair.key)
        self.puts[pair.key] = pair

    def delete(self, key: str) -> None:
        self.puts.pop(key, None)
        self.deletes.add(key)


@dataclass(slots=True)
class Batch:
    """Reports that `image` has not taken yet; of a listing, when `is_listing`.

    `is_strict`: they come from another cluster, or from before what the image knows.
    """

    image: Image
    is_listing: bool = False
    is_strict: bool = False
    puts: dict[str, KeyValue] = field(default_factory=dict)
    # Keys that the image knows and etcd does not have, with the revision that deleted them.
    deletes: dict[str, int] = field(default_factory=dict)
    leased: Leased = field(default_factory=Leased)
    # For each model touched: how many more keys it will have.
    _growth: Counter[ModelId] = field(default_factory=Counter)
    # Models that will have no key left, with the revision of the last deletion, and how many each.
    _lost: dict[ModelId, int] = field(default_factory=dict)
    _lost_at: Counter[int] = field(default_factory=Counter)
    # Keys that must be there and are not; in a strict batch, keys that say something older.
    _missing: set[str] = field(default_factory=set)
    _regressed: set[str] = field(default_factory=set)

    def put(self, pair: KeyValue) -> None:
        key = pair.key
        if self.image.is_leased(key):
            self.leased.put(pair)
            return
        known = key in self.image.mods
        appears = key in self.deletes or not (known or key in self.puts)
        self.deletes.pop(key, None)
        self._missing.discard(key)
        self.puts[key] = pair
        self._regressed.discard(key)
        if self.is_strict and self.image.regresses(pair):
            self._regressed.add(key)
        if appears:
            self._grow(key, +1, pair.mod_revision)

    def delete(self, key: str, revision: int) -> None:
        if self.image.is_leased(key):
            self.leased.delete(key)
            return
        known = key in self.image.mods
        vanishes = key in self.puts or (known and key not in self.deletes)
        self.puts.pop(key, None)
        self._regressed.discard(key)
        if known:
            self.deletes[key] = revision
            if self.image.must_stay(key):
                self._missing.add(key)
        if vanishes:
            self._grow(key, -1, revision)

    def take_leased(self) -> Leased:
        """Take out what is reported of cells and managers."""
        leased, self.leased = self.leased, Leased()
        return leased

    def is_suspicious(self, *, was_held: bool = False) -> bool:
        """Whether taking this batch needs an operator's word.

        One that `was_held` stays suspicious until nothing is missing: a backup that is put back key by key
        passes through moments in which little is, and that little is not meant either.
        """
        if self.is_strict and (self._missing or self._regressed):
            return True
        if was_held:
            return not all(map(self._was_removed, self._missing))
        if not self._lost:
            return False
        total = len(self.image.map.catalog)
        if self.is_listing:
            worst = sum(self.image.spent_key(model) not in self.puts for model in self._lost)
            floor = _FLOOR_OF_A_LISTING
            if worst == total and worst > 1:
                return True
        else:
            worst, floor = max(self._lost_at.values()), _FLOOR_OF_A_REVISION
        return worst > floor and worst * _TENTH > total

    def describe(self) -> str:
        """What is suspicious, in words."""
        total = len(self.image.map.catalog)
        if self.is_strict:
            return (
                "etcd is another one or went back in time: "
                f"{len(self._missing)} keys are missing and {len(self._regressed)} are older than served"
            )
        return f"etcd lost {len(self._lost)} of {total} models at once"

    def accept(self, revision: int) -> None:
        """Take it for meant that etcd is as it is at `revision`."""
        self._missing = {key for key in self._missing if self.deletes[key] > revision}
        self._regressed = {key for key in self._regressed if self.puts[key].mod_revision > revision}
        self._lost = {model: lost_at for model, lost_at in self._lost.items() if lost_at > revision}
        self._lost_at = Counter(self._lost.values())

    @property
    def missing(self) -> Collection[str]:
        return self._missing

    @property
    def regressed(self) -> Collection[str]:
        return self._regressed

    @property
    def lost(self) -> Mapping[ModelId, int]:
        """The models that would go away."""
        return self._lost

    def _was_removed(self, key: str) -> bool:
        """Whether `key` is of a model that a version manager removed."""
        model = self.image.model_of(key)
        return model is not None and self.image.spent_key(model) in self.puts

    def _grow(self, key: str, by: int, revision: int) -> None:
        model = self.image.model_of(key)
        if model is None or not self.image.is_served(model):
            return
        self._growth[model] += by
        before = self._lost.pop(model, None)
        if before is not None:
            self._lost_at[before] -= 1
            if not self._lost_at[before]:
                del self._lost_at[before]
        if self.image.mods.count(model) + self._growth[model] <= 0:
            self._lost[model] = revision
            self._lost_at[revision] += 1


def listing_batch(image: Image, items: tuple[KeyValue, ...], revision: int, *, is_strict: bool) -> Batch:
    """What has to happen to `image` so that it holds `items` and nothing else."""
    batch = Batch(image, is_listing=True, is_strict=is_strict)
    for pair in items:
        if is_strict or image.mods.get(pair.key) != pair.mod_revision:
            batch.put(pair)
    found = {pair.key for pair in items}
    for key in [key for key in image.mods if key not in found]:
        batch.delete(key, revision)
    return batch
