"""What was good, on disk, so that a manager which starts on garbage serves what it served before.

A sealed file (`croupier/sealed.py`) of lines of JSON that an operator can read: a head that says which keys
of which etcd, then every key that is served or known with its last good value:

    {"prefix":"croupier/","cluster":"…","catalog":"…","revision":812}
    ["croupier/models/acme/wine/release",801,{…}]

The revision of a key is 0 where etcd says something else by now, or nothing although nobody with the right
took it away. At the start the file is what the manager knew when it last looked, and etcd's listing is judged
by it as after a break of the watch (`mirror`). Cells are not in it: they register by themselves.

One that is damaged or of another deployment is ignored and counted. It is kept beside the next one, as
`<name>.ignored`, since it may be the last that knows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec

from croupier.sealed import CorruptFile, read_sealed, write_sealed
from croupier.stores.etcd import KeyValue
from croupier.telemetry.metrics import Counter
from version_manager.map.chunks import Chunk
from version_manager.map.image import Image, Map
from version_manager.map.keys import Keys
from version_manager.map.mods import ModelId
from version_manager.map.records import Record, Spent, encode
from version_manager.model.limits import NO_LIMITS

_log = logging.getLogger(__name__)
_IGNORED = Counter(
    "croupier_version_manager_ignored_snapshots_total", "Snapshot files that were damaged or of another etcd"
)
_FAILED = Counter("croupier_version_manager_snapshot_failures_total", "Snapshots that could not be written")

_MAGIC = b"croupier-manager-snapshot 1\n"
# Writing takes at most this share of the time, however large the catalog is.
_WRITING_SHARE = 0.1


class _Head(msgspec.Struct, frozen=True):
    prefix: str
    cluster: str
    catalog: str
    revision: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`pairs` are last good values of the keys below `prefix` in etcd's cluster `cluster_id`, as the catalog
    `catalog` had them at `revision`.
    """

    prefix: str
    cluster_id: int
    catalog: str
    revision: int
    pairs: Iterable[KeyValue]


def write(path: Path, snapshot: Snapshot) -> None:
    """Put `snapshot` at `path`, whole or not at all.

    Raises:
        OSError: the disk would not take it.
    """
    write_sealed(path, _MAGIC, _lines(snapshot))


def read(path: Path) -> Snapshot:
    """The snapshot at `path`.

    Raises:
        CorruptFile: the file is damaged, or not a snapshot.
        OSError: there is none, or it cannot be read.
    """
    body = bytes(read_sealed(path, _MAGIC))
    try:
        first, *others = body.splitlines()
        head = msgspec.json.decode(first, type=_Head)
        pairs = tuple(_pair(line) for line in others)
        return Snapshot(head.prefix, int(head.cluster, 16), head.catalog, head.revision, pairs)
    except (ValueError, RecursionError) as error:
        raise CorruptFile(f"{path} does not hold a snapshot") from error


def read_if_good(path: Path, prefix: str) -> Snapshot | None:
    """The snapshot of the keys below `prefix`; None, with a line in the log, if there is none to use."""
    try:
        snapshot = read(path)
    except FileNotFoundError:
        return None
    except (CorruptFile, OSError) as error:
        _log.error("the snapshot is ignored: %s", error)
        set_aside(path)
        return None
    if snapshot.prefix != prefix:
        _log.error("the snapshot is ignored: it is of the keys below %s", snapshot.prefix)
        set_aside(path)
        return None
    return snapshot


def set_aside(path: Path) -> None:
    """Keep the file at `path`, which is not believed, from being written over."""
    _IGNORED.inc()
    try:
        path.replace(path.with_name(f"{path.name}.ignored"))
    except OSError as error:
        _log.error("it could not be kept: %s", error)


async def keep(
    path: Path, take: Callable[[], Snapshot], next_move: Callable[[], asyncio.Event], *, delay: float = 0.25
) -> None:
    """Write what `take` gives to `path` at every `next_move`, and for a last time when cancelled.

    Changes that come within `delay` seconds of each other share one write, which a thread makes.
    """
    moved = next_move()
    try:
        while True:
            moved, began = next_move(), monotonic()
            await _finished(_write(path, take()))
            await asyncio.sleep(max(delay, (monotonic() - began) / _WRITING_SHARE))
            await moved.wait()
    finally:
        if moved.is_set():
            await _write(path, take())


async def _write(path: Path, snapshot: Snapshot) -> None:
    try:
        await asyncio.to_thread(write, path, snapshot)
    except OSError as error:
        _FAILED.inc()
        _log.error("the snapshot could not be written: %s", error)


async def _finished(work: Coroutine[Any, Any, None]) -> None:
    """Wait for all of `work`, also when cancelled: or its thread would write into the next run's file."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def last_good(image: Image, keys: Keys, *, damaged_only: bool = False) -> Iterator[KeyValue]:
    """Every value that `image` serves or knows now, as puts that have a new image serve and know the same.

    With `damaged_only`, those of which etcd says something else, or nothing: all with revision 0. To encode
    them takes long; the iterator does it, which may be in a thread while `image` goes on.
    """
    mods, bad = image.mods.copy(), image.bad
    known = ((key, record, 0 if key in bad else mods.get(key) or 0) for key, record in _records(keys, image))
    return (
        KeyValue(key, encode(record), revision, 0, 0)
        for key, record, revision in known
        if not (damaged_only and revision)
    )


def _records(keys: Keys, image: Image) -> Iterator[tuple[str, Record]]:
    return _records_of(keys, image.map, dict(image.spent))


def _records_of(keys: Keys, served: Map, spent: Mapping[ModelId, Spent]) -> Iterator[tuple[str, Record]]:
    for model in served.catalog:
        for version in model.versions.values():
            yield keys.version(model.tenant, model.name, version.number), version
        if model.release is not None:
            yield keys.release(model.tenant, model.name), model.release
    for (tenant, name), numbers in spent.items():
        yield keys.spent(tenant, name), numbers
    yield from _tenants_of(keys, served)
    yield from _configs_of(keys, served)
    yield from _generations_of(keys, served)
    if served.pointer is not None:
        yield keys.active, served.pointer
    if served.thaw is not None:
        yield keys.thaw, served.thaw
    if served.seed is not None:
        yield keys.seed, served.seed


def _tenants_of(keys: Keys, served: Map) -> Iterator[tuple[str, Record]]:
    for tenant, residency in served.residencies.items():
        yield keys.residency(tenant), residency
    for tenant, limits in served.limits.tenants.items():
        yield keys.limits(tenant), limits
    if served.limits.default != NO_LIMITS:
        yield keys.limits(), served.limits.default


def _configs_of(keys: Keys, served: Map) -> Iterator[tuple[str, Record]]:
    for key, config in served.configs.held.items():
        yield keys.config(*key), config
    for old, config in served.configs.old.items():
        yield keys.old_config(*old), config


def _generations_of(keys: Keys, served: Map) -> Iterator[tuple[str, Record]]:
    deal = {generation.number: generation for generation in served.generations}
    for number, generation in (deal | dict(served.archive)).items():
        whole = served.chunked.get(number)
        if whole is None:
            yield keys.generation(number), generation
            continue
        yield keys.generation(number), whole.head
        for place, text in enumerate(whole.texts, 1):
            yield keys.chunk(number, place), Chunk(text)


def _lines(snapshot: Snapshot) -> Iterator[bytes]:
    head = _Head(snapshot.prefix, f"{snapshot.cluster_id:x}", snapshot.catalog, snapshot.revision)
    yield msgspec.json.encode(head) + b"\n"
    for pair in snapshot.pairs:
        yield msgspec.json.encode((pair.key, pair.mod_revision, msgspec.Raw(pair.value))) + b"\n"


def _pair(line: bytes) -> KeyValue:
    key, mod_revision, value = msgspec.json.decode(line, type=tuple[str, int, msgspec.Raw])
    return KeyValue(key, bytes(value), mod_revision, 0, 0)
