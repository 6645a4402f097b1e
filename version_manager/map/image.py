"""What etcd says, decoded, with the last good word of every key that says nonsense now.

Anybody with etcd's password can write anything under any key. There are four cases:

1. A value that does not decode is passed over: what stood there before goes on being served.
2. A value that decodes but does not fit the others (a release that names a version which is not
   there, a pointer to a generation which is not) is passed over too, until the others fit it.
3. What the served map needs does not go away with its key: a version that the release names, the
   generations that deal. `shards/active`, `shards/seed` and configs are never taken for deleted.
4. A generation with another seed than the deployment's is passed over, and so is a seed that does not
   follow the one that is known. Where etcd has no seed yet, the active generation's is the deployment's.

Each is told as a `Problem`, and its key stays in `bad` until a good value or none stands there.
No I/O and no clock: `mirror` feeds it.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from croupier.stores.etcd import KeyValue
from sharding.generation import Generation
from version_manager.map.chunks import Chunk, Chunked
from version_manager.map.entries import Entry
from version_manager.map.family_image import Configs, configs_after
from version_manager.map.keys import (
    BadRecord,
    ChunkKey,
    Key,
    Keys,
    ManagerKey,
    RegistrationKey,
    ReleaseKey,
    SeedKey,
    SpentKey,
    ThawKey,
    VersionKey,
)
from version_manager.map.mods import ModelId, Mods
from version_manager.map.problems import KINDS, MOST_WORDS, Misfits, Problem
from version_manager.map.records import Active, Announced, Record, Spent, Thaw, decode
from version_manager.map.registrations import Registrations
from version_manager.map.seed import Seed
from version_manager.map.shard_image import ShardImage
from version_manager.map.tenant_image import limits_after, residencies_after
from version_manager.model.catalog import Catalog, Delta
from version_manager.model.encode import write_model
from version_manager.model.encoded import told
from version_manager.model.fleet import Cell
from version_manager.model.history import Change
from version_manager.model.limits import TenantLimits
from version_manager.model.release import WHOLE, InvalidRelease, Model, Release, Version, check_release
from version_manager.model.residency import ResidencyRule


@dataclass(frozen=True, slots=True)
class Map:
    """All that is served, as one immutable value."""

    catalog: Catalog
    cells: Mapping[str, Cell]
    # Active first, then previous; empty before the first one.
    generations: tuple[Generation, ...]
    # Every generation of the deployment that etcd still has, by number.
    archive: Mapping[int, Generation]
    # Of these, and of those that deal, the ones that lie in chunks.
    chunked: Mapping[int, Chunked] = field(default_factory=dict)
    # By tenant.
    residencies: Mapping[str, ResidencyRule] = field(default_factory=dict)
    limits: TenantLimits = field(default_factory=TenantLimits)
    configs: Configs = field(default_factory=Configs)
    # None before the first generation.
    seed: Seed | None = None
    # The version managers that run.
    managers: Mapping[str, Announced] = field(default_factory=dict)
    # The latest.
    thaw: Thaw | None = None
    # What says which generations deal; None before the first one.
    pointer: Active | None = None

    @property
    def ramp(self) -> int:
        """How many of 10,000 tenants the active generation deals to; the previous one to the others."""
        return self.pointer.ramp if self.pointer else WHOLE

    @property
    def dealing(self) -> tuple[Generation, ...]:
        """Those that deal to some tenants: the active one, and while that takes over, the one before it."""
        return self.generations[: 1 if self.ramp >= WHOLE else 2]


class Image:
    """One etcd prefix. `map` is what to serve, `mods` each key's mod_revision, as far as taken."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        # What etcd says of models that are not served as it says: of the others, the catalog has it.
        self._unserved: dict[ModelId, Entry] = {}
        self._registrations = Registrations()
        self.map = Map(Catalog.build(revision=-1), {}, (), {})
        self.mods = Mods(keys.prefix, self.model_of)
        # Not served, and so no part of the map: for the publisher, should etcd's own word be garbage.
        self.spent: dict[ModelId, Spent] = {}
        # What is wrong with values that do not decode, and with those that decode and do not fit the others.
        self._garbage: dict[str, Problem] = {}
        self._misfits = Misfits()
        self._shards = ShardImage(keys, self._misfits)

    @property
    def bad(self) -> frozenset[str]:
        """The keys that are passed over now."""
        return frozenset(self._garbage.keys() | self._misfits.by_key)

    @property
    def problems(self) -> Mapping[str, Problem]:
        """What is wrong with each of those keys."""
        return ChainMap(self._garbage, self._misfits.by_key)

    def begin(self, name: str) -> None:
        """Count revisions anew from here, for the catalog `name`; the content stays."""
        self.map = replace(self.map, catalog=replace(self.map.catalog, name=name, revision=-1))

    def apply(
        self, puts: Iterable[KeyValue], deletes: Iterable[str], revision: int
    ) -> tuple[Change, list[Problem]]:
        """Take what changed up to `revision`; returns what that changes in `map`, and what is wrong."""
        problems: list[Problem] = []
        said = self._decode(puts, deletes, problems)
        records, removed = self._take_models(said, problems)
        shards = self._shards.take(said, problems)
        cells, removed_cells = self._take_cells(said)
        self._take_spent(said)
        before = self.map
        ramp = shards.pointer.ramp if shards.pointer else WHOLE
        limits, limited = limits_after(before.limits, said)
        configs, configured = configs_after(before.configs, said, self._keys, self._misfits, problems)
        change = Change(
            revision,
            tuple(map(told, records)),
            removed,
            cells,
            removed_cells,
            shards.generations if shards.generations != before.generations else (),
            ramp if ramp != before.ramp else None,
            limited,
            limits.default if limits.default != before.limits.default else None,
            configured,
        )
        self.map = Map(
            catalog=self.map.catalog.apply(Delta(revision, records, removed)),
            cells=self._cells_after(change),
            generations=shards.generations,
            pointer=shards.pointer,
            archive=shards.archive,
            chunked=shards.chunked,
            residencies=residencies_after(before.residencies, said),
            limits=limits,
            configs=configs,
            seed=shards.seed,
            managers=self._managers_after(said),
            thaw=self._thaw_after(said, problems),
        )
        return change, problems

    def is_served(self, model: ModelId) -> bool:
        return self.map.catalog.find_record(*model) is not None

    def is_leased(self, key: str) -> bool:
        """Whether `key` is one that a cell or a manager keeps for as long as it lives."""
        return self._keys.is_leased(key)

    def must_stay(self, key: str) -> bool:
        """Whether something is served because of `key`, so that a restored etcd would have it."""
        if key in self._garbage:
            return False
        try:
            match self._keys.parse(key):
                case SeedKey():
                    # It is adopted again from the generations, which must be there.
                    return False
                case ChunkKey() as chunk:
                    return chunk.number in self.map.chunked
                case _:
                    return True
        except BadRecord:
            return False

    def regresses(self, pair: KeyValue) -> bool:
        """Whether `pair` says less than what is served: a release or pointer of a lower number, or
        another content where content is immutable.
        """
        try:
            key = self._keys.parse(pair.key)
            record = decode(key, pair.value)
        except BadRecord:
            return False
        match key, record:
            case VersionKey(), Version():
                served = self.map.catalog.find(key.tenant, key.name)
                known = served.versions.get(key.number) if served else None
                return known is not None and known != record
            case ReleaseKey(), Release():
                served = self.map.catalog.find(key.tenant, key.name)
                if served is None or served.release is None or served.release == record:
                    return False
                return record.number <= served.release.number
            case SpentKey(), Spent():
                known_spent = self.spent.get((key.tenant, key.name), Spent())
                return record.version < known_spent.version or record.release < known_spent.release
            case _, Thaw():
                return self.map.thaw is not None and record.number < self.map.thaw.number
            case _:
                return self._shards.regresses(key, record) or self.map.configs.regresses(key, record)

    def spent_key(self, model: ModelId) -> str:
        return self._keys.spent(*model)

    def new_thaw(self, pairs: Mapping[str, KeyValue]) -> Thaw | None:
        """The thaw in `pairs`, if it is later than the known one."""
        pair = pairs.get(self._keys.thaw)
        if pair is not None:
            with suppress(BadRecord):
                record = decode(ThawKey(), pair.value)
                if isinstance(record, Thaw) and record.number > (
                    self.map.thaw.number if self.map.thaw else 0
                ):
                    return record
        return None

    def model_of(self, key: str) -> ModelId | None:
        """The model that `key` belongs to, whether or not anything else about it is right.

        A config belongs to none: it may be there before the model, and stays when that goes.
        """
        if self._keys.is_config(key):
            return None
        match key.removeprefix(self._keys.prefix).split("/"):
            case ["models", tenant, name, _, *_]:
                return tenant, name
            case _:
                return None

    def _decode(
        self, puts: Iterable[KeyValue], deletes: Iterable[str], problems: list[Problem]
    ) -> dict[Key, Record | None]:
        """What each key of ours says now; None: nothing any more."""
        said: dict[Key, Record | None] = {}
        puts = list(puts)
        # First: what stays would lie among what does not, whose memory the system would not get back then.
        for pair in puts:
            self.mods.put(pair.key, pair.mod_revision)
        for pair in puts:
            kind = "unknown"
            try:
                key = self._keys.parse(pair.key)
                kind = KINDS[type(key)]
                record = decode(key, pair.value)
                if isinstance(record, Chunk):
                    record = replace(record, is_loose=bool(pair.lease))
                said[key] = record
            except BadRecord as error:
                # What is wrong may quote the value, of which etcd takes more than a megabyte.
                words, field_name = error.message[:MOST_WORDS], error.field[:MOST_WORDS]
                self._garbage[pair.key] = problem = Problem(pair.key, kind, words, field_name)
                problems.append(problem)
            else:
                self._garbage.pop(pair.key, None)
                if isinstance(key, RegistrationKey):
                    self._registrations.take(key, record, pair.lease)
        for text in deletes:
            self.mods.drop(text)
            self._garbage.pop(text, None)
            with suppress(BadRecord):
                key = self._keys.parse(text)
                said[key] = None
                if isinstance(key, RegistrationKey):
                    self._registrations.drop(key)
        return said

    def _take_models(
        self, said: Mapping[Key, Record | None], problems: list[Problem]
    ) -> tuple[tuple[bytes, ...], tuple[ModelId, ...]]:
        """The records of models that changed, and the models that are gone."""
        touched: dict[ModelId, Entry] = {}
        for key, record in said.items():
            if isinstance(key, (VersionKey, ReleaseKey)):
                model_id = (key.tenant, key.name)
                if model_id not in touched:
                    touched[model_id] = self._entry(model_id)
                touched[model_id].enter(key, record)
        records, removed = [], []
        for model_id, entry in touched.items():
            served = self.map.catalog.find(*model_id)
            model = self._build(model_id, entry, served, problems)
            if entry.is_served_by(model):
                self._unserved.pop(model_id, None)
            else:
                self._unserved[model_id] = entry
            if model is None:
                if served is not None:
                    removed.append(model_id)
            elif model != served:
                records.append(write_model(model))
        return tuple(records), tuple(removed)

    def _entry(self, model_id: ModelId) -> Entry:
        """What etcd says of the model until now."""
        if model_id in self._unserved:
            return self._unserved[model_id]
        return Entry.of(self.map.catalog.find(*model_id))

    def _build(
        self, model_id: ModelId, entry: Entry, served: Model | None, problems: list[Problem]
    ) -> Model | None:
        """The model to serve after a change of its entry; None: it is gone."""
        release, versions = entry.release, dict(entry.versions)
        key = self._keys.release(*model_id)
        try:
            if release is not None:
                check_release(release, versions)
        except InvalidRelease as error:
            self._misfits.blame(Problem(key, "release", error.message, error.field), problems)
            release = served.release if served else None
            if served is not None and release is not None:
                versions = {number: served.versions[number] for number in release.versions()} | versions
        else:
            self._misfits.clear(key)
        return Model(*model_id, versions, release) if versions else None

    def _take_cells(self, said: Mapping[Key, Record | None]) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
        known = self.map.cells
        touched = dict.fromkeys(key.id for key in said if isinstance(key, RegistrationKey))
        cells = {name: self._registrations.cell(name) for name in touched}
        return (
            tuple(cell for name, cell in cells.items() if cell and known.get(name) != cell),
            tuple(name for name, cell in cells.items() if cell is None and name in known),
        )

    def _take_spent(self, said: Mapping[Key, Record | None]) -> None:
        for key, record in said.items():
            if not isinstance(key, SpentKey):
                continue
            if isinstance(record, Spent):
                self.spent[key.tenant, key.name] = record
            else:
                self.spent.pop((key.tenant, key.name), None)

    def _cells_after(self, change: Change) -> Mapping[str, Cell]:
        if not change.cells and not change.removed_cells:
            return self.map.cells
        cells = {**self.map.cells, **{cell.id: cell for cell in change.cells}}
        for cell in change.removed_cells:
            del cells[cell]
        return cells

    def _managers_after(self, said: Mapping[Key, Record | None]) -> Mapping[str, Announced]:
        touched = {key.id: record for key, record in said.items() if isinstance(key, ManagerKey)}
        if not touched:
            return self.map.managers
        both = {**self.map.managers, **touched}
        return {name: record for name, record in both.items() if isinstance(record, Announced)}

    def _thaw_after(self, said: Mapping[Key, Record | None], problems: list[Problem]) -> Thaw | None:
        known, record = self.map.thaw, said.get(ThawKey())
        if not isinstance(record, Thaw):
            return known
        if known is not None and record.number < known.number:
            self._misfits.blame(Problem(self._keys.thaw, "thaw", "it is older than the known one"), problems)
            return known
        self._misfits.clear(self._keys.thaw)
        return record
