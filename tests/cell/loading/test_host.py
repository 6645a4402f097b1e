import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from support.cells import Clock, SumScorer, digest, ticks
from support.residency import resident

from cell.engines import ArtifactRefused
from cell.loading.host import Host
from cell.loading.singleflight import LoadQueueFull, LoadTooSlow
from cell.residency.policies import Lru
from cell.residency.residency import ModelTooLarge, NoRoom, Residency
from croupier.deadline import NEVER, Deadline
from croupier.errors import DeadlineExceeded, NotFound, Unavailable

A, B, C, D = map(digest, "abcd")


class Loads:
    """A loader whose loads end when told to; makes scorers of `size` bytes."""

    def __init__(self) -> None:
        self.begun: list[bytes] = []
        self.size = 10
        # What the loaded models turn out to take, if that is not `size`.
        self.grown = 0
        self.seconds = 0.0
        self.made: dict[bytes, SumScorer] = {}
        self.cancelled: list[bytes] = []
        self._under_way: dict[bytes, tuple[Callable[[int], None], Callable[[Any], None]]] = {}

    def begin(
        self, digest: bytes, make_room: Callable[[int], None], done: Callable[[Any], None]
    ) -> Callable[[], None]:
        self.begun.append(digest)
        self._under_way[digest] = make_room, done

        def cancel() -> None:
            self.cancelled.append(digest)
            self._under_way.pop(digest, None)

        return cancel

    def expected_seconds(self, digest: bytes) -> float:
        return self.seconds

    async def end(self, digest: bytes, error: Exception | None = None) -> None:
        self.finish(digest, error)
        await ticks()

    def finish(self, digest: bytes, error: Exception | None = None) -> None:
        make_room, done = self._under_way.pop(digest)
        if error is None:
            try:
                make_room(self.size)
            except Exception as failure:  # noqa: BLE001 (as a loader does)
                done(failure)
                return
            self.made[digest] = SumScorer(size=self.grown or self.size)
        done(error or self.made[digest])


class Bench:
    def __init__(self, capacity: int = 100, **limits: Any) -> None:
        self.loads = Loads()
        self.clock = Clock()
        self.residency: Residency[Any] = Residency(capacity, Lru())
        self.rng = random.Random(1)
        self.host = Host(self.residency, self.loads, clock=self.clock, rng=self.rng, **limits)

    def ask(self, key: bytes, deadline: Deadline = NEVER, owner: int = 0) -> "asyncio.Task[Any]":
        return asyncio.create_task(self.host.lease(key, deadline, owner))

    async def make_resident(self, key: bytes) -> None:
        task = self.ask(key)
        await ticks()
        await self.loads.end(key)
        task.result().release()


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


async def test_a_waiter_that_hangs_up_takes_nobody_along(bench: Bench) -> None:
    gone, stays = bench.ask(A), bench.ask(A)
    await ticks()
    gone.cancel()
    await ticks()
    await bench.loads.end(A)
    stays.result().release()
    assert gone.cancelled()
    assert bench.residency.plan(100).victims == (A,)


async def test_a_begun_load_that_nobody_waits_for_is_finished(bench: Bench) -> None:
    task = bench.ask(A)
    await ticks()
    task.cancel()
    await ticks()
    await bench.loads.end(A)
    assert A in bench.residency
    assert bench.residency.plan(100).victims == (A,)


async def test_a_queued_load_that_nobody_waits_for_is_given_up() -> None:
    bench = Bench(slots=1)
    first, queued = bench.ask(A), bench.ask(B)
    await ticks()
    queued.cancel()
    await ticks()
    assert bench.host.report().loading == 1
    await bench.loads.end(A)
    first.result().release()
    assert bench.loads.begun == [A]
    await bench.make_resident(B)


async def test_only_so_many_loads_run_at_a_time() -> None:
    bench = Bench(slots=2)
    tasks = [bench.ask(key) for key in (A, B, C)]
    await ticks()
    assert bench.loads.begun == [A, B]
    await bench.loads.end(A)
    assert bench.loads.begun == [A, B, C]
    await bench.loads.end(B)
    await bench.loads.end(C)
    for task in tasks:
        task.result().release()


async def test_only_so_many_requests_may_wait() -> None:
    bench = Bench(slots=1, max_waiting=3)
    tasks = [bench.ask(key) for key in (A, B, B)]
    await ticks()
    for key in (B, C):
        with pytest.raises(LoadQueueFull) as caught:
            await bench.host.lease(key, NEVER)
        assert caught.value.retry_after > 0
    tasks.pop().cancel()
    await ticks()
    tasks.append(bench.ask(C))
    await ticks()
    for key in (A, B, C):
        await bench.loads.end(key)
    for task in tasks:
        task.result().release()


async def test_so_many_loads_as_can_end_in_time_are_admitted_and_no_fixed_number() -> None:
    bench = Bench(capacity=100_000, slots=1)
    bench.loads.seconds = 1.0
    deadline = Deadline(bench.clock.now + 768.5)
    keys = [digest(f"{number}") for number in range(800)]
    tasks = [bench.ask(key, deadline) for key in keys]
    await ticks()
    refused = [task for task in tasks if task.done()]
    assert [type(task.exception()) for task in refused] == [LoadTooSlow] * 32
    for key in keys[:768]:
        await bench.loads.end(key)
    for task in tasks[:768]:
        task.result().release()


async def test_a_waiter_whose_load_ends_as_it_hangs_up_leaves_no_lease(bench: Bench) -> None:
    task = bench.ask(A)
    await ticks()
    bench.loads.finish(A)
    task.cancel()
    await ticks()
    assert task.cancelled()
    assert bench.residency.plan(100).victims == (A,)


async def test_who_waits_without_a_task_is_told_once(bench: Bench) -> None:
    told: list[Any] = []
    for key, error in ((A, None), (B, NotFound("gone"))):
        assert bench.host.wait(key, NEVER, 0, told.append) is not None
        assert told == []
        await bench.loads.end(key, error)
        outcome = told.pop()
        if error is None:
            assert outcome.digest == key
            outcome.release()
        else:
            assert outcome is error
    late = bench.host.wait(C, Deadline.after(0.001, bench.clock.now), 0, told.append)
    gone = bench.host.wait(D, NEVER, 0, told.append)
    assert late is not None
    assert gone is not None
    gone.cancel()
    await asyncio.sleep(0.01)
    await bench.loads.end(C)
    await bench.loads.end(D)
    (outcome,) = told
    assert isinstance(outcome, DeadlineExceeded)
    assert bench.host.wait(C, NEVER, 0, told.append) is None
    told.pop().release()
    assert bench.residency.plan(100).victims == (A, D, C)


async def test_a_deadline_ends_the_wait_and_not_the_load(bench: Bench) -> None:
    with pytest.raises(DeadlineExceeded):
        await bench.host.lease(A, Deadline.after(0.001, bench.clock.now))
    await bench.loads.end(A)
    (await bench.host.lease(A, NEVER)).release()
    assert bench.loads.begun == [A]


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


async def test_who_is_due_first_loads_first() -> None:
    bench = Bench(slots=1)
    running = bench.ask(A)
    await ticks()
    late, soon = bench.ask(B, Deadline(bench.clock.now + 1.0)), bench.ask(C, Deadline(bench.clock.now + 0.5))
    await ticks()
    await bench.loads.end(A)
    await bench.loads.end(C)
    await bench.loads.end(B)
    assert bench.loads.begun == [A, C, B]
    for task in (running, late, soon):
        task.result().release()


async def test_owners_share_the_slots() -> None:
    bench = Bench(capacity=1000, slots=1)
    keys = [digest(f"a{number}") for number in range(20)]
    tasks = [bench.ask(key, owner=1) for key in keys]
    await ticks()
    tasks.append(bench.ask(B, owner=2))
    await ticks()
    for key in (keys[0], B, *keys[1:]):
        await bench.loads.end(key)
    assert bench.loads.begun == [keys[0], B, *keys[1:]]
    for task in tasks:
        task.result().release()


async def test_a_load_that_cannot_end_in_time_is_refused_at_once_and_done_in_the_background(
    bench: Bench,
) -> None:
    bench.loads.seconds = 0.2
    with pytest.raises(LoadTooSlow) as caught:
        await bench.host.lease(A, Deadline(bench.clock.now + 0.1))
    assert caught.value.retry_after == 0.2
    assert caught.value.reason == "LOAD_TOO_SLOW"
    await ticks()
    await bench.loads.end(A)
    (await bench.host.lease(A, Deadline(bench.clock.now + 0.1))).release()
    assert bench.loads.begun == [A]


async def test_the_loads_ahead_count_against_the_deadline() -> None:
    bench = Bench(slots=2)
    bench.loads.seconds = 0.1
    tasks = [bench.ask(A), bench.ask(B), bench.ask(C, Deadline(bench.clock.now + 0.2))]
    await ticks()
    # Three loads ahead on two slots and its own: 0.25 s.
    with pytest.raises(LoadTooSlow):
        await bench.host.lease(D, Deadline(bench.clock.now + 0.24))
    joins = bench.ask(D, Deadline(bench.clock.now + 0.26))
    await ticks()
    for key in (A, B, C, D):
        await bench.loads.end(key)
    assert bench.loads.begun == [A, B, C, D]
    for task in (*tasks, joins):
        task.result().release()


async def test_one_that_joins_a_load_under_way_is_never_refused(bench: Bench) -> None:
    first = bench.ask(A)
    await ticks()
    bench.loads.seconds = 5.0
    joins = bench.ask(A, Deadline(bench.clock.now + 1.0))
    await ticks()
    await bench.loads.end(A)
    for task in (first, joins):
        task.result().release()


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
