import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cells import MemoryStore, digest, until
from support.graphs import matmul, packed

from cell.diskcache import DiskCache
from cell.engines import ArtifactRefused, Engines, UnknownEngine
from cell.engines.onnx import OnnxEngine
from cell.engines.packed import LINEAR, PackedEngine
from cell.loader import Loader
from croupier.artifacts.packers.linear import pack_linear
from croupier.errors import DataLoss, NotFound, Unavailable


class Bench:
    def __init__(self, store: MemoryStore, disk: DiskCache, threads: ThreadPoolExecutor) -> None:
        self.store = store
        self.disk = disk
        self.threads = threads
        self.loader = self.loader_with()
        self.rooms: list[int] = []

    def loader_with(self, **settings: float) -> Loader:
        engines = Engines({"onnx": OnnxEngine(), LINEAR: PackedEngine(LINEAR)})
        return Loader(self.store, self.disk, engines, self.threads, **settings)

    async def load(self, key: bytes) -> Any:
        return await self.loader.load(key, self.rooms.append)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    with ThreadPoolExecutor(2) as threads:
        disk = await DiskCache.open(tmp_path, 2**20)
        await disk.indexed()
        yield Bench(MemoryStore(), disk, threads)
        await disk.close()


async def test_from_the_store_then_from_the_disk(bench: Bench) -> None:
    key = await bench.store.put(packed(matmul()))
    for _ in range(2):
        scorer = await bench.load(key)
        scored = scorer.score({"input": np.ones((1, 2), np.float32)}, ["y"])
        assert scored["y"].tolist() == [[2, 2]]
    assert bench.store.gets == [key]


async def test_the_store_away_is_no_matter_for_what_is_on_the_disk(bench: Bench) -> None:
    key = await bench.store.put(packed(matmul()))
    await bench.load(key)
    bench.store.failure = Unavailable("away")
    await bench.load(key)


async def test_a_small_model_loads_without_a_thread_when_its_file_is_in_memory(
    bench: Bench, tmp_path: Path, small: Any
) -> None:
    key = await bench.store.put(pack_linear(small[0]))
    await bench.load(key)
    (file,) = tmp_path.glob("*/*")
    file.read_bytes()
    if bench.disk.read_cached(key) is None:
        pytest.skip("this file system does not read without waiting")
    bench.threads.shutdown()
    scorer = await bench.load(key)
    assert scorer.signature.engine == LINEAR
    assert bench.rooms == [scorer.resident_bytes] * 2
    assert bench.store.gets == [key]


async def test_a_disk_that_is_not_known_yet_is_tried(bench: Bench, tmp_path: Path) -> None:
    key = await bench.store.put(packed(matmul()))
    await bench.load(key)
    bench.disk = DiskCache(tmp_path, 2**20, bench.threads)
    bench.loader = bench.loader_with()
    await bench.load(key)
    other = await bench.store.put(packed(matmul(), engine="nobody"))
    with pytest.raises(UnknownEngine):
        await bench.load(other)
    assert bench.store.gets == [key, other]


async def test_it_says_how_long_a_load_takes(bench: Bench) -> None:
    key = await bench.store.put(packed(matmul()))
    assert bench.loader.expected_seconds(key) == 0.0
    await bench.load(key)
    other = bench.loader.expected_seconds(digest("in the store"))
    assert other > 0.0
    assert bench.loader.expected_seconds(key) == 0.0
    await bench.load(key)
    assert bench.loader.expected_seconds(key) > 0.0
    assert bench.loader.expected_seconds(digest("in the store")) == other


async def test_a_corrupt_file_is_fetched_again(bench: Bench, tmp_path: Path) -> None:
    key = await bench.store.put(packed(matmul()))
    await bench.load(key)
    (file,) = tmp_path.glob("*/*")
    file.write_bytes(file.read_bytes()[:-1])
    await bench.load(key)
    await bench.load(key)
    assert bench.store.gets == [key, key]


async def test_room_is_asked_for_before_memory_is_taken(bench: Bench) -> None:
    model = matmul()
    key = await bench.store.put(packed(model))
    await bench.load(key)
    assert bench.rooms == [64 * 1024 + 6 * len(model)]

    def no_room(size: int) -> None:
        raise Unavailable("full")

    with pytest.raises(Unavailable, match="full"):
        await bench.loader.load(key, no_room)


@pytest.mark.parametrize("failure", [NotFound("x"), DataLoss("x"), Unavailable("x")])
async def test_what_the_store_raises(bench: Bench, failure: Exception) -> None:
    bench.store.failure = failure
    with pytest.raises(type(failure)):
        await bench.load(digest("any"))


async def test_a_store_that_does_not_answer(bench: Bench) -> None:
    bench.store.gate.clear()
    bench.loader = bench.loader_with(fetch_timeout=0.01)
    with pytest.raises(Unavailable) as caught:
        await bench.load(digest("any"))
    assert caught.value.reason == "STORE_TIMEOUT"


@pytest.mark.parametrize("data", [b"", b"CROUPIER", packed(b"no model"), packed(matmul())[:-1]])
async def test_an_artifact_that_is_refused(bench: Bench, data: bytes) -> None:
    key = await bench.store.put(data)
    with pytest.raises(ArtifactRefused):
        await bench.load(key)


async def test_an_engine_that_is_not_here(bench: Bench) -> None:
    key = await bench.store.put(packed(matmul(), engine="forest"))
    with pytest.raises(UnknownEngine):
        await bench.load(key)
    assert bench.rooms == []


async def test_cancelled_while_the_store_answers(bench: Bench) -> None:
    key = await bench.store.put(packed(matmul()))
    bench.store.gate.clear()
    task = asyncio.create_task(bench.load(key))
    await until(lambda: bench.store.gets == [key], "the store is asked")
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    bench.store.gate.set()
    await bench.load(key)


async def test_only_what_waits_for_nothing_is_loaded_now(bench: Bench, tmp_path: Path, small: Any) -> None:
    linear = await bench.store.put(pack_linear(small[0]))
    assert bench.loader.load_now(linear, bench.rooms.append) is None
    onnx = await bench.store.put(packed(matmul()))
    for key in (linear, onnx):
        await bench.load(key)
    for file in tmp_path.glob("*/*"):
        file.read_bytes()
    assert bench.loader.load_now(onnx, bench.rooms.append) is None
    if bench.disk.read_cached(linear) is None:
        pytest.skip("this file system does not read without waiting")
    scorer = bench.loader.load_now(linear, bench.rooms.append)
    assert scorer is not None
    assert scorer.signature.engine == LINEAR
