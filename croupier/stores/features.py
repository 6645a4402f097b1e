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

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from croupier.errors import FailedPrecondition, Unavailable
from croupier.names import InvalidName, check_name
from croupier.settings import InvalidSettings

MAX_ENTITY_BYTES = 512
FEATURES_PREFIX = b"croupier/f/"
SCHEMAS_PREFIX = b"croupier/s/"


class StoreDown(Unavailable):
    """The feature store does not answer, or not in time. Passes by itself."""

    reason = "FEATURE_STORE_DOWN"


class StoreFull(FailedPrecondition):
    """The feature store takes no more. The operator's: give it room, or have it keep less."""

    reason = "FEATURE_STORE_FULL"


class FeatureStore(Protocol):
    """Bytes by key. Any method may raise StoreDown, or StoreRefused where a setting has to change."""

    async def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """What lies under each of `keys`, in one read; None where nothing does."""

    async def put_many(self, items: Sequence[tuple[bytes, bytes]], keep_seconds: float | None) -> None:
        """Write keys and values, in one go as far as the store can; None: kept until they are deleted.

        Raises:
            StoreFull: there is no room. Some of them may have been written.
        """

    def scan(self, prefix: bytes) -> AsyncIterator[bytes]:
        """The keys that begin with `prefix`, in no order; one that is written meanwhile may be missing."""

    async def delete_many(self, keys: Sequence[bytes]) -> int:
        """Forget `keys`; returns how many there were."""

    async def close(self) -> None: ...


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
    place = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}:{'//' if place else ''}{place}{parts.path}"


def open_store(url: str) -> FeatureStore:
    """The store at `url`. One on another machine is asked when it is used, not before.

    Raises:
        InvalidSettings: another kind of URL, or one that makes no sense.
    """
    raise InvalidSettings(f"{redacted(url)} is no feature store")
