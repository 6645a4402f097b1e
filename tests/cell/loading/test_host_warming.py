"""Loads that nobody has asked for yet: behind requests, and taken over by them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.cells import ticks
from support.hosts import A, B, Bench, C
from support.residency import resident

from cell.engines import ArtifactRefused


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.host.close()


async def test_warming_waits_behind_requests_and_leaves_them_slots() -> None:
    bench = Bench(slots=2)
    warms = [asyncio.create_task(bench.host.warm(key)) for key in (A, B)]
    await ticks()
    assert bench.loads.begun == [A]
    request = bench.ask(C)
    await ticks()
    assert bench.loads.begun == [A, C]
    await bench.loads.end(C)
    request.result().release()
    await bench.loads.end(A)
    await bench.loads.end(B)
    for warm in warms:
        assert warm.result() is None
    assert resident(bench.residency) == [C, A, B]
    assert bench.residency.plan(100).victims == (C, A, B)


async def test_a_request_takes_over_a_load_that_waits_in_the_background() -> None:
    bench = Bench(slots=1)
    warms = [asyncio.create_task(bench.host.warm(key)) for key in (A, B, C)]
    await ticks()
    request = bench.ask(C)
    await ticks()
    await bench.loads.end(A)
    assert bench.loads.begun == [A, C]
    await bench.loads.end(C)
    request.result().release()
    await bench.loads.end(B)
    assert all(warm.done() for warm in warms)


async def test_a_request_that_leaves_a_warming_load_does_not_end_it() -> None:
    bench = Bench(slots=1)
    running = bench.ask(A)
    warm = asyncio.create_task(bench.host.warm(B))
    await ticks()
    request = bench.ask(B)
    await ticks()
    request.cancel()
    await ticks()
    await bench.loads.end(A)
    running.result().release()
    await bench.loads.end(B)
    assert warm.result() is None


async def test_warming_what_is_resident_does_nothing(bench: Bench) -> None:
    await bench.make_resident(A)
    await bench.host.warm(A)
    assert bench.loads.begun == [A]


async def test_warming_says_what_failed_and_keeps_it(bench: Bench) -> None:
    warm = asyncio.create_task(bench.host.warm(A))
    await ticks()
    await bench.loads.end(A, ArtifactRefused("broken"))
    with pytest.raises(ArtifactRefused):
        warm.result()
    with pytest.raises(ArtifactRefused):
        await bench.host.warm(A)
    assert bench.loads.begun == [A]
