"""Reading all features of a group: what `features check` and `features gc` do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from croupier.stores.feature_blob import BadBlob, Schema, Value, decode, header
from croupier.stores.feature_schemas import Schemas
from croupier.stores.features import FEATURES_PREFIX, FeatureStore, features_prefix, parse_key

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """What lies under a key: values by their schema, or `problem`, a word for why there are none."""

    key: bytes
    blob: bytes
    event_ms: int = 0
    schema: Schema | None = None
    values: dict[str, Value] | None = None
    problem: str = ""


async def found_in(
    store: FeatureStore, schemas: Schemas, group: str, tenant: str = ""
) -> AsyncIterator[Found]:
    """Every key of a group, of all tenants unless one is named; of a store that grows, some perhaps twice."""
    chunk: dict[bytes, None] = {}
    async for key in store.scan(features_prefix(tenant, group) if tenant else FEATURES_PREFIX):
        parsed = parse_key(key)
        if parsed is None or parsed.group != group:
            continue
        chunk[key] = None
        if len(chunk) == _AT_ONCE:
            for found in await _read(store, schemas, group, chunk):
                yield found
            chunk = {}
    for found in await _read(store, schemas, group, chunk):
        yield found


async def _read(store: FeatureStore, schemas: Schemas, group: str, keys: Iterable[bytes]) -> list[Found]:
    keys = list(keys)
    values = dict(zip(keys, await store.get_many(keys), strict=True)) if keys else {}
    hidden = [key for key, value in values.items() if value is None]
    types = dict(zip(hidden, await store.types(hidden), strict=True)) if hidden else {}
    wanted = {(group, number) for value in values.values() if value and (number := _fingerprint(value))}
    await schemas.read(wanted)
    found = []
    for key, value in values.items():
        if value is not None:
            found.append(_found(schemas, group, key, value))
        elif types[key] not in ("none", "string"):
            found.append(Found(key, b"", problem="wrong type"))
    return found


def _found(schemas: Schemas, group: str, key: bytes, blob: bytes) -> Found:
    try:
        fingerprint, event_ms = header(blob)
        schema = schemas.known(group, fingerprint)
        if schema is None:
            return Found(key, blob, event_ms, problem="unknown schema")
        return Found(key, blob, event_ms, schema, decode(blob, schema)[1])
    except BadBlob:
        return Found(key, blob, problem="bad blob")


def _fingerprint(blob: bytes) -> int:
    try:
        return header(blob)[0]
    except BadBlob:
        return 0
