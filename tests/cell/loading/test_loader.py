import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cells import MemoryStore, digest
from support.graphs import matmul, packed
from support.irregular import put
from support.loading import open_loader
from support.waiting import eventually

from cell.engines import ArtifactRefused, Engines, UnknownEngine
from cell.engines.onnx import OnnxEngine
from cell.engines.packed import LINEAR, PackedEngine
from cell.loading.diskcache import DiskCache
from cell.loading.loader import Loader
from cell.loading.marks import Marks
from cell.loading.sources import Folder
from cell.residency.residency import ModelTooLarge
from croupier.artifacts.format import view
from croupier.artifacts.packers.linear import pack_linear
from croupier.errors import DataLoss, NotFound, Unavailable
from croupier.latencies import bucket_of
from croupier.stores.objects import key_of, open_store


class Bench:
    def __init__(
        self, store: MemoryStore, disk: DiskCache, threads: ThreadPoolExecutor, stack: AsyncExitStack
    ) -> None:
        self.store = store
        self.disk = disk
        self.threads = threads
        self.stack = stack
        self.loader: Loader
        self.marks: Marks
        self.rooms: list[int] = []

    async def make_loader(self, source: Any = None, **settings: Any) -> None:
        engines = Engines({"onnx": OnnxEngine(), LINEAR: PackedEngine(LINEAR)})
        opening = open_loader(source or self.store, self.disk, engines, self.threads, **settings)
        self.loader = await self.stack.enter_async_context(opening)

    async def load(self, key: bytes, make_room: Callable[[int], None] | None = None) -> Any:
        told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.marks = Marks()
        cancel = self.loader.begin(key, make_room or self.rooms.append, told.set_result, self.marks)
        try:
            result = await told
        except asyncio.CancelledError:
            cancel()
            raise
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    with ThreadPoolExecutor(2) as threads:
        disk = await DiskCache.open(tmp_path, 2**20)
        await disk.indexed()
        async with AsyncExitStack() as stack:
            bench = Bench(MemoryStore(), disk, threads, stack)
            await bench.make_loader()
            yield bench
        await disk.close()


async def test_from_the_store_then_from_the_disk(bench: Bench) -> None:
    key = await bench.store.put(packed(matmul()))
    for _ in range(2):
        scorer = await bench.load(key)
        scored = scorer.score({"input": np.ones((1, 2), np.float32)}, ["y"])
        assert scored["y"].tolist() == [[2, 2]]
    assert bench.store.gets == [key]


async def test_each_step_of_a_load_is_marked(bench: Bench, small: Any) -> None:
    for artifact in (packed(matmul()), pack_linear(small[0])):
        key = await bench.store.put(artifact)
        for where in ("store", "disk"):
            await bench.load(key)
            assert [step for step, _ in bench.marks] == [where, "check", "build"]
            assert [at for _, at in bench.marks] == sorted(at for _, at in bench.marks)


async def test_the_store_away_is_no_matter_for_what_is_on_the_disk(bench: Bench) -> None:
    key = await bench.store.put(packed(matmul()))
    await bench.load(key)
    bench.store.failure = Unavailable("away")
    await bench.load(key)


async def test_a_small_model_loads_without_a_python_thread(bench: Bench, small: Any) -> None:
    key = await bench.store.put(pack_linear(small[0]))
    await bench.load(key)
    bench.threads.shutdown()
    scorer = await bench.load(key)
    assert scorer.signature.engine == LINEAR
    assert bench.rooms == [scorer.resident_bytes] * 2
    assert bench.store.gets == [key]


async def test_a_folder_is_read_and_kept_from_without_asking_anybody(
    bench: Bench, tmp_path: Path, small: Any
) -> None:
    objects = tmp_path / "objects"
    async with open_store(f"file://{objects}") as store:
        key = await store.put(pack_linear(small[0]))
    bench.threads.shutdown()
    await bench.make_loader(Folder(objects))
    scorer = await bench.load(key)
    assert scorer.signature.engine == LINEAR
    assert bench.disk.holds(key)
    (objects / key_of(key)).unlink()
    await bench.load(key)


@pytest.mark.parametrize(
    ("content", "failure"), [(None, NotFound), (b"other", DataLoss), ("fifo", Unavailable)]
)
async def test_what_a_folder_does_not_have(
    bench: Bench, tmp_path: Path, content: bytes | str | None, failure: type[Exception]
) -> None:
    key = digest("any")
    path = tmp_path / "objects" / key_of(key)
    path.parent.mkdir(parents=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        put(content, path)
    await bench.make_loader(Folder(tmp_path / "objects"))
    with pytest.raises(failure):
        await bench.load(key)
    assert bench.disk.holds(key) is False


async def test_a_file_that_is_larger_than_the_cell_is_not_read(bench: Bench) -> None:
    key = await bench.store.put(bytes(1000))
    await bench.make_loader(most=999)
    with pytest.raises(ModelTooLarge):
        await bench.load(key)


async def test_a_damaged_section_is_refused_with_its_engines_words(bench: Bench, small: Any) -> None:
    packed_small = bytearray(pack_linear(small[0]))
    at = packed_small.index(bytes(view(bytes(packed_small)).section(LINEAR)))
    packed_small[at] = 9
    key = await bench.store.put(bytes(packed_small))
    with pytest.raises(ArtifactRefused, match="linear model is damaged: its layout has an unknown version"):
        await bench.load(key)


async def test_a_disk_that_is_not_known_yet_is_tried(bench: Bench, tmp_path: Path) -> None:
    key = await bench.store.put(packed(matmul()))
    await bench.load(key)
    bench.disk = DiskCache(tmp_path, 2**20, bench.threads)
    await bench.make_loader()
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
        await bench.load(key, no_room)


@pytest.mark.parametrize("failure", [NotFound("x"), DataLoss("x"), Unavailable("x")])
async def test_what_the_store_raises(bench: Bench, failure: Exception) -> None:
    bench.store.failure = failure
    with pytest.raises(type(failure)):
        await bench.load(digest("any"))


async def test_a_store_that_does_not_answer(bench: Bench) -> None:
    bench.store.gate.clear()
    await bench.make_loader(fetch_timeout=0.01)
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
    await eventually(lambda: bench.store.gets == [key], "the store is asked")
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


async def test_what_is_read_from_the_store_is_known_while_it_is_and_for_a_while(bench: Bench) -> None:
    key = await bench.store.put(packed(matmul()))
    bench.store.gate.clear()
    loading = asyncio.ensure_future(bench.load(key))
    await eventually(lambda: bench.loader.lately()[1].under_way == 1, "it is read")
    await eventually(lambda: bench.loader.lately()[1].oldest_seconds > 0.0, "time passes")
    bench.store.gate.set()
    await loading
    # From the disk, which is no matter of the store's.
    await bench.load(key)
    took, reading = bench.loader.lately()
    assert (took.count, reading.done, reading.failed, reading.under_way) == (2, 1, 0, 0)
    assert 0.0 < reading.mean_seconds <= took.slowest
    counts = bench.loader.times.counts
    assert (sum(counts), counts[bucket_of(took.slowest)] > 0) == (2, True)


async def test_what_cannot_be_read_is_told_with_its_reason(bench: Bench) -> None:
    with pytest.raises(NotFound):
        await bench.load(digest("nowhere"))
    bench.store.failure = Unavailable("away", reason="AWAY")
    with pytest.raises(Unavailable):
        await bench.load(digest("any"))
    bench.store.failure = None
    bench.store.objects[digest("damaged")] = b"other bytes"
    with pytest.raises(DataLoss):
        await bench.load(digest("damaged"))
    # It was read well; what became of it then is no matter of the store's.
    with pytest.raises(ArtifactRefused):
        await bench.load(await bench.store.put(b"no artifact"))
    reading = bench.loader.lately()[1]
    assert (reading.done, reading.failed, reading.failure) == (1, 3, "DATA_LOSS")


async def test_a_store_that_nobody_waits_for_any_more_is_not_waited_for(bench: Bench) -> None:
    bench.store.gate.clear()
    loading = asyncio.ensure_future(bench.load(digest("any")))
    await eventually(lambda: bench.loader.lately()[1].under_way == 1, "it is read")
    loading.cancel()
    await asyncio.wait([loading])
    assert bench.loader.lately()[1].under_way == 0


async def test_a_store_that_is_given_up_has_failed(bench: Bench) -> None:
    bench.store.gate.clear()
    await bench.make_loader(fetch_timeout=0.01)
    with pytest.raises(Unavailable):
        await bench.load(digest("any"))
    assert bench.loader.lately()[1].failure == "STORE_TIMEOUT"
