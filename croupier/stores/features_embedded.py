"""Features in a folder of this machine, by LMDB: for one machine, tests and the demo, without another server.

    f64 forgotten at, seconds since 1970, 0: never │ blob

Reads are synchronous, of memory that all processes share, and take about a microsecond a key: `get_now` needs
no task. What is not in memory is read from the disk meanwhile, so it is a store for what memory can hold. Any
number of processes read; of those that write, one does at a time, in a thread here, and others wait.

LMDB's keys end at 511 bytes. Longer ones lie under their first 479 bytes and the SHA-256 of all of them, and
stand whole in front of the blob, behind their length as u16.

What is to be forgotten is not read any more, and its room is given back by writers: each looks at as many
keys as it writes, one after the other through the whole store; one that finds no room looks at all.
"""

from __future__ import annotations

import asyncio
import errno
import os
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from croupier.settings import InvalidSettings
from croupier.stores.feature_store import StoreDown, StoreFull
from croupier.stores.refused import StoreRefused

T = TypeVar("T")

DEFAULT_MAX_BYTES = 8 << 30
_MOVED_BYTES = 511
_START = _MOVED_BYTES - sha256().digest_size
_FORGOTTEN_AT = struct.Struct("<d")
_NEVER = bytes(8)
_KEY_LENGTH = struct.Struct("<H")
_SCANNED_AT_ONCE = 1000
# A writer that another process keeps waiting for longer is told so.
_WAIT = 5.0


class EmbeddedFeatures:
    """The features in `folder`, which is made if it is missing; `clock` gives seconds since 1970.

    Raises:
        InvalidSettings: there is no store, or no folder to make one in, or this process has it open already.
        StoreRefused: what is there is damaged or none of ours, or may not be opened.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        is_readonly: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._is_readonly = is_readonly
        self._clock = clock
        self._swept = b""
        self._env = _opened(folder, max_bytes, is_readonly=is_readonly)
        self._thread = ThreadPoolExecutor(1, "features-writer")

    def get_now(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """As `get_many`, without waiting for a turn of the event loop."""
        now = self._clock()
        with self._translated(), self._env.begin() as transaction:
            get = transaction.get
            return [
                None
                if (value := get(key if len(key) < _MOVED_BYTES else _moved(key))) is None
                else _blob(key, value, now)
                for key in keys
            ]

    async def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        return self.get_now(keys)

    async def put_many(self, items: Sequence[tuple[bytes, bytes]], keep_seconds: float | None) -> None:
        at = _NEVER if keep_seconds is None else _FORGOTTEN_AT.pack(self._clock() + keep_seconds)
        await self._write(lambda: self._put(_laid_out(items, at), len(items)))

    async def scan(self, prefix: bytes) -> AsyncIterator[bytes]:
        start, is_first = prefix, True
        while True:
            found, following = await self._run(lambda: self._scanned(prefix, start, is_first))  # noqa: B023
            for key in found:
                yield key
            if following is None:
                return
            start, is_first = following, False

    async def delete_many(self, keys: Sequence[bytes]) -> int:
        return await self._write(lambda: self._deleted(keys))

    async def change_many(self, changes: Sequence[tuple[bytes, bytes, bytes | None]]) -> int:
        return await self._write(lambda: self._changed(changes))

    async def types(self, keys: Sequence[bytes]) -> list[str]:
        return ["none" if value is None else "string" for value in self.get_now(keys)]

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self._env.close()

    def _put(self, items: list[tuple[bytes, bytes]], count: int) -> None:
        try:
            self._put_once(items, count)
        except lmdb.MapFullError:
            if not self._sweep_all():
                raise
            # Pages that a transaction frees are free to the one after the next.
            self._put_once(items[:1], 0)
            self._put_once(items, 0)

    def _sweep_all(self) -> int:
        """What is forgotten may make room: it is looked for at once now."""
        self._swept, forgotten = b"", 0
        while True:
            with self._env.begin(write=True) as transaction:
                forgotten += self._sweep(transaction, _SCANNED_AT_ONCE)
            if not self._swept:
                return forgotten

    def _put_once(self, items: list[tuple[bytes, bytes]], count: int) -> None:
        with self._env.begin(write=True) as transaction:
            self._sweep(transaction, count)
            transaction.cursor().putmulti(items)

    def _sweep(self, transaction: lmdb.Transaction, most: int) -> int:
        """Delete what is to be forgotten among the next `most` keys; returns how many that were."""
        now = self._clock()
        forgotten: list[bytes] = []
        cursor: Any = transaction.cursor()
        found = cursor.set_range(self._swept)
        for _ in range(most):
            if not found:
                self._swept = b""
                break
            if _is_forgotten(cursor.value(), now):
                forgotten.append(cursor.key())
            found = cursor.next()
        else:
            self._swept = cursor.key() if found else b""
        for key in forgotten:
            transaction.delete(key)
        return len(forgotten)

    def _deleted(self, keys: Iterable[bytes]) -> int:
        with self._env.begin(write=True) as transaction:
            return sum(transaction.delete(_placed(key)) for key in keys)

    def _changed(self, changes: Iterable[tuple[bytes, bytes, bytes | None]]) -> int:
        now, count = self._clock(), 0
        with self._env.begin(write=True) as transaction:
            for key, before, after in changes:
                place = _placed(key)
                value = transaction.get(place)
                if value is None or _blob(key, value, now) != before:
                    continue
                count += 1
                if after is None:
                    transaction.delete(place)
                else:
                    transaction.put(*_laid_out([(key, after)], value[: len(_NEVER)])[0])
        return count

    def _scanned(self, prefix: bytes, start: bytes, is_first: bool) -> tuple[list[bytes], bytes | None]:
        """Keys from `start` on, or behind it, and where the next ones begin: None at the end."""
        now = self._clock()
        found: list[bytes] = []
        with self._env.begin() as transaction:
            cursor = transaction.cursor()
            if not cursor.set_range(start):
                return found, None
            if not is_first and cursor.key() == start:
                cursor.next()
            for seen, (place, value) in enumerate(cursor.iternext()):
                if not place.startswith(prefix[:_START]):
                    break
                if not _is_forgotten(value, now) and (key := _key(place, value)).startswith(prefix):
                    found.append(key)
                if seen == _SCANNED_AT_ONCE:
                    return found, place
        return found, None

    async def _write(self, work: Callable[[], T]) -> T:
        if self._is_readonly:
            raise StoreRefused(f"the feature store in {self._folder} was opened to be read only")
        try:
            async with asyncio.timeout(_WAIT):
                return await self._run(work)
        except TimeoutError as error:
            raise StoreDown(
                f"the feature store in {self._folder} has kept a writer waiting for {_WAIT:g} s: another one"
                " writes, or the disk is slow"
            ) from error

    async def _run(self, work: Callable[[], T]) -> T:
        with self._translated():
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except lmdb.Error as error:
            raise _error(error, self._folder) from error


def _opened(folder: Path, max_bytes: int, *, is_readonly: bool) -> lmdb.Environment:
    file = folder / "data.mdb"
    if is_readonly and not file.exists():
        raise InvalidSettings(f"there is no feature store in {folder} to be read")
    try:
        if not is_readonly:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        env = lmdb.open(
            str(folder),
            map_size=max_bytes,
            mode=0o600,
            readonly=is_readonly,
            create=not is_readonly,
            max_readers=512,
            # Random keys: what lies beside one that is read is not read next.
            readahead=False,
        )
        _check_whole(env, file)
        # Of processes that were killed while they read.
        env.reader_check()
    except OSError as error:
        raise InvalidSettings(f"the feature store's folder {folder} cannot be made: {error}") from error
    except lmdb.Error as error:
        if "already open" in str(error):
            raise InvalidSettings(f"this process has the feature store in {folder} open already") from error
        raise _error(error, folder) from error
    return env


def _check_whole(env: lmdb.Environment, file: Path) -> None:
    """A file that was cut would end whatever process reads behind its end."""
    wanted = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    # The first pages of a new one are not all written.
    if env.info()["last_txnid"] and file.stat().st_size < wanted:
        env.close()
        raise StoreRefused(f"{file} was cut: it has {file.stat().st_size} of {wanted} bytes. Load it anew")


def _error(error: lmdb.Error, folder: Path) -> StoreDown | StoreFull | StoreRefused:
    if isinstance(error, lmdb.MapFullError):
        return StoreFull(f"the feature store in {folder} is full: open it everywhere with a larger max_bytes")
    if isinstance(error, lmdb.ReadersFullError):
        return StoreDown(f"too many read the feature store in {folder}")
    if isinstance(error, lmdb.MapResizedError):
        return StoreRefused(
            f"another process has the feature store in {folder} open with a larger max_bytes: say it here too"
        )
    code = next(
        (code for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO) if _says(error, code)), 0
    )
    if code:
        return StoreFull(f"the disk takes no more of the feature store in {folder}: {error}")
    return StoreRefused(f"the feature store in {folder} cannot be used: {error}")


def _says(error: lmdb.Error, code: int) -> bool:
    """LMDB passes the system's errors on by their words alone."""
    return os.strerror(code) in str(error)


def _placed(key: bytes) -> bytes:
    return key if len(key) < _MOVED_BYTES else _moved(key)


def _moved(key: bytes) -> bytes:
    return key[:_START] + sha256(key).digest()


def _laid_out(items: Iterable[tuple[bytes, bytes]], at: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (key, at + value)
        if len(key) < _MOVED_BYTES
        else (_moved(key), at + _KEY_LENGTH.pack(len(key)) + key + value)
        for key, value in items
    ]


def _key(place: bytes, value: bytes) -> bytes:
    if len(place) < _MOVED_BYTES:
        return place
    (length,) = _KEY_LENGTH.unpack_from(value, len(_NEVER))
    start = len(_NEVER) + _KEY_LENGTH.size
    return value[start : start + length]


def _blob(key: bytes, value: bytes, now: float) -> bytes | None:
    if value[:8] != _NEVER and _is_forgotten(value, now):
        return None
    return value[8:] if len(key) < _MOVED_BYTES else value[8 + _KEY_LENGTH.size + len(key) :]


def _is_forgotten(value: bytes, now: float) -> bool:
    if len(value) < len(_NEVER):
        # None of ours: it is read as what it is, no blob.
        return False
    at: float = _FORGOTTEN_AT.unpack_from(value)[0]
    return 0 < at <= now
