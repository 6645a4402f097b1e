"""The served map: follows etcd, decides what to believe, and wakes whoever waits for a revision.

    etcd.follow ──▶ guard.Batch ──suspicious──▶ frozen: the batch waits, the map stands but for its cells
                         │sound
                         ▼
                       Image.apply ──▶ map (swapped whole), history (for watchers)

Readers take `map` and hold on to it: it never changes under them. While frozen, catalog and shard map stand
at their revision, and mutations are refused (`check_writable`), since nobody could see what they did.
Cells and managers go on coming and going: what they say of themselves is under their leases and no loss.

With a snapshot of an earlier run (`restore`), the first listing is judged as any later one: what is
garbage or gone by then has its last good value. A snapshot of another cluster is not believed.

A catalog's name is its etcd cluster; after a thaw, with its number; after its revisions went back, with a
mark of where, so that managers that saw the same have the same name. Revisions of different names must not be
compared.

A manager that lost its snapshot cannot know that etcd went back while it was away. A watcher may: it has a
later revision of the same catalog than etcd itself, or one from after a thaw that etcd does not know
(`doubt`). Then nothing can be changed, since that watcher would not follow, until a thaw gives the catalog
a new name.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from croupier.errors import CroupierError, FailedPrecondition
from croupier.stores.etcd import Changed, Etcd, KeyValue, Listed
from croupier.telemetry.metrics import Counter, Gauge
from version_manager.map.edits import Edits
from version_manager.map.guard import Batch, listing_batch
from version_manager.map.image import Image, Map
from version_manager.map.keys import Keys
from version_manager.map.outside import Outside, from_outside
from version_manager.map.problems import Problem
from version_manager.map.records import Spent, Thaw
from version_manager.map.snapshot import Snapshot, last_good
from version_manager.model.history import Change, History

_log = logging.getLogger(__name__)

_BAD_RECORDS = Counter(
    "croupier_version_manager_bad_records_total",
    "Values in etcd that were passed over: they do not decode, or do not fit the others",
    ["kind"],
)
_BAD_KEYS = Gauge(
    "croupier_version_manager_bad_keys", "Keys in etcd that are passed over now, their last good value served"
)
_FROZEN = Gauge(
    "croupier_version_manager_frozen", "1 while etcd has lost so much that the map is kept as it was"
)
_MODELS = Gauge("croupier_version_manager_models", "Models in the served catalog")
_REVISION = Gauge("croupier_version_manager_revision", "etcd's revision that the served map has reached")

# A catalog's name: the cluster, and the thaw that it comes after.
_NAME = re.compile(r"[0-9a-f]{16}\.t(\d{1,19})(?:\..*)?", re.ASCII)

# The errors in one event that are written to the log one by one; the rest is counted.
_LOGGED_PROBLEMS = 20


class MapFrozen(FailedPrecondition):
    """etcd lost content and the map is kept as it was: restore etcd, or thaw the map. The operator's."""

    reason = "MAP_FROZEN"


@dataclass(frozen=True, slots=True)
class Place:
    """Between two changes of one history."""

    history: History
    position: int

    def behind(self, count: int) -> Place:
        """The place that many changes further on."""
        return Place(self.history, self.position + count)


class Mirror:
    """One etcd prefix, served. `run` feeds it; `history` is how many changed things are kept."""

    def __init__(
        self, etcd: Etcd, keys: Keys, *, history: int = 20_000, clock: Callable[[], float] = time.time
    ) -> None:
        self._etcd = etcd
        self._clock = clock
        self._keys = keys
        self._history_limit = history
        self._image = Image(keys)
        self._history = History(-1, history)
        self.outside = Outside(keys)
        self.edits = Edits(keys)
        # The cluster that the map comes from.
        self._cluster_id = 0
        # What was last heard of etcd, whether the map took it or not.
        self.seen_cluster_id = 0
        self.seen_revision = 0
        # Restored from a snapshot, which the first listing is to be judged by.
        self._is_restored = False
        self.has_forgotten = False
        # Suspicious, and so waiting; the map is frozen while there is one.
        self._held: Batch | None = None
        # How a watcher proves that etcd went back, to before what it has.
        self._disproof = ""
        # Seconds since 1970; 0 while the map moves.
        self.frozen_since = 0.0
        self._moved = asyncio.Event()
        self.is_loaded = False

    @property
    def map(self) -> Map:
        return self._image.map

    @property
    def is_frozen(self) -> bool:
        return bool(self.frozen_for)

    @property
    def frozen_for(self) -> str:
        """Why nothing can be changed; empty if it can."""
        return self._held.describe() if self._held is not None else self._disproof

    @property
    def bad_keys(self) -> frozenset[str]:
        """The keys whose value is passed over."""
        return self._image.bad

    @property
    def problems(self) -> Mapping[str, Problem]:
        """What is wrong with each of them."""
        return self._image.problems

    def mod_revision(self, key: str) -> int:
        """The revision of `key` that the map has taken; 0: etcd does not have it."""
        return self._image.mods.get(key) or 0

    def spent(self, tenant: str, name: str) -> Spent | None:
        """The last good word on a model's numbers; None if there was none."""
        return self._image.spent.get((tenant, name))

    @property
    def held(self) -> Batch | None:
        """What the map would take if it moved; None when it is not frozen."""
        return self._held

    def check_writable(self) -> None:
        """Raises MapFrozen."""
        if self.frozen_for:
            raise MapFrozen(f"the map is frozen: {self.frozen_for}")

    def place_of(self, catalog: str, revision: int) -> Place | None:
        """Where a watcher that has `catalog` up to `revision` goes on; None if only a snapshot will do."""
        position = self._history.position_of(revision) if catalog == self.map.catalog.name else None
        return None if position is None else Place(self._history, position)

    @property
    def place(self) -> Place:
        """Where a watcher goes on that has the map as it is now."""
        return Place(self._history, self._history.position)

    def after(self, place: Place) -> tuple[Change, ...] | None:
        """The changes behind `place`; None if only a snapshot will do."""
        return self._history.after(place.position) if place.history is self._history else None

    @property
    def told_revision(self) -> int:
        """What a watcher has that has everything: later revisions changed nothing for it."""
        return self._history.told

    def next_move(self) -> asyncio.Event:
        """An event that is set when the map moves next: take it before looking at the map."""
        return self._moved

    async def loaded(self) -> None:
        """Return once there is a map."""
        while not self.is_loaded:
            await self.next_move().wait()

    async def reached(self, revision: int, timeout: float) -> bool:
        """Wait at most `timeout` seconds until the map has everything up to `revision`."""
        try:
            async with asyncio.timeout(timeout):
                while self.map.catalog.revision < revision:
                    await self.next_move().wait()
        except TimeoutError:
            return False
        return True

    async def doubt(self, catalog: str, revision: int, timeout: float) -> None:
        """See whether a watcher that has `catalog` up to `revision` proves that etcd went back.

        Waits at most `timeout` seconds for the map to get as far: this manager may only be slower.
        """
        own = self.map
        thaw, known = _thaw_in(catalog), own.thaw.number if own.thaw else 0
        if thaw > known and catalog.startswith(f"{self._cluster_id:016x}"):
            self._disprove(f"a router has the catalog from after thaw {thaw}, and etcd knows of none so late")
        if catalog != own.catalog.name or await self.reached(revision, timeout):
            return
        try:
            head = (await self._etcd.transact([], [])).revision
        except CroupierError:
            return
        if head < revision and catalog == self.map.catalog.name:
            self._disprove(f"a router has revision {revision} of the catalog, and etcd is at {head}")

    def _disprove(self, how: str) -> None:
        if not self.is_frozen:
            self._disproof = f"etcd went back in time: {how}"
            self.frozen_since = self._clock()
            _FROZEN.set(1)
            _log.error("FROZEN: %s", self._disproof)

    def restore(self, snapshot: Snapshot) -> None:
        """Begin with what an earlier run knew."""
        self._cluster_id = snapshot.cluster_id
        self._image.begin(snapshot.catalog)
        _, problems = self._image.apply(snapshot.pairs, (), snapshot.revision)
        self._is_restored = True
        self._report(problems)

    def snapshot(self) -> Snapshot:
        """What the next run has to know."""
        catalog = self.map.catalog
        pairs = last_good(self._image, self._keys)
        return Snapshot(self._keys.prefix, self._cluster_id, catalog.name, catalog.revision, pairs)

    def damaged(self) -> Iterator[KeyValue]:
        """What is served or known and etcd does not say, or not any more. May be read in a thread."""
        return last_good(self._image, self._keys, damaged_only=True)

    def _forget(self) -> None:
        _log.error("the snapshot is not believed: etcd is another cluster than the one that it is of")
        self._image = Image(self._keys)
        self._is_restored = False
        self.has_forgotten = True

    async def run(self) -> None:
        """Follow etcd until cancelled."""
        async with aclosing(self._etcd.follow(self._keys.prefix)) as events:
            async for event in events:
                self.take(event)

    def take(self, event: Listed | Changed) -> None:
        """Take what etcd reports, or hold it."""
        self.seen_revision = event.revision
        batch = self._list(event) if isinstance(event, Listed) else self._change(event)
        thaw = self._new_thaw(batch)
        if thaw is not None:
            # What a listing lacks was lost at a revision that nobody knows: before the thaw that it has.
            batch.accept(event.revision if isinstance(event, Listed) else thaw.revision)
        if self._knows and batch.is_suspicious(was_held=self._held is not None):
            self._hold(batch)
        else:
            self._release(batch, event.revision)

    def _list(self, event: Listed) -> Batch:
        self.seen_cluster_id = event.cluster_id
        if self._is_restored and not self.is_loaded and event.cluster_id != self._cluster_id:
            self._forget()
        rewound = self._knows and (
            event.cluster_id != self._cluster_id or event.revision < self.map.catalog.revision
        )
        was_strict = self._held is not None and self._held.is_strict
        batch = listing_batch(self._image, event.items, event.revision, is_strict=rewound or was_strict)
        if self._held is not None:
            batch.is_listing = self._held.is_listing
        if self._knows and not batch.is_strict:
            self.edits.saw(batch.puts.values(), is_old=True)
        return batch

    def _change(self, event: Changed) -> Batch:
        batch = self._held or Batch(self._image)
        self.edits.saw(event.puts)
        for pair in event.puts:
            batch.put(pair)
        for key, revision in event.deletes:
            batch.delete(key, revision)
        return batch

    def _hold(self, batch: Batch) -> None:
        if self._held is None:
            _log.error("FROZEN: %s; the map stands until the content is back", batch.describe())
            self.frozen_since = self.frozen_since or self._clock()
        self._held = batch
        _FROZEN.set(1)
        if not self.is_loaded:
            self._history = History(self.map.catalog.revision, self._history_limit)
        self._take_registrations(batch)

    def _take_registrations(self, batch: Batch) -> None:
        """Take what `batch` has of cells and managers: where a cell is now is nobody's loss to believe."""
        leased = batch.take_leased()
        change, problems = self._image.apply(leased.puts.values(), leased.deletes, self.map.catalog.revision)
        self._history.append_standing(change)
        self._report(problems)
        self._move()

    def _release(self, batch: Batch, revision: int) -> None:
        if self._held is not None:
            _log.warning("the map moves again")
        self._held = None
        thaw = self._new_thaw(batch)
        is_fresh = batch.is_strict or thaw is not None or not self.is_loaded
        if batch.is_strict or thaw is not None or not self._knows:
            self._rename(thaw, is_rewound=batch.is_strict)
        _FROZEN.set(self.is_frozen)
        self.frozen_since = self.frozen_since if self.is_frozen else 0.0
        leased = batch.take_leased()
        puts = [*batch.puts.values(), *leased.puts.values()]
        change, problems = self._image.apply(puts, [*batch.deletes, *leased.deletes], revision)
        if is_fresh:
            self._history = History(revision, self._history_limit)
        else:
            self._history.append(change)
        # At the first listing of a manager that knows nothing, nothing is gone.
        self.outside.note(from_outside(self._keys, batch.deletes, self.mod_revision))
        self._report(problems)
        self._move()

    def _move(self) -> None:
        self.is_loaded = True
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    @property
    def _knows(self) -> bool:
        """Whether there is something to judge etcd by."""
        return self.is_loaded or self._is_restored

    def _new_thaw(self, batch: Batch) -> Thaw | None:
        """The thaw in `batch`, if it is later than the known one, and of the etcd that is followed."""
        thaw = self._image.new_thaw(batch.puts)
        return thaw if thaw is not None and thaw.cluster_id == self.seen_cluster_id else None

    def _rename(self, thaw: Thaw | None, *, is_rewound: bool) -> None:
        self._cluster_id = self.seen_cluster_id
        self._disproof = ""
        name = f"{self._cluster_id:016x}"
        number = thaw.number if thaw is not None else self.map.thaw.number if self.map.thaw else 0
        if number:
            name = f"{name}.t{number}"
        if thaw is None and is_rewound:
            left = f"{self.map.catalog.name}@{self.map.catalog.revision}"
            name = f"{name}.{hashlib.sha256(left.encode()).hexdigest()[:16]}"
        self._image.begin(name)

    def _report(self, problems: Sequence[Problem]) -> None:
        for problem in problems[:_LOGGED_PROBLEMS]:
            fields = {"key": problem.key, "field": problem.field or "?"}
            _log.error("passed over a record in etcd: %s", problem.message, extra={"fields": fields})
        if len(problems) > _LOGGED_PROBLEMS:
            _log.error("passed over %d more records", len(problems) - _LOGGED_PROBLEMS)
        for kind, count in Tally(problem.kind for problem in problems).items():
            _BAD_RECORDS.labels(kind).inc(count)
        _BAD_KEYS.set(len(self._image.bad))
        _MODELS.set(len(self.map.catalog))
        _REVISION.set(self.map.catalog.revision)


def _thaw_in(catalog: str) -> int:
    """The number of the thaw that a catalog of this name comes after; 0: none."""
    named = _NAME.fullmatch(catalog)
    return int(named[1]) if named else 0
