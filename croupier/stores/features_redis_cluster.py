"""Features in a Redis Cluster, by redis-py's own client: it knows which node has a key and when that changes.

Keys of one read lie on different nodes, so it is one pipeline of MGETs a node (`mget_nonatomic`). The client
closes the connection of a cancelled command, as `features_redis` does for its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from redis.asyncio.cluster import ClusterNode, RedisCluster

from croupier.stores.features_redis_errors import translated
from croupier.stores.features_redis_options import CHANGE, escaped, milliseconds, options, tls_options
from croupier.stores.features_redis_url import RedisPlace

_WRITTEN_AT_ONCE = 1000
_SCANNED_AT_ONCE = 1000


class RedisClusterFeatures:
    """The features at `place`; nothing is connected before it is used."""

    def __init__(self, place: RedisPlace) -> None:
        self._place = place
        self._client = RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in place.hosts],
            max_connections=place.connections,
            **options(place, attempts=2),
            **({"ssl": True, **tls_options(place)} if place.tls else {}),
        )
        # A node that has no connection left refuses at once, where others wait.
        self._free = asyncio.Semaphore(place.connections)

    async def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        if not keys:
            return ()
        with translated(self._place):
            async with asyncio.timeout(self._place.timeout), self._free:
                found: list[bytes | None] = await self._client.mget_nonatomic(keys)
                return found

    async def put_many(self, items: Sequence[tuple[bytes, bytes]], keep_seconds: float | None) -> None:
        keep = None if keep_seconds is None else milliseconds(keep_seconds)
        for start in range(0, len(items), _WRITTEN_AT_ONCE):
            with translated(self._place):
                async with asyncio.timeout(self._place.timeout), self._free:
                    pipeline = self._client.pipeline()
                    for key, value in items[start : start + _WRITTEN_AT_ONCE]:
                        pipeline.set(key, value, px=keep)
                    await pipeline.execute()

    async def scan(self, prefix: bytes) -> AsyncIterator[bytes]:
        keys = self._client.scan_iter(
            match=escaped(prefix) + b"*", count=_SCANNED_AT_ONCE, target_nodes=RedisCluster.PRIMARIES
        )
        while True:
            with translated(self._place):
                async with asyncio.timeout(self._place.timeout):
                    key = await anext(keys, None)
            if key is None:
                return
            yield key

    async def delete_many(self, keys: Sequence[bytes]) -> int:
        if not keys:
            return 0
        with translated(self._place):
            async with asyncio.timeout(self._place.timeout), self._free:
                return int(await self._client.delete(*keys))

    async def change_many(self, changes: Sequence[tuple[bytes, bytes, bytes | None]]) -> int:
        count = 0
        for key, old, new in changes:
            with translated(self._place):
                async with asyncio.timeout(self._place.timeout), self._free:
                    count += await self._client.eval(CHANGE.decode(), 1, key, old, new or b"")
        return count

    async def types(self, keys: Sequence[bytes]) -> list[str]:
        """What Redis calls the type of each key; "none": there is no such key any more."""
        with translated(self._place):
            async with asyncio.timeout(self._place.timeout), self._free:
                found = [await self._client.type(key) for key in keys]
        return [name.decode() if isinstance(name, bytes) else name for name in found]

    async def close(self) -> None:
        with translated(self._place):
            await self._client.aclose()
