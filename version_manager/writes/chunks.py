"""Writes a shard map that one value in etcd cannot hold: its chunks first, each in a transaction of its own.

They lie under a lease until the head is written, which takes them out of it in the transaction that makes the
map active. So a writer who dies leaves nothing, and a map that is half written is nobody's. None takes the
place of another: two who write the same number do not mix their chunks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from croupier.stores.etcd import Compare, Etcd, Put
from version_manager.map.audit import MANAGER, Audit
from version_manager.map.chunks import Chunk, cut
from version_manager.map.keys import GenerationKey, Keys
from version_manager.map.mirror import Mirror
from version_manager.map.records import carry_over, encode
from version_manager.writes.writer import Writer

# It is renewed; so long the chunks of a writer who died stay.
_LEASE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Loose:
    """The head of chunks that were written, and what has to hold and to be done for them to stay."""

    head: Put
    compares: tuple[Compare, ...]
    kept: tuple[Put, ...]


class Chunks:
    """Writes the chunks of generations."""

    def __init__(self, etcd: Etcd, mirror: Mirror, writer: Writer, keys: Keys, audit: Audit) -> None:
        self._etcd = etcd
        self._mirror = mirror
        self._writer = writer
        self._keys = keys
        self._audit = audit

    async def carried_over(self, before: int, number: int, value: bytes) -> bytes:
        """`value`, of generation `number`, with what a newer release wrote into generation `before`."""
        whole = self._mirror.map.chunked.get(before)
        if whole is not None:
            return carry_over(GenerationKey(number), whole.text.encode(), value)
        pair = await self._etcd.get(self._keys.generation(before))
        return value if pair is None else carry_over(GenerationKey(number), pair.value, value)

    @asynccontextmanager
    async def loose(self, number: int, value: bytes) -> AsyncIterator[Loose | None]:
        """Have etcd hold `value` in chunks for the block; None if something lies there already.

        Raises:
            NotUnderstood: not everybody is of a release that knows of chunks.
            Unavailable: etcd did not answer.
        """
        whole = cut(value)
        keys = [self._keys.chunk(number, place) for place in range(1, len(whole.texts) + 1)]
        async with self._etcd.lease(_LEASE_SECONDS) as lease:
            for key, text in zip(keys, whole.texts, strict=True):
                put = Put(key, encode(Chunk(text)), lease.id)
                entry = self._audit.entry(MANAGER, "write chunk", key.removeprefix(self._keys.shards))
                if not await self._writer.commit([Compare(key, 0)], [put], entry):
                    yield None
                    return
            yield Loose(
                Put(self._keys.generation(number), encode(whole.head)),
                tuple(Compare(key, self._mirror.mod_revision(key)) for key in keys),
                tuple(Put(key, b"", keeps_value=True) for key in keys),
            )
