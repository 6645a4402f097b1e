"""What a cell is at, asked of a whole one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.cell_server import infer_request, open_cell
from support.cells import Clock, MemoryStore
from support.join_service import open_join_service
from support.loading import Asked
from support.waiting import eventually

from cell.app import Cell
from cell.loading.host import HostReport
from cell.loading.storereads import StoreReads
from cell.work import Work
from croupier.errors import CroupierError
from croupier.latencies import BUCKETS
from croupier.recent import Took
from protos.versions.v1 import versions_pb2 as pb


class Parts:
    """Stand-ins whose counters are set by hand."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.requests = self.hits = 0
        self.counted = (0, 0, 0, 0)
        self.run: tuple[bytes, float] | None = None
        self.was_stopped = (b"", 0)
        host: Any = SimpleNamespace(
            report=lambda: HostReport(100, 60, 3, 1, 7.5, self.requests, self.hits),
            counts=lambda: self.counted,
            longest_wait=lambda: 2.5,
        )
        loader: Any = SimpleNamespace(
            lately=lambda: (Took(2, 0.5, 0.75), StoreReads().told(0.0)),
            times=SimpleNamespace(counts=[0, 0, 5, 0, 2, *[0] * (BUCKETS - 5)]),
        )
        batcher: Any = SimpleNamespace(
            told=lambda: {"waiting_rows": 9},
            longest_run=lambda: self.run,
            stopped=lambda: self.was_stopped,
        )
        self.work = Work(host, loader, batcher, self.clock)


def test_counts_are_those_of_the_last_seconds() -> None:
    parts = Parts()
    parts.requests, parts.hits, parts.counted = 1_000, 900, (5, 6, 7, 8)
    first = parts.work.told()
    assert (first.seconds, first.requests, first.misses, first.loaded) == (0.0, 0, 0, 0)
    assert (first.loading, first.oldest_load_seconds, first.waiting_rows) == (1, 2.5, 9)
    assert (first.load_seconds, first.slowest_load_seconds) == (0.5, 0.75)
    assert (first.first_load_bucket, [*first.load_buckets]) == (2, [5, 0, 2])
    parts.clock.advance(4.0)
    parts.requests, parts.hits, parts.counted = 1_100, 960, (6, 8, 10, 12)
    told = parts.work.told()
    assert (told.seconds, told.requests, told.misses) == (4.0, 100, 40)
    assert (told.evictions, told.loaded, told.failed, told.turned_away) == (1, 2, 3, 4)


def test_a_run_is_told_of_if_it_is_long_and_one_that_was_stopped() -> None:
    parts = Parts()
    assert not parts.work.told().HasField("run")
    parts.run = (b"a", 0.4)
    assert not parts.work.told().HasField("run")
    parts.was_stopped = (b"b", 2)
    assert parts.work.told().run == pb.LongRun(artifact=b"b", stopped=2)
    parts.run = (b"a", 3.0)
    assert parts.work.told().run == pb.LongRun(artifact=b"a", seconds=3.0, stopped=2)


async def test_a_cell_tells_with_its_report_what_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    store.gate.clear()

    async def open_source(cell: Cell) -> Asked:
        return Asked(store)  # type: ignore[arg-type]

    monkeypatch.setattr(Cell, "_open_source", open_source)
    async with open_join_service() as (service, manager), open_cell(tmp_path, manager=(manager,)) as server:
        asking = asyncio.ensure_future(server.infer(infer_request(bytes(32), [[1.0, 2.0]]), timeout=30.0))

        def told() -> pb.Work:
            return service.reports[-1].load.work if service.reports else pb.Work()

        await eventually(lambda: told().store.oldest_seconds > 0.0, "it is told of")
        assert (told().loading, told().store.under_way) == (1, 1)
        assert told().oldest_load_seconds > 0.0
        store.gate.set()
        with pytest.raises(CroupierError):
            await asking
        await eventually(lambda: told().store.failed == 1, "it has failed")
        assert (told().failed, told().store.failure) == (1, "NOT_FOUND")
