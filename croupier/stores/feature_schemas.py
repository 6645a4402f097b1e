"""The schemas of a feature store, each read once: what a fingerprint means never changes.

A fingerprint that has no schema is asked for again after a while, since a writer may be about to put it; the
bound on how many are remembered is for a store in which somebody writes fingerprints at random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from croupier.bounded import Bounded
from croupier.stores.feature_blob import BadSchema, Schema
from croupier.stores.features import FeatureStore, schema_key, schemas_prefix

_MOST = 10_000
_ASK_AGAIN = 5.0


class Schemas:
    """Of `store`; `clock` gives seconds."""

    def __init__(self, store: FeatureStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._known: Bounded[tuple[str, int], Schema] = Bounded(_MOST)
        self._unknown: Bounded[tuple[str, int], float] = Bounded(_MOST)

    def known(self, group: str, fingerprint: int) -> Schema | None:
        """The schema, if it was read; None: it was not, or there is none (`is_to_be_read`)."""
        return self._known.get((group, fingerprint))

    def is_to_be_read(self, group: str, fingerprint: int) -> bool:
        """Whether `read` is worth while: it is not known, and not known to be missing."""
        key = group, fingerprint
        return key not in self._known and self._clock() >= self._unknown.get(key, 0.0)

    async def read(self, wanted: Iterable[tuple[str, int]]) -> None:
        """Have those of `wanted` (group and fingerprint) that are to be read, in one read of the store.

        One that is missing or damaged is not known afterwards. Raises what `get_many` does.
        """
        missing = [key for key in dict.fromkeys(wanted) if self.is_to_be_read(*key)]
        if not missing:
            return
        found = await self._store.get_many([schema_key(*key) for key in missing])
        for key, data in zip(missing, found, strict=True):
            schema = _parsed(data, key[1])
            if schema is None:
                self._unknown[key] = self._clock() + _ASK_AGAIN
            else:
                self._known[key] = schema
                self._unknown.pop(key, None)

    async def put(self, group: str, schema: Schema) -> None:
        """Have `schema` in the store, before the first blob of it. Kept until it is deleted."""
        key = group, schema.fingerprint
        await self._store.put_many([(schema_key(*key), schema.json)], None)
        self._known[key] = schema
        self._unknown.pop(key, None)

    async def of_group(self, group: str) -> dict[int, Schema | None]:
        """All schemas of a group by their fingerprints; None: it cannot be read."""
        prefix = schemas_prefix(group)
        keys = [key async for key in self._store.scan(prefix)]
        found = await self._store.get_many(keys) if keys else []
        return {
            fingerprint: _parsed(data, fingerprint)
            for key, data in zip(keys, found, strict=True)
            if (fingerprint := _fingerprint(key[len(prefix) :])) is not None
        }


def _parsed(data: bytes | None, fingerprint: int) -> Schema | None:
    if data is None:
        return None
    try:
        schema = Schema.parse(data)
    except BadSchema:
        return None
    return schema if schema.fingerprint == fingerprint else None


def _fingerprint(digits: bytes) -> int | None:
    try:
        value = int(digits, 16)
    except ValueError:
        return None
    return value if b"%016x" % value == digits else None
