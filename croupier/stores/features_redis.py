"""Features in Redis: one server, or the master that Sentinel knows.

redis-py makes and reads connections; how they are shared is decided here, since an answer of one request
must never be another's. A command takes an idle connection or makes one, of a bounded number, and gives it
back when every reply was read. In all other cases, a cancelled command, a time-out, an error of the
connection, it is closed and forgotten, whatever of a reply may be under way (redis-py had that wrong:
CVE-2023-28858).

A read is one MGET, and a write one SET a key, all in one piece: an MSET with an EXPIRE for each key, made by
redis-py, took six times as long, and a writer that is killed between the two leaves keys for ever. Both may
be done twice, so a connection that turns out to be closed (the server was started again) is replaced once.
`features_redis_cluster` has what a cluster does otherwise.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from redis import exceptions as redis
from redis.asyncio import ConnectionPool, SSLConnection
from redis.asyncio.connection import AbstractConnection, Connection
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool

from croupier.stores.features_redis_errors import translated
from croupier.stores.features_redis_options import (
    CHANGE,
    command,
    escaped,
    milliseconds,
    options,
    tls_options,
)
from croupier.stores.features_redis_url import RedisPlace

_WRITTEN_AT_ONCE = 1000
_SCANNED_AT_ONCE = 1000
_NEVER = math.inf


class RedisFeatures:
    """The features at `place`; nothing is connected before it is used."""

    def __init__(self, place: RedisPlace) -> None:
        self._place = place
        self._pool = _pool(place)
        self._idle: list[AbstractConnection] = []
        self._free = asyncio.Semaphore(place.connections)

    async def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        if not keys:
            return ()
        (values,) = await self._ask([command(b"MGET", *keys)], 1)
        found: list[bytes | None] = values
        return found

    async def put_many(self, items: Sequence[tuple[bytes, bytes]], keep_seconds: float | None) -> None:
        for start in range(0, len(items), _WRITTEN_AT_ONCE):
            chunk = items[start : start + _WRITTEN_AT_ONCE]
            await self._ask(_sets(chunk, keep_seconds), len(chunk))

    async def scan(self, prefix: bytes) -> AsyncIterator[bytes]:
        pattern, cursor = escaped(prefix) + b"*", b"0"
        while True:
            asked = command(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"%d" % _SCANNED_AT_ONCE)
            ((cursor, keys),) = await self._ask([asked], 1)
            for key in keys:
                yield key
            if cursor == b"0":
                return

    async def delete_many(self, keys: Sequence[bytes]) -> int:
        if not keys:
            return 0
        (count,) = await self._ask([command(b"DEL", *keys)], 1)
        return int(count)

    async def change_many(self, changes: Sequence[tuple[bytes, bytes, bytes | None]]) -> int:
        asked = [command(b"EVAL", CHANGE, b"1", key, old, new or b"") for key, old, new in changes]
        return sum(await self._ask(asked, len(asked)))

    async def types(self, keys: Sequence[bytes]) -> list[str]:
        """What Redis calls the type of each key; "none": there is no such key any more."""
        return [
            found.decode() for found in await self._ask([command(b"TYPE", key) for key in keys], len(keys))
        ]

    async def close(self) -> None:
        await self._forget_idle()
        if isinstance(self._pool, SentinelConnectionPool):
            for sentinel in self._pool.sentinel_manager.sentinels:
                await sentinel.aclose()

    async def _ask(self, commands: Iterable[bytes], count: int) -> list[Any]:
        """Send `commands` in one piece; returns their `count` replies."""
        sent = b"".join(commands)
        with translated(self._place):
            async with asyncio.timeout(self._place.timeout), self._free:
                if self._idle:
                    try:
                        return await self._exchange(self._idle.pop(), sent, count)
                    except redis.ConnectionError:
                        # The others are as old.
                        await self._forget_idle()
                made: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
                return await self._exchange(made, sent, count)

    async def _exchange(self, connection: AbstractConnection, sent: bytes, count: int) -> list[Any]:
        """Give `connection` back if all replies were read, and else close it."""
        replies: list[Any] = []
        refused: redis.ResponseError | None = None
        try:
            if not connection.is_connected:
                await connection.connect()  # type: ignore[no-untyped-call]
            await connection.send_packed_command(sent, check_health=False)
            for _ in range(count):
                try:
                    replies.append(await connection.read_response(timeout=_NEVER))
                except redis.ResponseError as error:
                    refused = refused or error
            if isinstance(refused, redis.ReadOnlyError):
                # Who is the master now may be known to a new connection.
                raise refused
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._idle.append(connection)
        if refused is not None:
            raise refused
        return replies

    async def _forget_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect(nowait=True)


def _pool(place: RedisPlace) -> ConnectionPool:
    """What makes connections; none is kept in it."""
    found = options(place) | {"db": place.database}
    if place.kind == "sentinel":
        tls = {"ssl": True, **tls_options(place)} if place.tls else {}
        of_sentinels = {
            name: value for name, value in found.items() if name not in ("db", "username", "password")
        }
        known: Any = Sentinel
        sentinels = known(place.hosts, sentinel_kwargs=of_sentinels | tls, **found)
        managed: Any = SentinelConnectionPool
        pool: ConnectionPool = managed(place.service, sentinels, **found, **tls)
        return pool
    ((host, port),) = place.hosts
    if place.tls:
        return ConnectionPool(SSLConnection, host=host, port=port, **found, **tls_options(place))
    return ConnectionPool(Connection, host=host, port=port, **found)


def _sets(items: Sequence[tuple[bytes, bytes]], keep_seconds: float | None) -> list[bytes]:
    words, tail = b"*3", b"\r\n"
    if keep_seconds is not None:
        words, tail = b"*5", b"\r\n$2\r\nPX\r\n" + _word(b"%d" % milliseconds(keep_seconds))
    head = words + b"\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s" + tail
    return [head % (len(key), key, len(value), value) for key, value in items]


def _word(word: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(word), word)
