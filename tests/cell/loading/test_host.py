"""Leases: one load for all who want a model, what its failure means, and what must go for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext

import pytest
from support.cells import ticks
from support.hosts import A, B, Bench, C
from support.residency import resident

from cell.engines import ArtifactRefused
from cell.loading import host as host_module
from cell.residency.residency import ModelTooLarge, NoRoom
from croupier.deadline import NEVER
from croupier.errors import NotFound, Unavailable


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.host.close()


async def test_the_first_loads_and_the_next_hits(bench: Bench) -> None:
    first = bench.ask(A)
    await ticks()
    await bench.loads.end(A)
    with first.result() as lease, await bench.host.lease(A, NEVER) as again:
        assert lease.model is again.model
    assert bench.loads.begun == [A]
    load = bench.host.report()
    assert (load.requests, load.hits, load.resident, load.used_bytes) == (2, 1, 1, 10)


async def test_one_load_for_all_who_wait(bench: Bench) -> None:
    tasks = [bench.ask(A) for _ in range(5)]
    await ticks()
    assert bench.host.report().loading == 1
    await bench.loads.end(A)
    leases = [task.result() for task in tasks]
    assert len({id(lease.model) for lease in leases}) == 1
    assert bench.loads.begun == [A]
    with pytest.raises(NoRoom):
        bench.residency.plan(100)
    for lease in leases:
        lease.release()
    assert bench.residency.plan(100).victims == (A,)


async def test_a_failure_is_everybodys_and_is_remembered_for_a_while(bench: Bench) -> None:
    tasks = [bench.ask(A) for _ in range(2)]
    await ticks()
    await bench.loads.end(A, ArtifactRefused("broken"))
    for task in tasks:
        with pytest.raises(ArtifactRefused):
            task.result()
    for _ in range(2):
        with pytest.raises(ArtifactRefused, match="broken") as caught:
            await bench.host.lease(A, NEVER)
        assert caught.value.reason == "ARTIFACT_REFUSED"
    assert bench.loads.begun == [A]
    bench.clock.advance(900.0 / 2 * 1.2)
    await bench.make_resident(A)
    assert bench.loads.begun == [A, A]


async def test_one_models_failure_is_not_anothers(bench: Bench) -> None:
    task = bench.ask(A)
    await ticks()
    await bench.loads.end(A, NotFound("gone"))
    with pytest.raises(NotFound):
        task.result()
    await bench.make_resident(B)


async def test_what_passes_is_not_remembered(bench: Bench) -> None:
    task = bench.ask(A)
    await ticks()
    await bench.loads.end(A, Unavailable("the store is away"))
    with pytest.raises(Unavailable):
        task.result()
    await bench.make_resident(A)


async def test_a_failure_that_nobody_waits_for_is_silent(bench: Bench) -> None:
    task = bench.ask(A)
    await ticks()
    task.cancel()
    await ticks()
    await bench.loads.end(A, ArtifactRefused("broken"))
    assert bench.host.report().loading == 0


async def test_loading_evicts_the_least_recently_used() -> None:
    bench = Bench(capacity=25)
    for key in (A, B, C):
        await bench.make_resident(key)
    assert resident(bench.residency) == [B, C]


async def test_no_room_while_everything_is_in_use() -> None:
    bench = Bench(capacity=10)
    held = bench.ask(A)
    await ticks()
    await bench.loads.end(A)
    refused = bench.ask(B)
    await ticks()
    await bench.loads.end(B)
    with pytest.raises(NoRoom):
        refused.result()
    held.result().release()
    await bench.make_resident(B)
    assert bench.residency.used == 10


async def test_a_model_that_was_just_loaded_is_used_before_it_can_go() -> None:
    bench = Bench(capacity=10)
    waiting, other = bench.ask(A), bench.ask(B)
    await ticks()
    bench.loads.finish(A)
    bench.loads.finish(B)
    await ticks()
    with waiting.result() as lease:
        assert lease.digest == A
    with pytest.raises(NoRoom):
        other.result()


async def test_closing_gives_up_what_loads() -> None:
    bench = Bench(slots=1)
    tasks = [bench.ask(A), bench.ask(B)]
    await ticks()
    await bench.host.close()
    await ticks()
    for task in tasks:
        with pytest.raises(Unavailable):
            task.result()
    assert bench.residency.reserved == 0


async def test_find_answers_at_once_and_hits_are_counted_apart(bench: Bench) -> None:
    assert bench.host.find(A, 0.0) is None
    await bench.make_resident(A)
    assert bench.host.find(A, 0.0) is bench.loads.made[A]
    bench.host.count_hits(1)
    load = bench.host.report()
    assert (load.requests, load.hits) == (2, 1)
    assert bench.residency.plan(100).victims == (A,)


async def test_what_is_evicted_is_closed() -> None:
    bench = Bench(capacity=10)
    await bench.make_resident(A)
    await bench.make_resident(B)
    assert (bench.loads.made[A].is_closed, bench.loads.made[B].is_closed) == (True, False)


async def test_what_finds_no_place_after_all_is_closed() -> None:
    bench = Bench(capacity=20)
    task = bench.ask(A)
    await ticks()
    bench.loads.size = 10
    bench.loads.grown = 30
    await bench.loads.end(A)
    assert isinstance(task.exception(), ModelTooLarge)
    assert bench.loads.made[A].is_closed
    assert (bench.residency.used, bench.residency.reserved) == (0, 0)


async def test_closing_before_a_load_took_its_first_step() -> None:
    bench = Bench(slots=1)
    tasks = [bench.ask(A), bench.ask(B)]
    await asyncio.sleep(0)
    await bench.host.close()
    await ticks()
    for task in tasks:
        with pytest.raises(Unavailable) as caught:
            task.result()
        assert caught.value.reason == "STOPPING"
    with pytest.raises(Unavailable):
        await bench.host.lease(C, NEVER)


async def test_one_more_of_many_is_a_section_for_the_dictionary_may_grow(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[str] = []
    monkeypatch.setattr(host_module, "section", lambda name: named.append(name) or nullcontext())
    monkeypatch.setattr(host_module, "_MANY", 1)
    await bench.make_resident(A)
    assert named == []
    await bench.make_resident(B)
    assert named == ["dictionary growth"]
