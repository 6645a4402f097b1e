"""Features that services write through a router, for the tenant that the caller is.

A message's records are checked and packed one by one, and written at once; the next message is read when that
is done, so that a stream has one in work. A record that cannot be kept is named by its place and passed over.
When the store does not take a write, the call ends with that: nothing that it did not take is ever counted as
written, and sending all again mends it.

Groups, and so their schemas, are not one tenant's. A schema is named by a hash for which somebody could find
another schema, so one that stands there is never replaced: who comes with another of its name is rejected.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from croupier.bounded import Bounded
from croupier.errors import CroupierError, FailedPrecondition, InvalidRequest, Unavailable
from croupier.stores.feature_blob import NUMBER, TEXT, BadFeatures, Schema, Value, encode
from croupier.stores.features import FeatureStore, StoreDown, StoreFull, features_key, schema_key
from croupier.stores.refused import StoreRefused
from croupier.telemetry.metrics import LoopCounter
from croupier.transport.context import Context
from croupier.transport.serving import Server
from croupier.weight import scale_of
from protos.features.v1 import features_pb2 as pb
from router.admission import Admission
from router.identity import Identity

FEATURES = pb.DESCRIPTOR.services_by_name["FeatureService"].full_name
_WRITE = f"/{FEATURES}/Write"

_log = logging.getLogger(__name__)
_RECORDS = LoopCounter(
    "croupier_router_feature_records_total",
    "Records of features that services wrote, by what became of them",
    ["outcome"],
    known=(("written",), ("rejected",), ("failed",)),
)
_WRITTEN, _REJECTED, _FAILED = ("written",), ("rejected",), ("failed",)

MOST_RECORDS = 500
_MOST_BYTES = 1 << 20
_MOST_NAMED = 100
# Records that are packed before others have their turn.
_AT_ONCE = 50
_MOST_SCHEMAS = 10_000
# A schema is looked for again after so long: `croupierctl features gc` may have removed it.
_SCHEMA_SECONDS = 60.0
_IS_TAKEN = "the name of these features' schema is another schema's"
_LONGEST_KEPT = 10 * 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class _Packed:
    """A record as it is written. `name`: the key of its schema."""

    index: int
    schema: Schema
    name: bytes
    keep_seconds: float
    key: bytes
    blob: bytes


class FeatureIngest:
    """FeatureService over `store`; `clock` is monotonic, in seconds, `now_ms` since 1970."""

    def __init__(
        self,
        store: FeatureStore,
        identity: Identity,
        admission: Admission,
        *,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._identity = identity
        self._admission = admission
        self._clock = clock
        self._now_ms = now_ms
        # When a schema was last seen in the store.
        self._seen: Bounded[bytes, float] = Bounded(_MOST_SCHEMAS)

    def add_to(self, server: Server) -> str:
        """Register the service; returns its name."""
        server.add_stream(_WRITE, self.write, max_message_bytes=_MOST_BYTES, scale=scale_of(_WRITE))
        return FEATURES

    async def write(self, requests: AsyncIterator[bytes], context: Context) -> AsyncGenerator[bytes, None]:
        """One answer for all of `requests`."""
        answer = pb.WriteResponse()
        with self._admission.stream(self._identity.tenant(context.values)) as asks:
            async for request in requests:
                # Asked for each message: a token may expire while its stream lives on.
                tenant = self._identity.tenant(context.values)
                asks()
                entered = self._admission.enter(tenant, len(request), self._clock())
                try:
                    await self._keep(tenant, request, answer)
                finally:
                    self._admission.leave(entered)
        yield answer.SerializeToString()

    async def _keep(self, tenant: str, request: bytes, answer: pb.WriteResponse) -> None:
        try:
            records = pb.WriteRequest.FromString(request).records
        except DecodeError as error:
            raise InvalidRequest("a message is no WriteRequest") from error
        if len(records) > MOST_RECORDS:
            raise InvalidRequest(
                f"{len(records)} records are over the {MOST_RECORDS} of a message", field="records"
            )
        packed = await self._all_packed(tenant, records, answer)
        try:
            taken = await self._have_schemas({one.name: one.schema for one in packed})
            for one in packed:
                if one.name in taken:
                    _reject(answer, one.index, BadFeatures(_IS_TAKEN, reason="SCHEMA_TAKEN"))
            kept = [one for one in packed if one.name not in taken]
            for keep_seconds, items in _items(kept).items():
                await self._store.put_many(items, keep_seconds or None)
        except CroupierError as error:
            _RECORDS.values[_FAILED] += len(packed)
            raise _told(error) from None
        answer.written += len(kept)
        _RECORDS.values[_WRITTEN] += len(kept)

    async def _all_packed(
        self, tenant: str, records: Sequence[pb.Record], answer: pb.WriteResponse
    ) -> list[_Packed]:
        first = answer.written + answer.rejected
        packed = []
        for at, record in enumerate(records):
            try:
                packed.append(self._packed(tenant, first + at, record))
            except InvalidRequest as error:
                _reject(answer, first + at, error)
            if at % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
        return packed

    def _packed(self, tenant: str, index: int, record: pb.Record) -> _Packed:
        """Raises InvalidRequest."""
        key = features_key(tenant, record.group, record.entity_id)
        if not (record.keep_seconds == 0 or 0.001 <= record.keep_seconds <= _LONGEST_KEPT):
            raise BadFeatures("keep_seconds is no time to keep something for", field="keep_seconds")
        values: dict[str, Value] = {}
        for value in record.values:
            kind = value.WhichOneof("value")
            if kind is None or value.name in values:
                why = "is there twice" if value.name in values else "has no value"
                raise BadFeatures(f"feature {value.name!r} {why}", field="values")
            found: Value = getattr(value, kind)
            if isinstance(found, float) and math.isnan(found):
                raise BadFeatures(f"feature {value.name!r} is no number", field="values")
            values[value.name] = found
        # Sorted, so that the same features have one schema in whatever order they come.
        schema = Schema((name, TEXT if isinstance(values[name], str) else NUMBER) for name in sorted(values))
        blob = encode(schema, values, record.event_ms or self._now_ms())
        name = schema_key(record.group, schema.fingerprint)
        return _Packed(index, schema, name, record.keep_seconds, key, blob)

    async def _have_schemas(self, schemas: dict[bytes, Schema]) -> set[bytes]:
        """Have each in the store; returns those whose name is another schema's."""
        now = self._clock()
        asked = [name for name in schemas if self._seen.get(name, -math.inf) <= now - _SCHEMA_SECONDS]
        if not asked:
            return set()
        found = dict(zip(asked, await self._store.get_many(asked), strict=True))
        missing = [(name, schemas[name].json) for name, data in found.items() if data is None]
        if missing:
            await self._store.put_many(missing, None)
        taken = {name for name, data in found.items() if data not in (None, schemas[name].json)}
        for name in found.keys() - taken:
            self._seen[name] = now
        return taken


def _items(kept: Iterable[_Packed]) -> dict[float, list[tuple[bytes, bytes]]]:
    """What to write by how long it is kept; of several records of an entity, the last."""
    last = {one.key: one for one in kept}
    items: dict[float, list[tuple[bytes, bytes]]] = defaultdict(list)
    for one in last.values():
        items[one.keep_seconds].append((one.key, one.blob))
    return items


def _reject(answer: pb.WriteResponse, index: int, error: InvalidRequest) -> None:
    answer.rejected += 1
    _RECORDS.values[_REJECTED] += 1
    if len(answer.first_rejected) < _MOST_NAMED:
        answer.first_rejected.add(index=index, message=error.message, reason=error.reason)


def _told(error: CroupierError) -> CroupierError:
    """What callers hear: not where the store is, which the log has."""
    _log.warning("features that a service wrote were not kept: %s", error)
    if isinstance(error, Unavailable):
        return StoreDown("the feature store does not answer: send it again", retry_after=error.retry_after)
    if isinstance(error, StoreFull):
        return StoreFull("the feature store is full")
    if isinstance(error, FailedPrecondition):
        return StoreRefused("the feature store takes no features from this router")
    return error


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def add_ingest(
    server: Server,
    store: FeatureStore | None,
    identity: Identity,
    admission: Admission,
    clock: Callable[[], float],
) -> list[str]:
    """Have `server` take features; the names of the services that are new: none without a store."""
    if store is None:
        return []
    return [FeatureIngest(store, identity, admission, clock=clock, now_ms=now_ms).add_to(server)]
