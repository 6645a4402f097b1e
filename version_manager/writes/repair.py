"""Puts back into etcd what is served, where etcd says nonsense by now or has lost it.

Serving goes on without that: the last good value stays (`image`), over restarts too (`snapshot`). But it is
the managers' alone, nothing new can be built on it, and `bad_keys` alarms until somebody sees to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from croupier.stores.etcd import Compare, KeyValue, Put
from croupier.transport.steps import step
from version_manager.map.audit import Actor, Audit
from version_manager.map.keys import Keys
from version_manager.map.mirror import Mirror
from version_manager.map.records import Active, encode
from version_manager.writes.writer import TooManyWriters, Writer

# etcd takes 128 operations and 1.5 MiB a transaction.
_MOST_KEYS = 60
_MOST_BYTES = 2**20
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Repaired:
    """`keys` were written; of those `left`, no good value is known."""

    keys: tuple[str, ...]
    left: tuple[str, ...]


class Repairs:
    """Writes last good values."""

    def __init__(self, mirror: Mirror, writer: Writer, keys: Keys, audit: Audit) -> None:
        self._mirror = mirror
        self._writer = writer
        self._keys = keys
        self._audit = audit

    async def repair(self, actor: Actor, *, shards_only: bool) -> Repaired:
        """Write back what is damaged, of everything or of the shard map alone.

        Raises:
            TooManyWriters: others write the same keys over and over.
        """
        self._mirror.check_writable()
        prefix = self._keys.shards if shards_only else self._keys.prefix
        done: list[str] = []
        failures = 0
        while pairs := list(_some(pair for pair in await self._damaged(prefix) if pair.key not in done)):
            if await self._write(pairs, actor):
                done += (pair.key for pair in pairs)
            elif (failures := failures + 1) == _ATTEMPTS:
                raise TooManyWriters("what is to be repaired is being changed again and again")
        left = sorted(key for key in self._mirror.bad_keys if key.startswith(prefix) and key not in done)
        return Repaired(tuple(done), tuple(left))

    async def _damaged(self, prefix: str) -> list[KeyValue]:
        served = self._mirror.map
        # In a thread: where models are many, to find them takes long.
        with step("find"):
            found = await asyncio.to_thread(list, self._mirror.damaged())
        damaged = [pair for pair in found if pair.key.startswith(prefix)]
        if not served.generations and served.archive:
            # The newest was active: a generation and the pointer to it are written together.
            newest, before, *_ = *sorted(served.archive, reverse=True), 0
            damaged.append(KeyValue(self._keys.active, encode(Active(newest, before)), 0, 0, 0))
        return damaged

    async def _write(self, pairs: list[KeyValue], actor: Actor) -> bool:
        keys = [pair.key for pair in pairs]
        entry = self._audit.entry(actor, "repair", f"{len(keys)} keys", keys=keys)
        compares = [Compare(key, self._mirror.mod_revision(key)) for key in keys]
        return await self._writer.commit(compares, [Put(pair.key, pair.value) for pair in pairs], entry)


def _some(pairs: Iterable[KeyValue]) -> Iterator[KeyValue]:
    """As many as fit into one transaction, and at least one."""
    room = _MOST_BYTES
    for count, pair in enumerate(pairs):
        room -= len(pair.value)
        if count and (room < 0 or count == _MOST_KEYS):
            return
        yield pair
