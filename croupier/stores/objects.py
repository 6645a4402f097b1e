"""Where artifacts lie: a store in which the name of a thing is the SHA-256 of its bytes.

    open_store(url) ── VerifiedObjects ── FileBlobs   file:///folder            (objects_file)
                       digests, in here   S3Blobs     s3://bucket/prefix?...    (objects_s3)

Content addressing is decided once, above the two kinds of storage, which only move bytes by key:

- What is read is hashed before anybody sees it, so bytes that changed on the way or at rest are
  `DataLoss`, never an answer from another model.
- A write of what is there already writes nothing, and a write of what is there *damaged* mends it:
  publishing an artifact again is the operator's cure for `DataLoss`.
- Writers need no lock: whoever writes a key writes the same bytes.

The key of a digest is `aa/<64 hexadecimal digits>`, `aa` being the first two of them, which keeps
folders small.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from croupier.errors import DataLoss, NotFound
from croupier.files import EVERYBODY_READS, OWNER_ONLY
from croupier.names import check_digest
from croupier.settings import InvalidSettings
from croupier.stores.objects_file import FileBlobs

# Hashing so much takes less than a thread takes to answer.
_SMALL = 64 * 1024

# Calls of one `put_many` under way at a time, to a store that has no better way: it has as many connections.
_AT_ONCE = 32

_S3_OPTIONS = {"endpoint", "region"}
T = TypeVar("T")
U = TypeVar("U")

_NO_CREDENTIALS = "credentials do not belong into the object store's URL: see the AWS environment"


class ObjectStore(Protocol):
    """Immutable bytes by their SHA-256 (32 bytes). Any method may raise Unavailable or StoreRefused."""

    async def get(self, digest: bytes) -> bytes:
        """The bytes whose SHA-256 is `digest`.

        Raises:
            NotFound: there are none.
            DataLoss: there are others in their place.
        """

    async def put(self, data: bytes) -> bytes:
        """Keep `data`, whole or not at all; returns its digest."""

    async def exists(self, digest: bytes) -> bool:
        """Whether something is kept under `digest`; its bytes are not checked."""

    async def delete(self, digest: bytes) -> None:
        """Forget what is kept under `digest`, if anything is."""


class ManyObjects(ObjectStore, Protocol):
    """One that takes many at a time."""

    async def put_many(self, many: Sequence[bytes]) -> None:
        """`put` each of `many`, together: all are kept, or it raises and some are."""

    async def absent(self, digests: Collection[bytes]) -> set[bytes]:
        """Those of `digests` under which nothing is kept."""


class Blobs(Protocol):
    """Bytes by key. Raises NotFound, Unavailable and StoreRefused."""

    async def read(self, key: str) -> bytes: ...

    async def create(self, key: str, data: bytes) -> None:
        """Write `data` whole or not at all; it may or may not replace what another writer left."""

    async def replace(self, key: str, data: bytes) -> None:
        """Write `data` whole or not at all, over whatever is there."""

    async def exists(self, key: str) -> bool: ...

    async def delete(self, key: str) -> None: ...


@runtime_checkable
class GroupedBlobs(Blobs, Protocol):
    """Blobs that are cheaper by the many. Raises as `Blobs`."""

    async def create_each(self, blobs: Mapping[str, bytes]) -> None:
        """`create` each of `blobs`: all of them, or it raises and some are there."""

    async def settle(self, keys: Collection[str]) -> None:
        """Return when what others may just be writing under `keys` is as durable as one's own."""

    async def exist(self, keys: Collection[str]) -> list[bool]: ...


class VerifiedObjects:
    """An object store on `blobs`."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def get(self, digest: bytes) -> bytes:
        data = await self._blobs.read(key_of(digest))
        if await _digest(data) != digest:
            raise DataLoss(
                f"the store holds {len(data)} other bytes under artifact {digest.hex()}",
                artifact=digest.hex(),
            )
        return data

    async def put(self, data: bytes) -> bytes:
        digest = await _digest(data)
        try:
            await self.get(digest)
        except NotFound:
            await self._blobs.create(key_of(digest), data)
        except DataLoss:
            await self._blobs.replace(key_of(digest), data)
        return digest

    async def put_many(self, many: Sequence[bytes]) -> None:
        digests = await asyncio.to_thread(_digests, many)
        by_digest = dict(zip(digests, many, strict=True))
        fresh = await self.absent(by_digest.keys())
        there = by_digest.keys() - fresh
        # What is there may be damaged.
        await _each(lambda digest: self.put(by_digest[digest]), there)
        blobs = {key_of(digest): by_digest[digest] for digest in fresh}
        if isinstance(self._blobs, GroupedBlobs):
            await self._blobs.create_each(blobs)
            await self._blobs.settle([key_of(digest) for digest in there])
        else:
            await _each(lambda key: self._blobs.create(key, blobs[key]), blobs)

    async def absent(self, digests: Collection[bytes]) -> set[bytes]:
        asked = list(digests)
        keys = list(map(key_of, asked))
        if isinstance(self._blobs, GroupedBlobs):
            found = await self._blobs.exist(keys)
        else:
            found = await _each(self._blobs.exists, keys)
        return {digest for digest, is_there in zip(asked, found, strict=True) if not is_there}

    async def exists(self, digest: bytes) -> bool:
        return await self._blobs.exists(key_of(digest))

    async def delete(self, digest: bytes) -> None:
        await self._blobs.delete(key_of(digest))


def key_of(digest: bytes) -> str:
    """Where the bytes with SHA-256 `digest` lie below the store's root.

    Raises:
        InvalidName: `digest` has not 32 bytes.
    """
    name = check_digest(digest).hex()
    return f"{name[:2]}/{name}"


def open_store(url: str) -> AbstractAsyncContextManager[ManyObjects]:
    """The store at `url`, open while the returned context is.

    `file:///folder`, made if it is missing, or
    `s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=us-east-1`, both options being optional.
    Credentials for S3 come from where AWS's own tools look for them: environment, files, instance.

    Raises:
        InvalidSettings: another kind of URL, or one that makes no sense.
    """
    return _verified(_open(url, EVERYBODY_READS))


def open_blobs(url: str) -> AbstractAsyncContextManager[Blobs]:
    """The same place for bytes under keys of one's own; in a folder, for the eyes of their owner alone.

    Raises:
        InvalidSettings: as `open_store`.
    """
    return _open(url, OWNER_ONLY)


def s3_place(url: str) -> tuple[str, str, dict[str, str]]:
    """The bucket of the store at `url`, the prefix in it, and `endpoint` and `region` if it says them.

    Raises:
        InvalidSettings: it is no bucket, or makes no sense.
    """
    parts = urlsplit(url)
    if parts.scheme != "s3":
        raise InvalidSettings(f"{url!r} is no bucket: it begins not with s3://")
    return parts.netloc, unquote(parts.path).strip("/"), _s3_options(parts, url)


def local_folder(url: str) -> Path | None:
    """The folder of the store at `url`; None if it is no folder of this machine.

    Raises:
        InvalidSettings: as `open_store`.
    """
    parts = urlsplit(url)
    return _folder_of(parts, url) if parts.scheme == "file" else None


def _open(url: str, mode: int) -> AbstractAsyncContextManager[Blobs]:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return _open_folder(_folder_of(parts, url), mode)
    if parts.scheme == "s3":
        bucket, prefix, options = s3_place(url)
        return _open_s3(bucket, prefix, **options)
    raise InvalidSettings(f"{url!r} is no object store: it begins with neither file:/// nor s3://")


@asynccontextmanager
async def _verified(opening: AbstractAsyncContextManager[Blobs]) -> AsyncIterator[ManyObjects]:
    async with opening as blobs:
        yield VerifiedObjects(blobs)


@asynccontextmanager
async def _open_folder(folder: Path, mode: int) -> AsyncIterator[Blobs]:
    try:
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidSettings(f"the object store's folder cannot be made: {error}") from error
    yield FileBlobs(folder, mode)


@asynccontextmanager
async def _open_s3(
    bucket: str, prefix: str, *, endpoint: str | None = None, region: str | None = None
) -> AsyncIterator[Blobs]:
    # Importing aiobotocore takes long, which a cell with a file store does not have to wait for.
    from croupier.stores.objects_s3 import open_bucket

    async with open_bucket(bucket, prefix, endpoint=endpoint, region=region) as blobs:
        yield blobs


def _folder_of(parts: SplitResult, url: str) -> Path:
    folder = Path(unquote(parts.path))
    if parts.netloc not in {"", "localhost"} or parts.query or parts.fragment or not folder.is_absolute():
        raise InvalidSettings(f"{url!r} is no folder of this machine: write file:///folder")
    return folder


def _s3_options(parts: SplitResult, url: str) -> dict[str, str]:
    if "@" in parts.netloc:
        raise InvalidSettings(_NO_CREDENTIALS)
    if not parts.netloc or ":" in parts.netloc or parts.fragment:
        raise InvalidSettings(f"{url!r} names no bucket: write s3://bucket/prefix")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := options.keys() - _S3_OPTIONS:
        raise InvalidSettings(f"{url!r} has an unknown option: {', '.join(sorted(unknown))}")
    if "endpoint" in options:
        endpoint = urlsplit(options["endpoint"])
        if "@" in endpoint.netloc:
            raise InvalidSettings(_NO_CREDENTIALS)
        if endpoint.scheme not in {"http", "https"} or not endpoint.netloc:
            raise InvalidSettings(f"{url!r} has an endpoint that is no http or https URL")
    return options


async def _digest(data: bytes) -> bytes:
    if len(data) <= _SMALL:
        return hashlib.sha256(data).digest()
    # In a thread, since a large model takes long; hashlib lets go of the interpreter.
    return (await asyncio.to_thread(hashlib.sha256, data)).digest()


def _digests(many: Sequence[bytes]) -> list[bytes]:
    return [hashlib.sha256(data).digest() for data in many]


async def _each(act: Callable[[U], Awaitable[T]], items: Iterable[U]) -> list[T]:
    """What `act` gives for each of `items`, some at a time. The first error ends all."""
    waiting = asyncio.Semaphore(_AT_ONCE)

    async def one(item: U) -> T:
        async with waiting:
            return await act(item)

    try:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(one(item)) for item in items]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in running]
