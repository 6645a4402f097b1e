import hashlib
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support import irregular
from support.cells import Clock, HeldThreads, ticks
from support.irregular import KINDS
from support.loading import read

from cell.loading.diskcache import SMALL, DiskCache
from cell.loading.file_image import CORRUPT, FAILED, READ
from cell.loading.file_reader import Reader
from cell.loading.gate import Gate
from cell.loading.sources import in_memory

ONE, TWO, THREE = b"one" * 10, b"two" * 10, b"3333" * 10


def key(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def file_of(folder: Path, data: bytes) -> Path:
    name = key(data).hex()
    return folder / name[:2] / name


READER = Reader(Gate(), 1)


def put(cache: DiskCache, data: bytes) -> None:
    """As a load does it, of what a store had."""
    keep, part = cache.keeping(key(data))
    image = read(READER, key(data), file=in_memory(data), keep=keep, part=part, keep_most=cache.bound)
    if image.is_kept:
        cache.kept(key(data), image.size)
    elif image.keep_error:
        cache.not_kept(image.keep_error)


def get(cache: DiskCache, data: bytes) -> bytes | None:
    """As a load does it."""
    image = read(READER, key(data), path=cache.path_of(key(data)), drops_corrupt=True)
    if image.outcome == READ:
        cache.found(key(data), image.size)
        return bytes(memoryview(image))
    if image.outcome == CORRUPT:
        cache.corrupt(key(data))
    elif image.outcome == FAILED:
        cache.unreadable(image.error)
    cache.lost(key(data))
    return None


@asynccontextmanager
async def opened(folder: Path, bound: int = 1000) -> AsyncIterator[DiskCache]:
    """A cache whose scan has ended."""
    cache = await DiskCache.open(folder, bound)
    await cache.indexed()
    yield cache
    await cache.close()


class Held:
    """A cache whose scan and housekeeping happen when told to."""

    def __init__(self, folder: Path, bound: int = 1000) -> None:
        self.clock = Clock()
        self.threads = HeldThreads()
        self.cache = DiskCache(folder, bound, self.threads, self.clock)

    async def scan(self) -> None:
        while self.cache._scan is None or not self.cache._scan.done():
            if self.cache._scan is None:
                self.cache.start()
            await ticks()
            self.threads.run()
        self.threads.run()


async def test_what_was_put_is_there(tmp_path: Path) -> None:
    async with opened(tmp_path / "cache") as cache:
        assert cache.holds(key(ONE)) is False
        assert get(cache, ONE) is None
        put(cache, ONE)
        assert cache.holds(key(ONE))
        assert get(cache, ONE) == ONE
        assert cache.used == len(ONE)


async def test_what_lies_in_memory_is_had_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path, 10**6) as cache:
        put(cache, ONE)
        get(cache, ONE)
        assert cache.read_cached(key(ONE)) in (ONE, None)
        assert cache.read_cached(key(TWO)) is None
        large = b"x" * (SMALL + 1)
        put(cache, large)
        assert cache.read_cached(key(large)) is None
        assert get(cache, large) == large
        file_of(tmp_path, ONE).write_bytes(ONE[:-1])
        assert cache.read_cached(key(ONE)) is None


async def test_it_outlives_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as cache:
        for data in (ONE, TWO):
            put(cache, data)
    async with opened(tmp_path) as again:
        assert again.used == len(ONE) + len(TWO)
        assert (get(again, ONE), get(again, TWO)) == (ONE, TWO)


async def test_the_least_recently_used_file_goes(tmp_path: Path) -> None:
    async with opened(tmp_path, 80) as cache:
        put(cache, ONE)
        put(cache, TWO)
        get(cache, ONE)
        put(cache, THREE)
        await cache.settled()
        assert cache.holds(key(TWO)) is False
        assert not file_of(tmp_path, TWO).exists()
        assert get(cache, ONE) == ONE
        assert cache.used == len(ONE) + len(THREE)


async def test_the_order_and_the_bound_hold_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as cache:
        for age, data in enumerate((THREE, TWO, ONE)):
            put(cache, data)
            os.utime(file_of(tmp_path, data), (1000 + age, 1000 + age))
    async with opened(tmp_path, 60) as again:
        await again.settled()
        assert not file_of(tmp_path, THREE).exists()
        assert get(again, THREE) is None
        assert get(again, TWO) == TWO


async def test_the_order_of_reading_outlives_a_restart_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as cache:
        for age, data in enumerate((ONE, TWO, THREE)):
            put(cache, data)
            os.utime(file_of(tmp_path, data), (1000 + age, 1000 + age))
        get(cache, TWO)
        get(cache, ONE)
    async with opened(tmp_path) as again:
        assert list(again._index) == [key(THREE), key(TWO), key(ONE)]


async def test_times_are_written_once_a_minute_and_not_with_every_read(tmp_path: Path) -> None:
    held = Held(tmp_path)
    put(held.cache, ONE)
    os.utime(file_of(tmp_path, ONE), (1000, 1000))
    for _ in range(10):
        get(held.cache, ONE)
    assert held.threads.held == []
    held.clock.advance(60.0)
    get(held.cache, ONE)
    assert held.threads.run() == 1
    assert file_of(tmp_path, ONE).stat().st_mtime > 1000


async def test_it_serves_before_it_knows_what_is_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as cache:
        put(cache, ONE)
        put(cache, TWO)
    held = Held(tmp_path, 90)
    assert held.cache.holds(key(ONE)) is None
    assert get(held.cache, ONE) == ONE
    assert get(held.cache, THREE) is None
    assert held.cache.holds(key(THREE)) is False
    put(held.cache, THREE)
    # Over the bound, but nobody knows yet.
    assert held.cache.used == len(ONE) + len(THREE)
    await held.scan()
    assert list(held.cache._index) == [key(ONE), key(THREE)]
    assert not file_of(tmp_path, TWO).exists()


async def test_what_goes_while_the_scan_runs_is_gone(tmp_path: Path) -> None:
    async with opened(tmp_path) as cache:
        put(cache, ONE)
    held = Held(tmp_path)
    held.cache.start()
    await ticks()
    for _ in range(256):
        held.threads.run()
        await ticks()
    file_of(tmp_path, ONE).write_bytes(b"damaged")
    assert get(held.cache, ONE) is None
    await held.scan()
    assert held.cache.holds(key(ONE)) is False
    assert held.cache.used == 0


@pytest.mark.parametrize("damage", [b"", ONE[:-1], ONE[:-1] + b"!", ONE + b"!"])
async def test_a_corrupt_file_is_dropped(tmp_path: Path, damage: bytes) -> None:
    async with opened(tmp_path) as cache:
        put(cache, ONE)
        file_of(tmp_path, ONE).write_bytes(damage)
        assert get(cache, ONE) is None
        assert not file_of(tmp_path, ONE).exists()
        assert cache.used == 0
        put(cache, ONE)
        assert get(cache, ONE) == ONE


async def test_a_file_that_somebody_removed_is_a_miss(tmp_path: Path) -> None:
    async with opened(tmp_path) as cache:
        put(cache, ONE)
        file_of(tmp_path, ONE).unlink()
        assert get(cache, ONE) is None
        assert cache.used == 0


async def test_what_a_crash_left_unfinished_is_removed(tmp_path: Path) -> None:
    path = file_of(tmp_path, ONE)
    path.parent.mkdir()
    unfinished = path.with_name(path.name + ".1234.part")
    unfinished.write_bytes(ONE[:5])
    alien = path.with_name("notes.txt")
    alien.write_text("not an artifact")
    held = Held(tmp_path)
    ours = path.with_name(path.name + held.cache._ours)
    ours.write_bytes(ONE[:5])
    await held.scan()
    assert held.cache.used == 0
    assert not unfinished.exists()
    assert ours.exists()
    assert alien.exists()


async def test_larger_than_the_whole_bound_is_not_kept(tmp_path: Path) -> None:
    async with opened(tmp_path, 35) as cache:
        put(cache, ONE)
        put(cache, THREE)
        assert not file_of(tmp_path, THREE).exists()
        assert get(cache, ONE) == ONE


async def test_a_disk_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    async with opened(tmp_path) as cache:
        # A file where the folder should be: as root, permissions would stop nobody.
        file_of(tmp_path, ONE).parent.write_text("in the way")
        put(cache, ONE)
        assert cache.used == 0
        assert get(cache, ONE) is None


async def test_a_folder_that_cannot_be_made_is_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        await DiskCache.open(tmp_path / "file", 1000)


async def test_closing_ends_the_scan(tmp_path: Path) -> None:
    cache = await DiskCache.open(tmp_path, 1000)
    await cache.close()
    assert cache._scan is not None
    assert cache._scan.done()


async def test_files_are_plain(tmp_path: Path) -> None:
    async with opened(tmp_path) as cache:
        put(cache, ONE)
    assert stat.S_ISREG(file_of(tmp_path, ONE).stat().st_mode)
    assert [path.name for path in tmp_path.glob("*/*")] == [key(ONE).hex()]


async def test_which_of_some_are_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as cache:
        put(cache, ONE)
        put(cache, TWO)
        assert cache.present([key(TWO), key(THREE), key(ONE)]) == [key(TWO), key(ONE)]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_no_regular_file_is_not_waited_for_and_is_replaced(tmp_path: Path, kind: str) -> None:
    irregular.put(kind, file_of(tmp_path, ONE))
    async with opened(tmp_path) as cache:
        assert cache.holds(key(ONE)) is False
        assert cache.used == 0
        assert cache.read_cached(key(ONE)) is None
        assert get(cache, ONE) is None
        put(cache, ONE)
        assert get(cache, ONE) == ONE


async def test_what_it_keeps_is_the_cells_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    async with opened(tmp_path) as cache:
        put(cache, ONE)
    file = file_of(tmp_path, ONE)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path, file.parent, file)]
    assert modes == [0o700, 0o700, 0o600]
