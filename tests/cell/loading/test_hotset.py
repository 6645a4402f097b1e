import asyncio
import random
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from support.cell_server import infer_request, open_cell
from support.cells import Clock, MemoryStore, digest
from support.irregular import KINDS, put
from support.loading import open_loader
from support.residency import resident

from cell.engines import Engines
from cell.engines.packed import LINEAR, PackedEngine
from cell.loading.diskcache import DiskCache
from cell.loading.host import Host
from cell.loading.hotset import NAME, HotSet, decode, encode
from cell.loading.loader import Loader
from cell.residency.policies import Lru
from cell.residency.residency import Residency
from croupier.artifacts.packers.linear import pack_linear
from croupier.deadline import NEVER
from croupier.errors import FailedPrecondition

ROWS = np.eye(3, dtype=np.float32)


def artifact(number: int) -> bytes:
    """Different models of one size."""
    model = LinearRegression()
    model.coef_, model.intercept_, model.n_features_in_ = np.full(3, float(number)), 0.0, 3
    return pack_linear(model, features=["a", "b", "c"])


class Cell:
    """The parts of a cell around its hot set."""

    def __init__(
        self, folder: Path, store: MemoryStore, disk: DiskCache, loader: Loader, capacity: int
    ) -> None:
        self.disk = disk
        self.store = store
        self.residency: Residency[Any] = Residency(capacity, Lru())
        self.refused: set[bytes] = set()
        self.host = Host(
            self.residency, loader, clock=Clock(), rng=random.Random(1), check_loadable=self._refuse
        )
        self.hot_set = HotSet(folder, self.host, disk, seconds=0.001)

    def _refuse(self, key: bytes) -> None:
        if key in self.refused:
            raise FailedPrecondition("quarantined")

    async def ask(self, *keys: bytes) -> None:
        for key in keys:
            (await self.host.lease(key, NEVER)).release()

    async def publish(self, count: int) -> list[bytes]:
        return [await self.store.put(artifact(number)) for number in range(count)]


@asynccontextmanager
async def open_parts(folder: Path, capacity: int = 10**6) -> AsyncIterator[Cell]:
    folder.mkdir(exist_ok=True)
    with ThreadPoolExecutor(2) as threads:
        disk, store = await DiskCache.open(folder, 10**6), MemoryStore()
        async with open_loader(store, disk, Engines({LINEAR: PackedEngine(LINEAR)}), threads) as loader:
            cell = Cell(folder, store, disk, loader, capacity)
            yield cell
            await cell.hot_set.close()
            await cell.host.close()
        await disk.close()


async def test_what_was_resident_at_the_stop_is_back_without_the_store(tmp_path: Path) -> None:
    async with open_parts(tmp_path) as cell:
        cell.hot_set.start()
        await cell.hot_set.restored()
        keys = await cell.publish(30)
        await cell.ask(*keys)
    async with open_parts(tmp_path) as again:
        again.hot_set.start()
        await again.hot_set.restored()
        assert set(resident(again.residency)) == set(keys)
        assert again.store.gets == []
        assert again.host.report().requests == 0


async def test_the_hottest_come_back_first_and_leave_room(tmp_path: Path) -> None:
    async with open_parts(tmp_path) as cell:
        cell.hot_set.start()
        await cell.hot_set.restored()
        keys = await cell.publish(10)
        await cell.ask(*keys, keys[2], keys[0])
        size = cell.residency.used // 10
    async with open_parts(tmp_path, capacity=5 * size) as again:
        again.hot_set.start()
        await again.hot_set.restored()
        assert set(resident(again.residency)) == {keys[0], keys[2], keys[9], keys[8]}
        # Until they are used they make room for whoever is.
        await again.ask(*await again.publish(3))
        assert len(again.residency) == 5


async def test_a_crash_finds_what_was_written_meanwhile(tmp_path: Path) -> None:
    async with open_parts(tmp_path) as cell:
        keys = await cell.publish(5)
        await cell.ask(*keys)
        await cell.hot_set._write(cell.host.hottest(3))
        assert decode((tmp_path / NAME).read_bytes()) == keys[:1:-1]


async def test_a_stop_before_everything_is_back_keeps_the_file(tmp_path: Path) -> None:
    file = tmp_path / NAME
    file.write_bytes(encode([digest("a"), digest("b")]))
    async with open_parts(tmp_path) as cell:
        cell.hot_set.start()
    assert decode(file.read_bytes()) == [digest("a"), digest("b")]


async def test_what_cannot_come_back_is_left_out(tmp_path: Path) -> None:
    async with open_parts(tmp_path) as cell:
        cell.hot_set.start()
        await cell.hot_set.restored()
        keys = await cell.publish(4)
        await cell.ask(*keys)
    gone, broken = (tmp_path / key.hex()[:2] / key.hex() for key in keys[:2])
    gone.unlink()
    broken.write_bytes(b"broken")
    async with open_parts(tmp_path) as again:
        again.refused.add(keys[2])
        again.hot_set.start()
        await again.hot_set.restored()
        assert resident(again.residency) == keys[3:]


@pytest.mark.parametrize("content", [b"", b"croupier hot set 0\n" + bytes(64), bytes(100), encode([])])
async def test_a_file_that_says_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    async with open_parts(tmp_path) as cell:
        cell.hot_set.start()
        await cell.hot_set.restored()
        assert len(cell.residency) == 0


async def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").mkdir()
    async with open_parts(tmp_path) as cell:
        cell.hot_set.start()
        await cell.hot_set.restored()
        await cell.ask(*await cell.publish(1))
    assert not (tmp_path / NAME).exists()


async def test_a_cell_has_its_models_back_after_a_restart(tmp_path: Path) -> None:
    async with open_cell(tmp_path) as server:
        await server.cell._hot_set.restored()
        keys = [await server.store.put(artifact(number)) for number in range(20)]
        for key in keys:
            await server.infer(infer_request(key, ROWS))
    async with open_cell(tmp_path) as again:
        await again.cell._hot_set.restored()
        for key in keys:
            await again.store.delete(key)
            (tmp_path / "cache" / key.hex()[:2] / key.hex()).unlink()
        for number, key in enumerate(keys):
            answer = await again.infer(infer_request(key, ROWS))
            assert answer.outputs[0].contents.fp32_contents == [number] * 3


@given(st.lists(st.binary(min_size=32, max_size=32)), st.binary(max_size=31))
def test_a_file_says_what_was_written_and_a_torn_end_is_left_out(digests: list[bytes], torn: bytes) -> None:
    assert decode(encode(digests) + torn) == digests


@given(st.binary())
def test_no_bytes_do_harm(data: bytes) -> None:
    assert all(len(found) == 32 for found in decode(data))


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    put(kind, tmp_path / NAME)
    async with open_parts(tmp_path) as cell:
        cell.hot_set.start()
        await cell.hot_set.restored()
        await cell.hot_set._write([digest("a")])
    assert (tmp_path / NAME).is_file()


async def test_writes_that_overlap_do_not_take_each_others_file_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_parts(tmp_path) as cell:
        await asyncio.gather(*(cell.hot_set._write([digest("a")]) for _ in range(64)))
    assert (tmp_path / NAME).is_file()
    assert "cannot be written" not in caplog.text


async def test_a_cell_that_was_never_warm_has_nothing_to_bring_back(tmp_path: Path) -> None:
    async with open_parts(tmp_path) as opened:
        assert opened.hot_set.is_empty()
        (tmp_path / NAME).write_bytes(encode([]))
        assert opened.hot_set.is_empty()
        (tmp_path / NAME).write_bytes(encode([bytes(32)]))
        assert not opened.hot_set.is_empty()
