"""What a router tells version managers of itself, and what it makes of those that do not listen."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random

import grpc
import pytest
from support.fakes import FakeManager, generation, model, refuse, view
from support.waiting import eventually
from support.worlds import router, world

from croupier.backoff import Backoff
from croupier.codes import Code
from croupier.errors import CroupierError, InternalError, Unavailable, Unimplemented
from croupier.grpcio.manager import VersionManagerClient
from croupier.protocol import CURRENT
from protos.versions.v1 import versions_pb2 as pb
from router.feeds import Timing, ViewFeed
from router.rates import Rates
from router.reports import Reports, report_of

FIRST = view([model(name=f"m{n}") for n in range(30)], (generation(["a"]),), revision=10)


class Listener:
    """Notes what it is told; `failures` come first."""

    def __init__(self, *failures: CroupierError) -> None:
        self.failures = list(failures)
        self.heard: list[pb.RouterReport] = []
        self.rates: list[pb.Rates] = []
        self.asked = 0

    async def report_router(self, request: pb.ReportRouterRequest, timeout: float) -> pb.ReportRouterResponse:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        self.heard.append(request.report)
        self.rates.append(request.rates)
        share = pb.TenantShare(tenant="acme", share=0.75)
        return pb.ReportRouterResponse(rates_unknown=len(self.rates) == 1, routers=4, shares=[share])


class Pauses:
    def __init__(self) -> None:
        self.asked: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        await asyncio.sleep(0)


async def run_until(reports: Reports, done: Callable[[], bool]) -> None:
    running = asyncio.create_task(reports.run())
    await eventually(done, "the reports")
    running.cancel()
    await asyncio.wait([running])


async def test_each_manager_is_told_whatever_the_others_do() -> None:
    away, old, well = Listener(Unavailable("away")), Listener(Unimplemented("what?")), Listener()
    pauses = Pauses()
    reports = Reports([away, old, well], lambda: pb.RouterReport(id="r"), sleep=pauses)
    await run_until(reports, lambda: all(len(one.heard) > 2 for one in (away, old, well)))
    assert set(pauses.asked) == {1.0, 15.0}
    assert pauses.asked.count(15.0) == 1


async def test_what_a_manager_knows_of_rates_it_is_told_once_and_one_that_forgot_again() -> None:
    rates = Rates(4, slow_seconds=1.0, clock=lambda: 1.0, rng=Random(1), incarnation=1)
    rates.tallies.refused("acme", Code.NOT_FOUND, 0.001)
    # Of its first report it says that it knew nothing of this router before.
    listener = Listener()
    reports = Reports([listener], lambda: pb.RouterReport(id="r"), rates, sleep=Pauses())
    await run_until(reports, lambda: len(listener.rates) >= 4)
    told = [[key.tenant for key in one.keys] for one in listener.rates[:4]]
    rates.close()
    assert told == [["acme"], ["acme"], [], []]


async def test_what_managers_answer_is_heard() -> None:
    heard: list[pb.ReportRouterResponse] = []
    away, well = Listener(Unavailable("away")), Listener()
    reports = Reports([away, well], lambda: pb.RouterReport(id="r"), None, heard.append, sleep=Pauses())
    await run_until(reports, lambda: len(heard) > 2)
    assert {(one.routers, one.shares[0].share) for one in heard} == {(4, 0.75)}


async def test_the_last_report_says_that_it_is_the_last() -> None:
    listener, broken = Listener(), Listener(*[InternalError("broken")] * 1000)
    reports = Reports([broken, listener], lambda: pb.RouterReport(id="r"), sleep=Pauses())
    await reports.leave()
    assert not listener.asked
    await run_until(reports, lambda: bool(listener.heard))
    await reports.leave()
    assert [one.leaving for one in listener.heard[-2:]] == [False, True]


@pytest.mark.parametrize("is_refused", [False, True])
async def test_a_report_says_what_is_served_and_what_is_refused(is_refused: bool) -> None:
    async with FakeManager(FIRST) as manager, VersionManagerClient(manager.address) as client:
        timing = Timing(silence=5.0, backoff=Backoff(0.001, 0.01), refused=0.01)
        feed = ViewFeed(
            client.watch, on_swap=lambda view: None, clock=time.monotonic, rng=Random(1), timing=timing
        )
        report = report_of(feed, "host:1", "a:1", pb.Part(release="9"))
        assert report == pb.RouterReport(
            id="host:1", address="a:1", part=pb.Part(release="9"), revision=report.revision
        )
        if is_refused:
            await feed.load(view(FIRST.catalog, FIRST.generations, revision=11))
            report = report_of(feed, "host:1", "a:1", pb.Part())
            assert (report.serving, report.HasField("view_age"), report.refuses) == (True, False, "")
        running = asyncio.create_task(feed.run())
        await eventually(lambda: bool(feed.refuses) if is_refused else feed.is_loaded, "the catalog")
        report = report_of(feed, "host:1", "a:1", pb.Part())
        running.cancel()
        await asyncio.wait([running])
    assert report.serving
    assert report.view_age < 5.0
    assert report.generation == FIRST.generations[0].number
    assert (report.revision, report.refuses) == (
        (11, "it is older than what is held") if is_refused else (10, "")
    )


async def test_a_router_whose_map_cells_refuse_says_so() -> None:
    async with world(stale_seconds=0.1) as found:
        for cell in found.cells.values():
            cell.before = refuse(Unavailable("it was dealt by an old shard map", reason="STALE_MAP"))

        async def is_told() -> bool:
            with suppress(grpc.RpcError):
                await found.router.infer()
            return "cells refuse what shard map" in found.manager.reports[-1].not_ready

        await eventually(lambda: bool(found.manager.reports), "a report")
        await eventually(is_told, "that it is not ready, and why")


async def test_a_router_reports_while_it_runs_and_says_when_it_ends() -> None:
    async with FakeManager(FIRST) as manager:
        async with router(manager.address) as front:
            await eventually(lambda: any(one.serving for one in manager.reports), "a report")
            report = manager.reports[-1]
        assert report.not_ready == "none of 0 cells can be reached"
        assert report.address == front.address
        assert report.part.protocol == CURRENT
        assert (report.catalog, report.revision) == (FIRST.catalog.name, 10)
        assert manager.reports[-1].leaving
        assert manager.reports[-1].id == report.id
