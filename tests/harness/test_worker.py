from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import pytest
from support.harness import INFER, echo, scenario
from support.serving import serving

from croupier.debug_tokens import COLD, DEBUG
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.serving import Server
from croupier_bench import worker
from croupier_bench.gathering import Gathered, Report
from croupier_bench.source import OfScenario
from croupier_bench.worker import Failed, Plan, Ready, Start, Stop

Ends = tuple[Connection, Connection]


@pytest.fixture
def pipe() -> Iterator[Ends]:
    ours, theirs = Pipe()
    with ours, theirs:
        yield ours, theirs


def plan(address: str, **load: Any) -> Plan:
    told = {"rate": 500.0, "seconds": 0.2, "warm_up": 0.1, "timeout": 1.0, "connections": 3} | load
    asked = scenario(address, **told)
    return Plan(asked, OfScenario(asked), 0, 1, 0.0)


async def served(pipe: Ends, asked: Plan, *later: object) -> list[Any]:
    """What a worker says that is told to start once it is ready; `later` comes right behind."""
    ours, theirs = pipe

    def tell() -> Any:
        ready = ours.recv()
        for word in (Start(time.monotonic()), *later):
            ours.send(word)
        return ready

    telling = asyncio.create_task(asyncio.to_thread(tell))
    await worker.serve(theirs, asked)
    return [await telling, *said(ours)]


def said(ours: Connection) -> list[Any]:
    found = []
    while ours.poll(0):
        found.append(ours.recv())
    return found


def serves() -> Server:
    server = Server()
    server.add_batch([INFER], echo)
    return server


async def test_a_worker_is_ready_starts_when_it_is_told_and_reports(pipe: Ends) -> None:
    async with serving(serves()) as address:
        ready, *reports = await served(pipe, plan(address))
    assert isinstance(ready, Ready)
    assert [report.is_last for report in reports] == [*[False] * (len(reports) - 1), True]
    gathered = Gathered(["small"], 1, 0.2, 1.0)
    for report in reports:
        assert isinstance(report, Report)
        gathered.add(0, report)
    assert 50 < gathered.due == gathered.sent == gathered.answered < 150
    (seen,) = gathered.workers()
    assert seen.sent == gathered.classes()["small"].sent == gathered.sent
    assert seen.cpu_share > 0
    assert gc.isenabled()


async def test_a_share_of_the_requests_asks_which_cell_answers(pipe: Ends) -> None:
    """Whose a request was is what its metadata say."""
    token, asked = "0123456789abcdef", 0

    def answer(calls: list[ServerCall]) -> None:
        nonlocal asked
        for call in calls:
            if call.values(DEBUG):
                asked += 1
                call.noted = [(DEBUG, token.encode()), (COLD, b"1")]
            call.reply(call.message)

    server = Server()
    server.add_batch([INFER], answer)
    async with serving(server) as address:
        planned = plan(address, warm_up=0.0)
        target = replace(planned.scenario.target, cells=0.5, tenant_header="croupier-tenant")
        told = replace(planned.scenario, target=target)
        _, *reports = await served(pipe, Plan(told, OfScenario(told), 0, 1, 0.0))
    cells = sum((report.cells for report in reports), Counter())
    assert {tenant for tenant, _, _ in cells} == {f"tenant-{n:05}" for n in range(3)}
    assert {(said, is_cold) for _, said, is_cold in cells} == {(token, True)}
    assert cells.total() == asked
    assert 20 < asked < 80


async def test_a_closed_loop_ends_by_itself(pipe: Ends) -> None:
    async with serving(serves()) as address:
        told = scenario(address, mode="closed", streams=2, seconds=0.1, warm_up=0.0, connections=2)
        *_, last = await served(pipe, Plan(told, OfScenario(told), 0, 1, 0.0))
    assert last.is_last
    assert sum(last.due.values()) > 4


async def test_a_worker_that_is_told_to_stop_ends(pipe: Ends) -> None:
    async with serving(serves()) as address:
        *_, last = await served(pipe, plan(address, seconds=3600.0, warm_up=0.0), Stop())
    assert last.is_last
    assert last.at < 60.0


async def test_without_a_server_it_says_so(pipe: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pipe
    monkeypatch.setattr(worker, "_CONNECT_SECONDS", 0.0)
    await worker.serve(theirs, plan("127.0.0.1:1"))
    (failed,) = said(ours)
    assert isinstance(failed, Failed)
    assert "127.0.0.1:1" in failed.why


async def test_what_cannot_be_prepared_is_said(pipe: Ends) -> None:
    ours, theirs = pipe
    asked = scenario("127.0.0.1:1", rate=1.0)
    await worker.serve(theirs, Plan(asked, Broken(), 0, 1, 0.0))  # type: ignore[arg-type]
    assert said(ours) == [Failed("no token")]


async def test_what_cannot_be_drawn_is_said(pipe: Ends) -> None:
    """As a file of recorded requests that is no such file."""
    ours, theirs = pipe
    asked = scenario("127.0.0.1:1", rate=1.0)
    await worker.serve(theirs, Plan(asked, Undrawn(), 0, 1, 0.0))  # type: ignore[arg-type]
    assert said(ours) == [Failed("no request")]


class Broken:
    def prepared(self) -> Any:
        raise ValueError("no token")


class Undrawn:
    def prepared(self) -> Any:
        return None

    def parts(self, worker: int, workers: int) -> Any:
        yield from ()
        raise ValueError("no request")


async def test_connections_are_shared_out_among_workers_and_addresses() -> None:
    asked = scenario("127.0.0.1:1", rate=1.0, connections=5, workers=2)
    counts = worker.Counts([False], timeout=1.0)
    ends = worker.Ends(counts)
    found = [
        [
            line.target
            for line in worker._lines(
                Plan(asked, OfScenario(asked), number, 2, 0.0), counts, ends, worker.Outbox()
            )
        ]
        for number in range(2)
    ]
    assert [len(lines) for lines in found] == [3, 2]
