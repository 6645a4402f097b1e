"""Whole runs, with worker processes of their own, against a server of ours in the test's loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.harness import INFER, echo, scenario
from support.serving import serving

from croupier.codes import Code
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.serving import Server
from croupier_bench import run as running
from croupier_bench.histogram import Histogram
from croupier_bench.result import Progress, Result
from croupier_bench.run import INTERRUPTED, RunFailed, run

Handler = Callable[[list[ServerCall]], None]


@asynccontextmanager
async def answering(handle: Handler = echo) -> AsyncIterator[str]:
    server = Server()
    server.add_batch([INFER], handle)
    async with serving(server) as address:
        yield address


async def played(
    address: str, *, more: str = "", options: dict[str, Any] | None = None, **load: Any
) -> Result:
    told = {"rate": 300.0, "seconds": 1.5, "warm_up": 0.2, "timeout": 2.0, "connections": 2} | load
    return await asyncio.to_thread(run, scenario(address, more=more, **told), **(options or {}))


def refuse(calls: list[ServerCall]) -> None:
    for call in calls:
        call.fail(Code.UNAVAILABLE, "busy")


def stall(calls: list[ServerCall]) -> None:
    """Does nothing in the first tenth of each second."""
    while (into := time.monotonic() % 1.0) < 0.1:
        time.sleep(0.1 - into)
    echo(calls)


async def test_a_server_that_stalls_is_not_hidden() -> None:
    """A tenth of all requests is due while it stalls, and has to wait what is left of 100 ms: one in fifty
    waits 80 ms or more, whatever became of those before it. A load that waits for answers sees one a stall.
    """
    async with answering(stall) as address:
        result = await played(address, rate=1000.0, seconds=3.0)
    p99 = result.latency_ms["p99"]
    assert p99 is not None
    assert p99 >= 80
    assert result.sent == result.answered == result.planned
    stalled = Histogram.from_json(result.histogram).above(0.080)
    assert stalled >= result.planned / 100


async def test_a_result_has_all_that_was_seen() -> None:
    async with answering() as address:
        result = await played(address, workers=2, options={"verify_share": 0.5})
    assert Result.from_json(result.to_json()) == result
    assert 300 < result.planned < 600
    assert result.planned == result.sent == result.answered
    assert (result.errors, result.stopped, result.events) == ({}, None, [])
    # Nobody was asked for an echo.
    assert sum(result.wrong.values()) == result.answered - result.unverified > 100
    for name in ("due", "sent", "answered", "wrong"):
        assert (
            sum(getattr(row, name) for row in result.series)
            == {
                "due": result.planned,
                "sent": result.sent,
                "answered": result.answered,
                "wrong": sum(result.wrong.values()),
            }[name]
        )
    assert [row.t for row in result.series] == [0.0, 1.0]
    assert sum(worker.sent for worker in result.load.workers) == result.sent
    assert len(result.load.workers) == 2
    assert result.by_class["small"].answered == result.answered
    assert result.rate.planned == pytest.approx(result.planned / 1.5, abs=0.01)
    assert Histogram.from_json(result.histogram).count == result.answered
    assert result.scenario["load"]["rate"] == 300.0
    assert result.slo.holds


async def test_numbers_are_those_of_one_worker_alone() -> None:
    seen: list[list[bytes]] = [[], []]
    results = []
    for workers in (1, 2):

        def note(calls: list[ServerCall], into: list[bytes] = seen[workers - 1]) -> None:
            into.extend(call.message for call in calls)
            echo(calls)

        async with answering(note) as address:
            results.append(await played(address, workers=workers, seconds=0.5))
    assert sorted(seen[0]) == sorted(seen[1])


async def test_a_run_stops_when_too_much_fails() -> None:
    async with answering(refuse) as address:
        result = await played(
            address,
            seconds=3600.0,
            options={},
            more="[stop]\nerrors = 0.05\nwindow = 0.5\n[slo]\nerrors = 0.01\n",
        )
    assert result.stopped is not None
    assert "100.00%" in result.stopped
    assert result.errors == {"UNAVAILABLE: busy": result.sent}
    assert not result.slo.holds
    assert result.series[-1].t < 600


async def test_whoever_watches_is_told_how_it_goes() -> None:
    told: list[Progress] = []
    async with answering() as address:
        result = await played(address, seconds=2.5, options={"watch": told.append})
    assert [progress.seconds for progress in told] == sorted(progress.seconds for progress in told)
    assert told[-1].planned_seconds == 2.5
    assert 0 < told[-1].answered <= result.answered


async def test_ctrl_c_ends_a_run_with_what_it_has_seen() -> None:
    def interrupt(progress: Progress) -> None:
        if progress.answered:
            raise KeyboardInterrupt

    async with answering() as address:
        result = await played(address, seconds=3600.0, options={"watch": interrupt})
    assert result.stopped == INTERRUPTED
    assert 0 < result.answered == result.planned
    assert result.series[-1].t < 600


async def test_a_closed_loop_is_a_run_too() -> None:
    async with answering() as address:
        asked = scenario(address, mode="closed", streams=4, seconds=0.5, warm_up=0.1, connections=2)
        result = await asyncio.to_thread(run, asked)
    assert result.planned == result.sent == result.answered > 8
    assert result.lateness_ms["max"] == 0


async def test_without_a_server_there_is_no_run() -> None:
    with pytest.raises(RunFailed, match=r"127\.0\.0\.1:1"):
        await played("127.0.0.1:1")


async def test_a_worker_that_ends_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def another(argv: list[str], **options: Any) -> subprocess.Popen[bytes]:
        ended.append(popen([sys.executable, "-c", "raise SystemExit(9)"], **options))
        return ended[-1]

    monkeypatch.setattr(running.subprocess, "Popen", another)
    with pytest.raises(RunFailed, match="ended with 9"):
        await played("127.0.0.1:1")


def test_a_worker_ends_with_whoever_started_it() -> None:
    worker = running._spawn(0)
    worker.connection.close()
    assert worker.process.wait(30) == 1
