"""A feature store that is told when to answer, and one entity's features."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from croupier.stores.feature_blob import Schema, encode
from croupier.stores.features import features_key, schema_key
from router.feature_plan import Stored
from router.features import Features
from router.wheel import Wheel

SCHEMA = Schema([("age", "number"), ("word", "text")])
BLOB = encode(SCHEMA, {"age": 40.0, "word": "yes"}, 1000)
STORED = Stored({"age": 40.0, "word": "yes"}, 1000)
SCHEMA_KEY = schema_key("person", SCHEMA.fingerprint)


def key(entity: str) -> bytes:
    return features_key("acme", "person", entity)


class Store:
    """Has what is in `held`; while `gate` is closed, reads wait."""

    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {SCHEMA_KEY: SCHEMA.json}
        self.reads: list[list[bytes]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.under_way = self.most = 0
        self.is_closed = False

    async def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        self.reads.append(list(keys))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.gate.wait()
            if self.error is not None:
                raise self.error
            return [self.held.get(one) for one in keys]
        finally:
            self.under_way -= 1

    async def put_many(self, items: Sequence[tuple[bytes, bytes]], keep_seconds: float | None) -> None:
        self.held.update(items)

    async def scan(self, prefix: bytes) -> AsyncIterator[bytes]:
        for one in self.held:
            yield one

    async def delete_many(self, keys: Sequence[bytes]) -> int:
        return sum(self.held.pop(one, None) is not None for one in keys)

    async def close(self) -> None:
        self.is_closed = True


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def no_store() -> Features:
    """The stage of a router without a feature store."""
    return Features(None, Wheel(), clock=lambda: 0.0, now_ms=lambda: 0)
