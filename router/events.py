"""Watch events to a `View` and back: what the version manager sends and what the snapshot file holds.

Begin, chunks and end are collected by an `Assembly`; a delta becomes a `ViewChange`. A record that
cannot be used is counted and left out, and never replaces a good one: the version manager validated
it, so this guards against its bugs and against versions of it that know more than we do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from croupier.errors import InternalError, InvalidRequest
from croupier.telemetry.metrics import Counter
from protos.versions.v1 import versions_pb2 as pb
from router.view import View, ViewChange, successor
from sharding.generation import Generation, check_generation
from sharding.ramp import WHOLE
from version_manager.model.catalog import Builder, Catalog, Delta
from version_manager.model.decode import read_model
from version_manager.model.encode import chunk_event
from version_manager.model.family import Families, Family, FamilyKey
from version_manager.model.family_wire import changed_from_pb, family_to_pb
from version_manager.model.fleet import Cell
from version_manager.model.limits import Limits, TenantLimits
from version_manager.model.release import check_release
from version_manager.model.wire import (
    cell_from_pb,
    cell_to_pb,
    generation_from_pb,
    generation_to_pb,
    limits_from_pb,
    limits_to_pb,
    tenant_limits_from_pb,
    tenant_limits_to_pb,
)

_log = logging.getLogger(__name__)
_BAD = Counter("croupier_router_bad_records_total", "Records of the watch that could not be used")
_CHUNK_MODELS = 500
_CHUNK_LIMITS = 500
# Of either, in a piece.
_PART_MODELS = 20

M = TypeVar("M")
T = TypeVar("T")


class BrokenWatch(InternalError):
    """Events in an order that makes no sense. The version manager's bug, or a damaged file."""


def parts(chunk: pb.WatchEvent.Chunk) -> Iterator[pb.WatchEvent.Chunk]:
    """`chunk` in pieces that stall no event loop: to convert all of its models at once takes milliseconds."""
    for models in slices(chunk.models):
        yield pb.WatchEvent.Chunk(models=models)
    for start in range(0, len(chunk.limits), _PART_MODELS):
        yield pb.WatchEvent.Chunk(limits=chunk.limits[start : start + _PART_MODELS])
    for family in chunk.families:
        yield pb.WatchEvent.Chunk(families=[family])
    last = pb.WatchEvent.Chunk(
        cells=chunk.cells, generations=chunk.generations, knows_families=chunk.knows_families
    )
    if chunk.HasField("default_limits"):
        last.default_limits.CopyFrom(chunk.default_limits)
    if chunk.HasField("ramp"):
        last.ramp = chunk.ramp
    yield last


class Assembly:
    """Collects a snapshot: begin, chunks, end."""

    def __init__(self, begin: pb.WatchEvent.Begin) -> None:
        self._begin = begin
        self._received = 0
        self._catalog = Builder()
        self._bad_models: list[pb.Model] = []
        self._cells: list[Cell] = []
        self._generations: list[Generation] = []
        self._bad_generations: list[pb.Generation] = []
        self._ramp = WHOLE
        self._limits: dict[str, Limits] = {}
        self._bad_limits: list[pb.TenantLimits] = []
        # What is said of the default; None: nothing, as by a manager that knows of no limits.
        self._default_limits: pb.Limits | None = None
        self._families: dict[FamilyKey, Family | None] = {}
        self._bad_families: list[pb.Family] = []
        # False: by a manager of the release before.
        self._knows_families = False

    def add(self, chunk: pb.WatchEvent.Chunk) -> None:
        self._received += len(chunk.models)
        self._catalog.add(_usable(chunk.models, _record, self._bad_models))
        self._cells += _usable(chunk.cells, cell_from_pb)
        self._generations += _usable(chunk.generations, _generation, self._bad_generations)
        if chunk.HasField("ramp"):
            self._ramp = min(chunk.ramp, WHOLE)
        self._limits.update(_usable(chunk.limits, tenant_limits_from_pb, self._bad_limits))
        if chunk.HasField("default_limits"):
            self._default_limits = chunk.default_limits
        self._families.update(_usable(chunk.families, changed_from_pb, self._bad_families))
        self._knows_families |= chunk.knows_families

    def add_records(self, records: list[bytes]) -> None:
        """Add models that were looked at when they came: they are from our own disk.

        Raises:
            MalformedMessage: one is no message.
        """
        self._received += len(records)
        self._catalog.add(records)

    def finish(self, end: pb.WatchEvent.End, held: View) -> View:
        """The view that takes the place of `held`.

        Raises:
            BrokenWatch: not as many models as the end says.
        """
        if end.models != self._received:
            raise BrokenWatch(f"{self._received} of {end.models} models arrived")
        self._catalog.add(list(self._last_good(held.catalog)))
        catalog = self._catalog.built(self._begin.catalog, self._begin.revision)
        # A list with a hole in it would make the previous generation the active one.
        is_held = bool(self._bad_generations)
        generations = held.generations if is_held else tuple(self._generations)
        ramp = held.ramp if is_held else self._ramp
        thaw = self._begin.thaw if self._begin.HasField("thaw") else None
        limits = self._limits_after(held.limits)
        families = self._families_after(held.families)
        return successor(held, catalog, generations, self._cells, thaw, ramp, limits, families)

    def _limits_after(self, held: TenantLimits) -> TenantLimits | None:
        if self._default_limits is None:
            return None
        last_good = {
            one.tenant: held.tenants[one.tenant] for one in self._bad_limits if one.tenant in held.tenants
        }
        default = _usable([self._default_limits], limits_from_pb)
        return TenantLimits(held.default).after(last_good | self._limits, *default)

    def _families_after(self, held: Families) -> Families | None:
        if not self._knows_families:
            return None
        bad = {(one.tenant, one.name) for one in self._bad_families}
        return Families().after({key: held.get(*key) for key in bad} | self._families)

    def _last_good(self, held: Catalog) -> Iterator[bytes]:
        for message in self._bad_models:
            record = held.find_record(message.tenant, message.name)
            if record is not None:
                yield record


def slices(models: Sequence[pb.Model]) -> Iterator[Sequence[pb.Model]]:
    """`models`, as many at a time as stall no event loop; nothing of none."""
    return (models[start : start + _PART_MODELS] for start in range(0, len(models), _PART_MODELS))


def usable_records(models: Iterable[pb.Model]) -> list[bytes]:
    """What a catalog holds of these, without those that cannot be used."""
    return _usable(models, _record)


def change_of(message: pb.WatchEvent.Delta, records: Iterable[bytes] | None = None) -> ViewChange:
    """The change that a delta stands for, without what cannot be used; `records`: models that can be."""
    if records is None:
        records = usable_records(message.models)
    removed = tuple((key.tenant, key.name) for key in message.removed_models)
    bad: list[pb.Generation] = []
    generations = tuple(_usable(message.generations, _generation, bad))
    return ViewChange(
        Delta(message.revision, tuple(records), removed),
        tuple(_usable(message.cells, cell_from_pb)),
        tuple(message.removed_cells),
        () if bad else generations,
        min(message.ramp, WHOLE) if message.HasField("ramp") and not bad else None,
        tuple(_usable(message.limits, tenant_limits_from_pb)),
        _usable_one(message.default_limits, limits_from_pb) if message.HasField("default_limits") else None,
        tuple(_usable(message.families, changed_from_pb)),
    )


def events_of(view: View) -> Iterator[pb.WatchEvent]:
    """The events that build `view` from nothing."""
    yield begin_of(view)
    yield fleet_of(view)
    yield from limits_of(view)
    yield from families_of(view)
    yield from models_of(view)
    yield from end_of(view)


def begin_of(view: View) -> pb.WatchEvent:
    catalog = view.catalog
    begin = pb.WatchEvent.Begin(catalog=catalog.name, revision=catalog.revision, thaw=view.thaw)
    return pb.WatchEvent(begin=begin)


def fleet_of(view: View) -> pb.WatchEvent:
    """Cells and generations; the same for every view with the same of these."""
    fleet = pb.WatchEvent.Chunk(
        cells=[cell_to_pb(known.cell) for known in view.cells.values()],
        generations=[generation_to_pb(generation) for generation in view.generations],
        ramp=view.ramp,
        knows_families=True,
    )
    return pb.WatchEvent(chunk=fleet)


def limits_of(view: View, at_once: int = _CHUNK_LIMITS) -> Iterator[pb.WatchEvent]:
    """What tenants may take: everybody's first."""
    default = limits_to_pb(view.limits.default)
    yield pb.WatchEvent(chunk=pb.WatchEvent.Chunk(default_limits=default))
    limits = iter(view.limits.tenants.items())
    while chunk := [tenant_limits_to_pb(one) for one in islice(limits, at_once)]:
        yield pb.WatchEvent(chunk=pb.WatchEvent.Chunk(limits=chunk))


def families_of(view: View) -> Iterator[pb.WatchEvent]:
    """Each by itself: one may have hundreds of features."""
    for family in view.families.all():
        yield pb.WatchEvent(chunk=pb.WatchEvent.Chunk(families=[family_to_pb(family.key, family)]))


def models_of(view: View, at_once: int = _CHUNK_MODELS) -> Iterator[pb.WatchEvent]:
    """The catalog, so many models in each event."""
    return map(pb.WatchEvent.FromString, encoded_models_of(view, at_once))


def encoded_models_of(view: View, at_once: int) -> Iterator[bytes]:
    """The same as bytes, which take no encoding."""
    records = view.catalog.records()
    while chunk := list(islice(records, at_once)):
        yield chunk_event(chunk)


def end_of(view: View) -> Iterator[pb.WatchEvent]:
    catalog = view.catalog
    yield pb.WatchEvent(end=pb.WatchEvent.End(models=catalog.size))
    departed = [name for name, known in view.cells.items() if known.departed]
    if departed:
        yield pb.WatchEvent(delta=pb.WatchEvent.Delta(revision=catalog.revision, removed_cells=departed))


def view_of(events: Iterable[pb.WatchEvent | list[bytes]]) -> View:
    """The view that whole `events` build from nothing; a list is a chunk of models that were looked at then.

    Raises:
        BrokenWatch: no snapshot, or only a part of one.
    """
    assembly: Assembly | None = None
    view: View | None = None
    for event in events:
        if isinstance(event, list):
            if assembly:
                assembly.add_records(event)
            continue
        kind = event.WhichOneof("event")
        if kind == "begin":
            assembly = Assembly(event.begin)
        elif kind == "chunk" and assembly:
            assembly.add(event.chunk)
        elif kind == "end" and assembly:
            view = assembly.finish(event.end, View())
        elif kind == "delta" and view:
            view = view.after(change_of(event.delta))
    if view is None:
        raise BrokenWatch("there is no whole snapshot")
    return view


def _record(message: pb.Model) -> bytes:
    record = message.SerializeToString(deterministic=True)
    model = read_model(record)
    if model.release is not None:
        check_release(model.release, model.versions)
    return record


def _generation(message: pb.Generation) -> Generation:
    return check_generation(generation_from_pb(message))


def _usable_one(message: M, convert: Callable[[M], T]) -> T | None:
    return next(iter(_usable([message], convert)), None)


def _usable(messages: Iterable[M], convert: Callable[[M], T], bad: list[M] | None = None) -> list[T]:
    found = []
    for message in messages:
        try:
            found.append(convert(message))
        except (InvalidRequest, ValueError) as error:
            _BAD.inc()
            _log.warning("left out a record that cannot be used: %s", error)
            if bad is not None:
                bad.append(message)
    return found
