"""What writes a version manager's records, on an etcd, without a version manager around it."""

from __future__ import annotations

import random
import sys
from collections.abc import Collection, Sequence
from typing import Any

from support.records import KEYS

from croupier.artifacts.format import digest_of
from croupier.stores.etcd import Etcd
from version_manager.map.audit import Actor, Audit
from version_manager.map.image import Map
from version_manager.model.catalog import Catalog
from version_manager.writes.bulk import BulkPublisher
from version_manager.writes.publisher import Publisher
from version_manager.writes.releases import Releases
from version_manager.writes.stored_models import StoredModels
from version_manager.writes.writer import Writer

ACTOR = Actor("tester", "here")


class MemoryStore:
    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}

    async def put(self, data: bytes) -> bytes:
        self.kept[digest_of(data)] = data
        return digest_of(data)

    async def put_many(self, many: Sequence[bytes]) -> None:
        for data in many:
            await self.put(data)

    async def absent(self, digests: Collection[bytes]) -> set[bytes]:
        return set(digests) - self.kept.keys()


class OpenMirror:
    """A mirror that is never frozen and sees everything at once."""

    map = Map(Catalog.build(), {}, (), {})

    def check_writable(self) -> None:
        pass

    def spent(self, tenant: str, name: str) -> None:
        return None

    def mod_revision(self, key: str) -> int:
        return sys.maxsize

    async def reached(self, revision: int, timeout: float) -> bool:
        return True


def parts(etcd: Etcd, understood: int = 1) -> tuple[Any, ...]:
    """The mirror, the writer and the audit."""
    mirror = OpenMirror()
    audit = Audit(KEYS, lambda: 1_700_000_000 * 10**9, random.Random(1))
    return mirror, Writer(etcd, mirror, KEYS, lambda: understood), audit


def releases(etcd: Etcd, understood: int = 1, **options: Any) -> Releases:
    mirror, writer, audit = parts(etcd, understood)
    now = 1_700_000_000.0
    return Releases(StoredModels(etcd, mirror, KEYS), writer, KEYS, audit, clock=lambda: now, **options)


def publisher(etcd: Etcd, store: MemoryStore, understood: int = 1, **options: Any) -> Publisher:
    mirror, writer, audit = parts(etcd, understood)
    models, now = StoredModels(etcd, mirror, KEYS), 1_700_000_000 * 10**9
    others = store, mirror, writer, KEYS, audit
    return Publisher(models, releases(etcd, understood), *others, clock=lambda: now, **options)


def bulk(etcd: Etcd, store: MemoryStore, understood: int = 1, **options: Any) -> BulkPublisher:
    mirror, writer, audit = parts(etcd, understood)
    others = publisher(etcd, store, understood, **options), releases(etcd, understood)
    return BulkPublisher(StoredModels(etcd, mirror, KEYS), *others, store, mirror, writer, KEYS, audit)
