"""What is measured, and a process that is kept within its limit."""

import os
import struct
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import REGISTRY
from support.cell_server import infer_request, open_cell
from support.waiting import eventually

from cell.memory.arena import Arena
from cell.memory.block import Block
from cell.memory.keeper import Measure, MemoryKeeper, MemoryShort, group_bytes, machine_bytes, resident_bytes
from croupier.artifacts.format import Tensor, pack
from croupier.errors import Unavailable

MIB = 1024 * 1024
PAGE = os.sysconf("SC_PAGE_SIZE")
MEMINFO = {"/proc/meminfo": "MemTotal: 1000 kB\nMemAvailable:     400 kB\n"}
GROUP = {"/proc/self/cgroup": "0::/app\n", "/sys/fs/cgroup/app/memory.max": "900000\n"}
USED = {
    "/sys/fs/cgroup/app/memory.current": "700000\n",
    "/sys/fs/cgroup/app/memory.stat": "anon 5\ninactive_file 50000\n",
}


def test_a_group_takes_what_its_caches_do_not() -> None:
    assert group_bytes("/sys/fs/cgroup/app", USED.get) == 650_000
    older = {"/g/memory.usage_in_bytes": "5000\n", "/g/memory.stat": "total_inactive_file 1000\n"}
    assert group_bytes("/g", older.get) == 4000
    assert group_bytes("/g", lambda _: None) == 0


def test_a_machine_takes_what_is_not_available() -> None:
    assert machine_bytes(1000 * 1024, MEMINFO.get) == 600 * 1024
    assert machine_bytes(1000 * 1024, lambda _: None) == 0


def test_this_process_takes_memory() -> None:
    assert MIB < resident_bytes() < machine_bytes(1 << 50)
    assert resident_bytes({"/proc/self/statm": "900 100 5 1 0 1 0\n"}.get) == 100 * PAGE
    assert resident_bytes(lambda _: None) == 0


def test_what_is_measured_is_what_the_limit_is_about() -> None:
    files = {**MEMINFO, **GROUP, **USED, "/proc/self/statm": "900 3 5 1 0 1 0\n"}
    for told, limit, taken in (
        (0, 900_000, 650_000),
        (800_000, 800_000, 3 * PAGE),
        (950_000, 900_000, 650_000),
    ):
        measure = Measure.of(told, files.get)
        assert (measure.limit, measure.taken()) == (limit, taken)
    alone = Measure.of(0, {**MEMINFO, "/proc/self/statm": "900 3 5\n"}.get)
    assert (alone.limit, alone.taken()) == (1000 * 1024, 600 * 1024)


class Models:
    """Whoever holds the models: says how many went."""

    def __init__(self, used: int) -> None:
        self.used = used
        self.capacities: list[int] = []

    def resize(self, capacity: int) -> int:
        self.capacities.append(capacity)
        gone = max(0, self.used - capacity)
        self.used -= gone
        return gone


def test_it_evicts_then_refuses_loads_then_allows_them_again() -> None:
    taken, trims = [400], [0]

    def trim() -> None:
        trims[0] += 1

    keeper = MemoryKeeper(Measure(1000, lambda: taken[0]), 640, Arena(MIB), base=100, trim=trim)
    models = Models(300)
    keeper.look(models)
    keeper.check()
    assert (models.capacities, trims) == ([], [0])
    taken[0], models.used = 950, 600
    keeper.look(models)
    keeper.check()
    assert (models.capacities, models.used, trims) == ([570], 570, [1])
    taken[0] = 980
    keeper.look(models)
    with pytest.raises(MemoryShort) as caught:
        keeper.check()
    assert (caught.value.reason, trims) == ("OVERLOADED", [2])
    assert caught.value.retry_after == 0.5
    taken[0] = 400
    keeper.look(models)
    keeper.check()
    assert REGISTRY.get_sample_value("croupier_cell_memory_measured_bytes") == 400
    assert REGISTRY.get_sample_value("croupier_cell_memory_accounted_bytes") == models.used
    assert REGISTRY.get_sample_value("croupier_cell_memory_capacity_bytes") == models.capacities[-1]


def test_it_has_the_arena_move_what_was_busy_and_tells_the_slack() -> None:
    arena = Arena(MIB, segment_bytes=4096)
    blocks = [Block.of(arena, bytes(100)) for _ in range(400)]
    readers = [memoryview(block) for block in blocks[::10]]
    for place, block in enumerate(blocks):
        if place % 10:
            block.close()
    for reader in readers:
        reader.release()
    before = arena.slack
    MemoryKeeper(Measure(1000, lambda: 0), 640, arena, base=0).look(Models(0))
    assert arena.slack < before
    assert REGISTRY.get_sample_value("croupier_cell_memory_slack_bytes") == arena.slack


FEATURES, SUMS = 32_768, 4


def artifact(number: int) -> bytes:
    """A linear model of 1 MiB that answers with its number."""
    header = struct.pack("<HBBIIIIId", 1, 0, 0, 0, FEATURES, SUMS, 0, 0, 0.0)
    section = header + struct.pack("<d", number) * SUMS + bytes(8 * FEATURES * SUMS) + bytes(8)
    return pack(
        engine="linear",
        inputs=[Tensor("input", "FP32", (-1, FEATURES))],
        outputs=[Tensor("value", "FP32", (-1, SUMS))],
        sections={"linear": section},
    )


def peak_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, *values = line.split()
        if name == "VmHWM:":
            return int(values[0]) * 1024
    raise AssertionError("no peak")


async def fill_a_small_cell(folder: Path) -> None:
    """Far more models than fit, then memory that no book knows; writes limit, peak and capacities."""
    limit = resident_bytes() + 60 * MIB
    row = np.zeros((1, FEATURES), np.float32)

    def capacity() -> float:
        return REGISTRY.get_sample_value("croupier_cell_memory_capacity_bytes") or 0.0

    async with open_cell(folder, memory_limit_bytes=limit, capacity_bytes=1 << 30) as served:
        memory = partial(served.cell.debug["memory"], {})
        digests = [await served.store.put(artifact(number)) for number in range(60)]

        async def ask(number: int) -> None:
            answer = await served.infer(infer_request(digests[number], row, raw=True))
            assert np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() == [number] * SUMS

        async def ask_again(number: int) -> None:
            """Of a cell that is short of memory, which may say so and means it to pass."""
            while True:
                try:
                    return await ask(number)
                except Unavailable:
                    await eventually(lambda: not memory()["sheds"], "the keeper has found room")

        for number in range(60):
            await ask(number)
        filled = capacity()
        ballast = []
        for _ in range(4):
            ballast.append(b"x" * (4 * MIB))
            # As the last look found it, and no request has come since.
            await eventually(lambda: resident_bytes() <= limit * 0.93, "models go for it")
        for number in range(20):
            await ask_again(number)
        pressed = capacity()
    found = (limit, peak_bytes(), filled, pressed, len(ballast))
    sys.stdout.write(" ".join(str(int(each)) for each in found))


def test_a_cell_with_far_more_models_than_memory_stays_under_its_limit_and_serves(tmp_path: Path) -> None:
    script = (
        "import asyncio, pathlib, sys; sys.path[:0] = ['.', 'cell/memory']; import test_keeper;"
        f"asyncio.run(test_keeper.fill_a_small_cell(pathlib.Path({str(tmp_path)!r})))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    limit, peak, filled, pressed, _ = map(int, ran.stdout.split())
    assert peak <= limit
    assert 10 * MIB < pressed < filled - 8 * MIB
