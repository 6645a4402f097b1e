"""Where stored features lie: one blob (`feature_blob`) for each tenant, group of features and entity.

    open_store(url) ── EmbeddedFeatures   lmdb:/folder                               (features_embedded)
                       RedisFeatures      redis:// rediss:// redis+sentinel:// …     (features_redis)

    croupier/f/<tenant>/<group>/<entity>      a blob
    croupier/s/<group>/<16 hex digits>        the schema of that fingerprint, as JSON (`feature_schemas`)

Neither tenants nor groups have a slash, so that no entity, of whatever bytes, is another's. A store moves
bytes by key; what they mean is known above it. Two times are told apart: `keep_seconds`, after which a store
forgets a key, and the event time within a blob, by which readers decide whether it is stale. Every write
renews both, of the same values too.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from croupier.names import InvalidName, check_name
from croupier.settings import InvalidSettings
from croupier.stores.feature_store import FeatureStore, StoreDown, StoreFull

__all__ = [
    "FEATURES_PREFIX",
    "MAX_ENTITY_BYTES",
    "SCHEMAS_PREFIX",
    "FeatureKey",
    "FeatureStore",
    "StoreDown",
    "StoreFull",
    "check_entity",
    "features_key",
    "features_prefix",
    "open_store",
    "parse_key",
    "redacted",
    "schema_key",
    "schemas_prefix",
]

MAX_ENTITY_BYTES = 512
FEATURES_PREFIX = b"croupier/f/"
SCHEMAS_PREFIX = b"croupier/s/"
_LEAST_BYTES = 1 << 20
_MOST_BYTES = 1 << 40


class FeatureKey(NamedTuple):
    tenant: str
    group: str
    entity: bytes


def features_key(tenant: str, group: str, entity: str | bytes) -> bytes:
    """Where the features of an entity lie.

    Raises:
        InvalidName: naming `tenant`, `group` or `entity`, which may be any 1 to 512 bytes of UTF-8.
    """
    return features_prefix(tenant, group) + check_entity(entity)


def features_prefix(tenant: str, group: str) -> bytes:
    """What the keys of all entities of a tenant's group begin with. Raises InvalidName."""
    return b"%s%s/%s/" % (
        FEATURES_PREFIX,
        check_name(tenant, "tenant").encode(),
        check_name(group, "group").encode(),
    )


def check_entity(entity: str | bytes) -> bytes:
    """`entity` as bytes. Raises InvalidName: it is none that a key can have."""
    try:
        value = entity.encode() if isinstance(entity, str) else entity
        value.decode()
    except UnicodeError as error:
        raise InvalidName("entity is not valid UTF-8", field="entity") from error
    if not 0 < len(value) <= MAX_ENTITY_BYTES:
        raise InvalidName(f"entity has not 1 to {MAX_ENTITY_BYTES} bytes", field="entity")
    return value


def parse_key(key: bytes) -> FeatureKey | None:
    """Whose features lie at `key`; None if it is no such key."""
    parts = key.split(b"/", 4)
    if len(parts) != 5 or not key.startswith(FEATURES_PREFIX) or not parts[4]:
        return None
    try:
        return FeatureKey(parts[2].decode(), parts[3].decode(), parts[4])
    except UnicodeDecodeError:
        return None


def schema_key(group: str, fingerprint: int) -> bytes:
    """Where the schema of a group's blobs lies. Raises InvalidName."""
    return b"%s%016x" % (schemas_prefix(group), fingerprint)


def schemas_prefix(group: str) -> bytes:
    """What the keys of all schemas of a group begin with. Raises InvalidName."""
    return b"%s%s/" % (SCHEMAS_PREFIX, check_name(group, "group").encode())


def redacted(url: str) -> str:
    """`url` without its password and options, which may be secrets: for errors and logs."""
    parts = urlsplit(url)
    if not parts.netloc:
        return f"{parts.scheme}:{parts.path}"
    # A slash in a password, which has to be written otherwise, makes the rest of it a path.
    return f"{parts.scheme}://{(parts.netloc + parts.path).rpartition('@')[2]}"


def open_store(url: str) -> FeatureStore:
    """The store at `url`. One on another machine is asked when it is used, not before.

    Raises:
        InvalidSettings: another kind of URL, or one that makes no sense.
    """
    parts = urlsplit(url)
    if parts.scheme == "lmdb":
        return _open_embedded(parts)
    if parts.scheme.startswith("redis"):
        return _open_redis(url)
    words = redacted(url).lstrip(":")
    raise InvalidSettings(f"{words} is no feature store: it begins with neither lmdb: nor redis://")


# Of the libraries, none is imported that is not asked for.


def _open_redis(url: str) -> FeatureStore:
    from croupier.stores.features_redis import RedisFeatures
    from croupier.stores.features_redis_cluster import RedisClusterFeatures
    from croupier.stores.features_redis_url import parse

    place = parse(url)
    return RedisClusterFeatures(place) if place.kind == "cluster" else RedisFeatures(place)


def _open_embedded(parts: SplitResult) -> FeatureStore:
    from croupier.stores.features_embedded import DEFAULT_MAX_BYTES, EmbeddedFeatures

    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    folder, size = Path(unquote(parts.path)), options.pop("max_bytes", str(DEFAULT_MAX_BYTES))
    is_readonly = options.pop("readonly", "0")
    if parts.netloc or parts.fragment or options or not folder.is_absolute() or is_readonly not in ("0", "1"):
        raise InvalidSettings(
            f"{urlunsplit(parts)} names no folder by its whole path: lmdb:/folder?max_bytes=N&readonly=1"
        )
    if not (size.isdecimal() and _LEAST_BYTES <= int(size) <= _MOST_BYTES):
        raise InvalidSettings(f"max_bytes of {urlunsplit(parts)} is no size from 1 MiB to 1 TiB in bytes")
    return EmbeddedFeatures(folder, max_bytes=int(size), is_readonly=is_readonly == "1")
