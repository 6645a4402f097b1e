"""Reads of the feature store: those of all requests of a turn are one, and of one key there is one at a time.

    want ─▶ known lately? ─▶ already on its way: wait for that
                               └─▶ in the next read: when the turn ends, or one of the few under way is back

However many requests ask for an entity, the store is asked once. A store that fails or is slow is left alone
for a moment, in which all are told at once that it did not say; then one read finds out whether it is back.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from math import inf
from typing import Final, Protocol

from croupier.errors import CroupierError
from croupier.stores.feature_blob import COMPRESSED, BadBlob, decode, header
from croupier.stores.feature_schemas import Schemas
from croupier.stores.features import FeatureStore
from croupier.telemetry.metrics import Counter, Gauge, LoopCounter, LoopHistogram
from router.feature_cache import Recent
from router.feature_plan import DOWN, Found, Stored
from router.settings import RouterSettings

_log = logging.getLogger(__name__)
_WANTED = LoopCounter(
    "croupier_router_feature_reads_total",
    "Blobs of features that requests wanted, by where they were found",
    ["found"],
    known=(("cache",), ("under way",), ("store",), ("down",)),
)
_CACHE, _UNDER_WAY, _STORE, _NOWHERE = ("cache",), ("under way",), ("store",), ("down",)
_SECONDS = LoopHistogram(
    "croupier_router_feature_store_seconds",
    "Reads of the feature store",
    buckets=(1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1.0),
).labels()
_KEYS = LoopHistogram(
    "croupier_router_feature_store_keys", "Keys in one read", buckets=(1, 4, 16, 64, 256, 1024)
).labels()
_FAILED = Counter("croupier_router_feature_store_failures_total", "Reads that failed or took too long")
_IS_DOWN = Gauge("croupier_router_feature_store_down", "1 while the feature store does not answer")
_BAD = Counter("croupier_router_feature_bad_blobs_total", "Blobs that cannot be read: taken as missing")

# Keys of one read, reads under way at a time, and keys that are waited for.
_MOST_KEYS = 1024
_MOST_READS = 4
_MOST_WAITING = 65_536
# Seconds that a store which failed is left alone.
_PAUSE = 0.25
# What nobody has tried again since says nothing of now.
LATELY_SECONDS = 10.0
# What a value takes in memory, more or less, beside its bytes in the blob.
_VALUE_BYTES = 100
# How much longer a read of features may take than a request waits for it: the next ones find what it found.
_PATIENCE = 2.5


class Waits:
    """Said of what has to be read: whoever wants it is told."""


WAITS: Final = Waits()


class Waiter(Protocol):
    def take(self, key: bytes, found: Found) -> None:
        """What was wanted has come."""


class _Known:
    """Of a key: what is stored, or that nothing is."""

    __slots__ = ("stored",)

    def __init__(self, stored: Stored | None) -> None:
        self.stored = stored


class FeatureReads:
    """Of `store`; `clock` is monotonic. A read may take `timeout` seconds; what it found is known for
    `known_seconds`, in `most_bytes`.
    """

    def __init__(
        self,
        store: FeatureStore,
        *,
        clock: Callable[[], float],
        timeout: float,
        known_seconds: float,
        most_bytes: int,
    ) -> None:
        self._store = store
        self._schemas = Schemas(store, clock)
        self._clock = clock
        self._timeout = timeout
        self._known_seconds = known_seconds
        self._known: Recent[_Known] = Recent(most_bytes)
        # Keys that the next reads are for, in their order, with their groups; and all that are waited for.
        self._next: dict[bytes, str] = {}
        self._waiting: dict[bytes, list[Waiter]] = {}
        self._reading: set[asyncio.Task[None]] = set()
        self._is_due = False
        # Until when the store is left alone; infinite while it is all right.
        self._down_until = inf
        self._why = ""

    @property
    def why_down(self) -> str:
        """Why the store did not answer, if it was asked lately; "" while it does."""
        return self._why if self._clock() < self._down_until + LATELY_SECONDS else ""

    @property
    def size(self) -> int:
        """Bytes that are remembered, as far as they are counted."""
        return self._known.size

    def want(self, key: bytes, group: str, waiter: Waiter, now: float) -> Found | Waits:
        """What lies at `key`, of `group`, if that is known at once; WAITS: `waiter` is told."""
        known = self._known.get(key, now)
        if known is not None:
            _WANTED.values[_CACHE] += 1
            return known.stored
        waiting = self._waiting.get(key)
        if waiting is not None:
            _WANTED.values[_UNDER_WAY] += 1
            waiting.append(waiter)
            return WAITS
        if not self._may_ask(now) or len(self._waiting) >= _MOST_WAITING:
            _WANTED.values[_NOWHERE] += 1
            return DOWN
        _WANTED.values[_STORE] += 1
        self._waiting[key] = [waiter]
        self._next[key] = group
        if not self._is_due and len(self._reading) < _MOST_READS:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._begin)
        return WAITS

    async def close(self) -> None:
        """Give up what is under way; whoever waits is told nothing more."""
        self._waiting.clear()
        self._next.clear()
        reading = list(self._reading)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        await self._store.close()

    def _may_ask(self, now: float) -> bool:
        """Whether the store may be asked: of those who come while it is down, one at a time."""
        if now < self._down_until:
            return self._down_until == inf
        self._down_until = now + _PAUSE
        return True

    def _begin(self) -> None:
        self._is_due = False
        while self._next and len(self._reading) < _MOST_READS:
            keys = {key: self._next.pop(key) for key in [*islice(self._next, _MOST_KEYS)]}
            task = asyncio.get_running_loop().create_task(self._read(keys), name="a read of features")
            self._reading.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._reading.discard(task)
        if self._next:
            self._begin()

    async def _read(self, keys: Mapping[bytes, str]) -> None:
        began = self._clock()
        found: Sequence[Found]
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._stored(keys)
        except (TimeoutError, CroupierError) as error:
            self._failed(error)
            found = [DOWN] * len(keys)
            # Those behind need not find it out, one read after the other.
            behind, self._next = self._next, {}
            for key in behind:
                self._tell(key, DOWN)
        except Exception:  # noqa: BLE001 - whatever it is, whoever waits is told
            _log.exception("a bug in a read of features")
            found = [DOWN] * len(keys)
        else:
            if self._why:
                _log.warning("the feature store answers again")
            self._down_until, self._why = inf, ""
            _IS_DOWN.set(0)
        now = self._clock()
        _SECONDS.observe(now - began)
        _KEYS.observe(len(keys))
        for key, one in zip(keys, found, strict=True):
            self._tell(key, one)

    def _tell(self, key: bytes, found: Found) -> None:
        for waiter in self._waiting.pop(key, ()):
            try:
                waiter.take(key, found)
            except Exception:  # noqa: BLE001 - whoever else waits is told
                _log.exception("a bug in what waited for features")

    async def _stored(self, keys: Mapping[bytes, str]) -> list[Found]:
        blobs = await self._store.get_many([*keys])
        named = [
            None if blob is None else _schema_of(group, blob)
            for group, blob in zip(keys.values(), blobs, strict=True)
        ]
        unknown = {one for one in set(named) if one is not None and self._schemas.is_to_be_read(*one)}
        if unknown:
            await self._schemas.read(unknown)
        until = self._clock() + self._known_seconds
        found: list[Found] = []
        for key, blob, schema in zip(keys, blobs, named, strict=True):
            stored = None if blob is None else self._decoded(blob, schema)
            if self._known_seconds:
                self._known.put(key, _Known(stored), until, len(key) + _size(stored, blob))
            found.append(stored)
        return found

    def _decoded(self, blob: bytes, named: tuple[str, int] | None) -> Stored | None:
        try:
            schema = None if named is None else self._schemas.known(*named)
            if schema is None:
                raise BadBlob("its schema is not in the store")
            event_ms, values = decode(blob, schema)
        except BadBlob as error:
            _BAD.inc()
            _log.warning("features that cannot be read are taken as missing: %s", error)
            return None
        return Stored(values, event_ms)

    def _failed(self, error: Exception) -> None:
        _FAILED.inc()
        # Once for each cause, and not for each read.
        why = str(error) or "it takes too long"
        if why != self._why:
            _log.error("the feature store does not answer: %s", why)
        self._why = why
        self._down_until = self._clock() + _PAUSE
        _IS_DOWN.set(1)


def _size(stored: Stored | None, blob: bytes | None) -> int:
    """Of what was read; what is compressed says little about that."""
    if stored is None or blob is None:
        return 0
    size = _VALUE_BYTES * len(stored.values) + len(blob)
    if blob[1] & COMPRESSED:
        size += sum(sys.getsizeof(value) for value in stored.values.values() if isinstance(value, str))
    return size


def _schema_of(group: str, blob: bytes) -> tuple[str, int] | None:
    """The group and the fingerprint of a blob's schema; None for a blob that has no header."""
    try:
        return group, header(blob)[0]
    except BadBlob:
        return None


def reads_of(
    settings: RouterSettings, store: FeatureStore | None, clock: Callable[[], float]
) -> FeatureReads | None:
    """Those of a router with `settings`; None: it has no store."""
    if store is None:
        return None
    # A row is made of what is known for half of the time, and is known for the other half.
    return FeatureReads(
        store,
        clock=clock,
        timeout=_PATIENCE * settings.features_timeout,
        known_seconds=settings.features_known / 2,
        most_bytes=settings.features_bytes // 2,
    )
