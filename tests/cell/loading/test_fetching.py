"""A store that is asked by another process, whatever becomes of that."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.cells import Clock, digest
from support.waiting import eventually

from cell.loading.fetching import FetchProcess
from croupier.errors import DataLoss, NotFound, Unavailable
from croupier.settings import InvalidSettings
from croupier.stores.objects import key_of, open_store

DATA = b"data" * 50_000


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.source = FetchProcess(f"file://{folder}", self.clock)

    @property
    def pid(self) -> int:
        child = self.source._child
        assert child is not None
        return child.pid

    async def fetch(self, key: bytes) -> bytes:
        with os.fdopen(await self.source.fetch(key), "rb") as file:
            return file.read()

    async def put(self, data: bytes) -> bytes:
        async with open_store(f"file://{self.folder}") as store:
            return await store.put(data)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    await bench.source.start()
    before = len(os.listdir("/proc/self/fd"))
    yield bench
    assert len(os.listdir("/proc/self/fd")) <= before
    await bench.source.close()


async def test_what_the_store_has_and_what_it_has_not(bench: Bench) -> None:
    keys = [await bench.put(DATA + b"%d" % number) for number in range(20)]
    found = await asyncio.gather(*(bench.fetch(key) for key in keys))
    assert [hashlib.sha256(data).digest() for data in found] == keys
    (bench.folder / key_of(keys[0])).write_bytes(b"damaged")
    with pytest.raises(DataLoss):
        await bench.fetch(keys[0])
    with pytest.raises(NotFound):
        await bench.fetch(digest("absent"))


async def test_one_that_gives_up_leaves_no_descriptor(bench: Bench) -> None:
    key = await bench.put(DATA)
    asking = asyncio.create_task(bench.fetch(key))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    assert await bench.fetch(key) == DATA


async def test_a_process_that_ends_is_passing_and_starts_again(bench: Bench) -> None:
    key, pid = await bench.put(DATA), bench.pid
    os.kill(pid, signal.SIGSTOP)
    waiting = asyncio.create_task(bench.fetch(key))
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Unavailable):
        await waiting
    await eventually(lambda: bench.source._channel is None, "the end is noticed")
    with pytest.raises(Unavailable) as caught:
        await bench.fetch(key)
    assert caught.value.reason == "STORE_PROCESS"
    bench.clock.advance(1.0)
    assert await bench.fetch(key) == DATA
    assert bench.pid != pid


async def test_signals_are_for_the_cell(bench: Bench) -> None:
    key = await bench.put(DATA)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(bench.pid, number)
    assert await bench.fetch(key) == DATA


async def test_it_ends_with_the_cell(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.source.start()
    child = bench.source._child
    assert child is not None
    await bench.source.close()
    assert child.returncode == 0


async def test_a_store_that_cannot_be_opened_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    bench = Bench(tmp_path / "file" / "objects")
    with pytest.raises(InvalidSettings, match="cannot be made"):
        await bench.source.start()
    await bench.source.close()
