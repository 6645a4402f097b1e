import asyncio
import hashlib
import os
import stat
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cells import HeldThreads, digest, ticks

from cell.diskcache import DiskCache, FileIndex

ONE, TWO, THREE = b"one" * 10, b"two" * 10, b"3333" * 10


def key(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def file_of(folder: Path, data: bytes) -> Path:
    name = key(data).hex()
    return folder / name[:2] / name


@pytest.fixture
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


async def test_what_was_put_is_there(tmp_path: Path, threads: Executor) -> None:
    cache = await DiskCache.open(tmp_path / "cache", 1000, threads)
    assert await cache.get(key(ONE)) is None
    await cache.put(key(ONE), ONE)
    assert await cache.get(key(ONE)) == ONE
    assert cache.used == len(ONE)


async def test_it_outlives_a_restart(tmp_path: Path, threads: Executor) -> None:
    cache = await DiskCache.open(tmp_path, 1000, threads)
    for data in (ONE, TWO):
        await cache.put(key(data), data)
    again = await DiskCache.open(tmp_path, 1000, threads)
    assert (await again.get(key(ONE)), await again.get(key(TWO))) == (ONE, TWO)


async def test_the_least_recently_used_file_goes(tmp_path: Path, threads: Executor) -> None:
    cache = await DiskCache.open(tmp_path, 80, threads)
    await cache.put(key(ONE), ONE)
    await cache.put(key(TWO), TWO)
    await cache.get(key(ONE))
    await cache.put(key(THREE), THREE)
    assert await cache.get(key(TWO)) is None
    assert not file_of(tmp_path, TWO).exists()
    assert await cache.get(key(ONE)) == ONE
    assert cache.used == len(ONE) + len(THREE)


async def test_the_order_and_the_bound_hold_after_a_restart(tmp_path: Path, threads: Executor) -> None:
    cache = await DiskCache.open(tmp_path, 1000, threads)
    for age, data in enumerate((THREE, TWO, ONE)):
        await cache.put(key(data), data)
        os.utime(file_of(tmp_path, data), (1000 + age, 1000 + age))
    again = await DiskCache.open(tmp_path, 60, threads)
    assert await again.get(key(THREE)) is None
    assert not file_of(tmp_path, THREE).exists()
    assert await again.get(key(TWO)) == TWO


@pytest.mark.parametrize("damage", [b"", ONE[:-1], ONE[:-1] + b"!", ONE + b"!"])
async def test_a_corrupt_file_is_dropped(tmp_path: Path, threads: Executor, damage: bytes) -> None:
    cache = await DiskCache.open(tmp_path, 1000, threads)
    await cache.put(key(ONE), ONE)
    file_of(tmp_path, ONE).write_bytes(damage)
    assert await cache.get(key(ONE)) is None
    assert not file_of(tmp_path, ONE).exists()
    assert cache.used == 0
    await cache.put(key(ONE), ONE)
    assert await cache.get(key(ONE)) == ONE


async def test_a_file_that_somebody_removed_is_a_miss(tmp_path: Path, threads: Executor) -> None:
    cache = await DiskCache.open(tmp_path, 1000, threads)
    await cache.put(key(ONE), ONE)
    file_of(tmp_path, ONE).unlink()
    assert await cache.get(key(ONE)) is None
    assert cache.used == 0


async def test_what_a_crash_left_unfinished_is_removed(tmp_path: Path, threads: Executor) -> None:
    path = file_of(tmp_path, ONE)
    path.parent.mkdir()
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_bytes(ONE[:5])
    alien = path.with_name("notes.txt")
    alien.write_text("not an artifact")
    cache = await DiskCache.open(tmp_path, 1000, threads)
    assert cache.used == 0
    assert not unfinished.exists()
    assert alien.exists()


async def test_larger_than_the_whole_bound_is_not_kept(tmp_path: Path, threads: Executor) -> None:
    cache = await DiskCache.open(tmp_path, 35, threads)
    await cache.put(key(ONE), ONE)
    await cache.put(key(THREE), THREE)
    assert await cache.get(key(THREE)) is None
    assert await cache.get(key(ONE)) == ONE


async def test_a_disk_that_cannot_be_written_is_no_failure(tmp_path: Path, threads: Executor) -> None:
    cache = await DiskCache.open(tmp_path, 1000, threads)
    # A file where the folder should be: as root, permissions would stop nobody.
    file_of(tmp_path, ONE).parent.write_text("in the way")
    await cache.put(key(ONE), ONE)
    assert cache.used == 0
    assert await cache.get(key(ONE)) is None


async def test_a_folder_that_cannot_be_made_is_one(tmp_path: Path, threads: Executor) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        await DiskCache.open(tmp_path / "file", 1000, threads)


async def test_pushed_out_while_being_written(tmp_path: Path) -> None:
    held = HeldThreads()
    cache = DiskCache(tmp_path, 50, held)
    puts = [asyncio.create_task(cache.put(key(data), data)) for data in (ONE, TWO)]
    await ticks()
    while held.run():
        await ticks()
    await asyncio.gather(*puts)
    assert not file_of(tmp_path, ONE).exists()
    assert file_of(tmp_path, TWO).exists()


async def test_a_cancelled_write_leaves_a_whole_file_or_none(tmp_path: Path) -> None:
    held = HeldThreads()
    cache = DiskCache(tmp_path, 1000, held)
    put = asyncio.create_task(cache.put(key(ONE), ONE))
    await ticks()
    put.cancel()
    await asyncio.wait([put])
    future, function, arguments = held.held.pop()
    assert future.cancelled()
    function(*arguments)
    get = asyncio.create_task(cache.get(key(ONE)))
    await ticks()
    held.run()
    assert await get == ONE


async def test_files_are_plain(tmp_path: Path, threads: Executor) -> None:
    cache = await DiskCache.open(tmp_path, 1000, threads)
    await cache.put(key(ONE), ONE)
    assert stat.S_ISREG(file_of(tmp_path, ONE).stat().st_mode)
    assert [path.name for path in tmp_path.glob("*/*")] == [key(ONE).hex()]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60)), max_size=30))
def test_the_index_keeps_its_bound_and_its_sum(adds: list[tuple[int, int]]) -> None:
    index = FileIndex(50)
    sizes: dict[bytes, int] = {}
    for number, size in adds:
        name = digest(str(number))
        sizes[name] = size
        for victim in index.add(name, size):
            del sizes[victim]
        assert sorted(index) == sorted(sizes)
        assert index.used == sum(sizes.values()) <= 50
