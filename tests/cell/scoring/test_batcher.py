import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from support.cells import SUM, Clock, HeldThreads, SumScorer, merged_requests, resident, signature_of, ticks

from cell.engines import Mixed, ScoringFailed
from cell.engines.packed import PackedEngine
from cell.engines.stop import Stop, Stopped
from cell.residency.residency import Lease
from cell.scoring.batch import Batch, Job, Turn
from cell.scoring.batcher import Batcher
from cell.scoring.overruns import Overran
from croupier.artifacts.batching import Batching
from croupier.artifacts.format import Tensor, view
from croupier.artifacts.packers.linear import pack_linear
from croupier.deadline import NEVER, Deadline
from croupier.errors import DeadlineExceeded, QuotaExceeded, Unavailable


class Bench:
    """A batcher whose threads wait to be told."""

    def __init__(self, **limits: int) -> None:
        self.threads = HeldThreads()
        self.clock = Clock()
        settings = {"workers": 1, "max_rows": 8, "max_queued_rows": 100, **limits}
        self.batcher = Batcher(self.threads, clock=self.clock, **settings)

    def ask(
        self,
        lease: Lease[Any],
        *rows: float,
        outputs: tuple[str, ...] = ("sum",),
        deadline: Deadline = NEVER,
        owner: int = 0,
        at_work: Callable[[], None] | None = None,
    ) -> "asyncio.Task[Mapping[str, Any]]":
        """Score rows (row, 0)."""
        inputs = {"input": np.array([[row, 0] for row in rows], np.float32)}
        return asyncio.create_task(
            self.batcher.score(lease, inputs, len(rows), outputs, deadline, owner, at_work)
        )

    def look(self) -> None:
        """As the batcher's timer does."""
        self.batcher._look(asyncio.get_running_loop())

    async def run(self) -> None:
        """Go round until no call waits."""
        await ticks()
        while self.threads.run():
            await ticks()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.batcher.close()


def sums(task: "asyncio.Task[Mapping[str, Any]]") -> list[float]:
    return [float(value) for value in task.result()["sum"]]


async def test_requests_of_one_tick_are_one_call(bench: Bench) -> None:
    scorer = SumScorer(bias=0.5)
    lease = resident(scorer)
    tasks = [bench.ask(lease, 1), bench.ask(lease, 2, 3), bench.ask(lease, 4)]
    await bench.run()
    assert [sums(task) for task in tasks] == [[1.5], [2.5, 3.5], [4.5]]
    assert [len(call["input"]) for call in scorer.calls] == [4]


async def test_artifacts_are_never_mixed(bench: Bench) -> None:
    scorers = [SumScorer(bias=100.0 * number) for number in range(3)]
    leases = [resident(scorer, f"model-{number}") for number, scorer in enumerate(scorers)]
    asked = [(number, bench.ask(leases[number % 3], number)) for number in range(12)]
    await ticks()
    assert len(bench.threads.held) == 1
    await bench.run()
    for number, task in asked:
        assert sums(task) == [number + 100.0 * (number % 3)]
    assert [len(scorer.calls) for scorer in scorers] == [1, 1, 1]


async def test_what_queues_while_a_call_runs_is_the_next_call(bench: Bench) -> None:
    scorer = SumScorer()
    lease = resident(scorer)
    first = bench.ask(lease, 1)
    await ticks()
    second, third = bench.ask(lease, 2), bench.ask(lease, 3)
    await ticks()
    assert len(bench.threads.held) == 1
    await bench.run()
    assert [sums(first), sums(second), sums(third)] == [[1], [2], [3]]
    assert [len(call["input"]) for call in scorer.calls] == [1, 2]


async def test_idle_workers_share_what_waits() -> None:
    bench = Bench(workers=2)
    leases = [resident(SumScorer(), str(number)) for number in range(4)]
    tasks = [bench.ask(lease, 1) for lease in leases]
    await ticks()
    assert len(bench.threads.held) == 2
    await bench.run()
    assert all(sums(task) == [1] for task in tasks)


async def test_a_batch_has_at_most_so_many_rows(bench: Bench) -> None:
    scorer = SumScorer()
    lease = resident(scorer)
    tasks = [bench.ask(lease, *[1.0] * 3) for _ in range(5)]
    await bench.run()
    assert all(task.done() for task in tasks)
    assert [len(call["input"]) for call in scorer.calls] == [6, 6, 3]


def waiting(seconds: float, rows: int = 0, name: str = "model") -> tuple[SumScorer, Lease[Any]]:
    """A model whose requests wait for company."""
    scorer = SumScorer(batching=Batching(seconds, rows))
    return scorer, resident(scorer, name)


async def pass_time(bench: Bench, seconds: float) -> None:
    """For the batcher's clock; the loop's timer has no part in it."""
    bench.clock.advance(seconds)
    bench.batcher._schedule(asyncio.get_running_loop())
    await bench.run()


async def test_requests_wait_for_company_as_long_as_their_model_says(bench: Bench) -> None:
    scorer, lease = waiting(10.0)
    first = bench.ask(lease, 1)
    await bench.run()
    await pass_time(bench, 9.0)
    second = bench.ask(lease, 2)
    await bench.run()
    assert scorer.calls == []
    await pass_time(bench, 1.0)
    assert [sums(first), sums(second)] == [[1], [2]]
    assert [len(call["input"]) for call in scorer.calls] == [2]


async def test_the_timer_ends_the_wait() -> None:
    _, lease = waiting(0.001)
    with ThreadPoolExecutor(1) as pool:
        batcher = Batcher(pool, workers=1, max_rows=8, max_queued_rows=10, clock=time.monotonic)
        scored = await batcher.score(lease, {"input": np.ones((1, 2), np.float32)}, 1, ("sum",), NEVER)
        await batcher.close()
    assert scored["sum"].tolist() == [2.0]


async def test_a_full_call_does_not_wait(bench: Bench) -> None:
    scorer, lease = waiting(10.0, rows=3)
    tasks = [bench.ask(lease, 1), bench.ask(lease, 2, 3)]
    await bench.run()
    assert [sums(task) for task in tasks] == [[1], [2, 3]]
    assert [len(call["input"]) for call in scorer.calls] == [3]


async def test_who_has_no_time_takes_the_others_along(bench: Bench) -> None:
    scorer, lease = waiting(10.0)
    patient = bench.ask(lease, 1)
    hasty = bench.ask(lease, 2, deadline=Deadline(bench.clock() + 5))
    await bench.run()
    assert [sums(patient), sums(hasty)] == [[1], [2]]
    assert len(scorer.calls) == 1


async def test_nobody_else_waits_for_them(bench: Bench) -> None:
    _, waits = waiting(10.0, name="waits")
    other = resident(SumScorer(), "other")
    late, soon = bench.ask(waits, 1), bench.ask(other, 2)
    await bench.run()
    assert (late.done(), sums(soon)) == (False, [2])
    await pass_time(bench, 10.0)
    assert sums(late) == [1]


async def test_calls_of_an_expensive_model_become_as_large_as_they_may() -> None:
    bench = Bench(max_rows=64)

    scorer = Slow(bench, batching=Batching())
    lease = resident(scorer)
    for _ in range(40):
        tasks = [bench.ask(lease, 1) for _ in range(64)]
        await bench.run()
        assert all(sums(task) == [1] for task in tasks)
    # The target is 20 ms, a row takes 1.
    assert {len(call["input"]) for call in scorer.calls[-40:]} <= {*range(1, 23)}
    assert max(len(call["input"]) for call in scorer.calls[-40:]) >= 18


async def test_a_model_that_is_not_batchable_scores_alone(bench: Bench) -> None:
    """Each request is a call, whoever it is from, and a large one is not cut."""
    scorer = SumScorer(batchable=False)
    lease = resident(scorer)
    merged = merged_requests()
    many = [float(row) for row in range(20)]
    tasks = [bench.ask(lease, 1), bench.ask(lease, 2, owner=7), bench.ask(lease, *many, owner=8)]
    await bench.run()
    assert [sums(task) for task in tasks] == [[1], [2], many]
    assert sorted(len(call["input"]) for call in scorer.calls) == [1, 1, 20]
    assert merged_requests() == merged


async def test_a_model_that_is_not_batchable_waits_for_no_company(bench: Bench) -> None:
    lease = resident(SumScorer(batchable=False, batching=Batching(delay_seconds=0.5)))
    task = bench.ask(lease, 1)
    await bench.run()
    assert sums(task) == [1]


async def test_requests_that_are_merged_are_counted(bench: Bench) -> None:
    lease = resident(SumScorer())
    merged = merged_requests()
    tasks = [bench.ask(lease, 1, owner=owner) for owner in range(3)]
    await bench.run()
    assert [sums(task) for task in tasks] == [[1]] * 3
    assert merged_requests() == merged + 3


class Total(SumScorer):
    """One sum for all rows."""

    def score(self, inputs: Mapping[str, Any], outputs: Any, stop: Stop | None = None) -> Mapping[str, Any]:
        sums: np.ndarray[Any, Any] = super().score(inputs, outputs)["sum"]
        return {"sum": sums.sum(keepdims=True)}


@pytest.mark.parametrize("batchable", [False, True])
async def test_rows_of_a_reply_are_those_of_its_request(bench: Bench, batchable: bool) -> None:
    lease = resident(Total(batchable=batchable))
    tasks = [bench.ask(lease, 1, 2), bench.ask(lease, 3)]
    await bench.run()
    with pytest.raises(ScoringFailed, match=r"shape \[1\] for 2 rows"):
        tasks[0].result()
    assert sums(tasks[1]) == [3]


async def test_each_gets_the_outputs_it_asked_for(bench: Bench) -> None:
    outputs = [*SUM, Tensor("other", "FP32", (-1,))]
    lease = resident(SumScorer(signature=signature_of(outputs=outputs)))
    one, both = bench.ask(lease, 1), bench.ask(lease, 2, outputs=("other", "sum"))
    await bench.run()
    assert list(one.result()) == ["sum"]
    assert list(both.result()) == ["other", "sum"]


async def test_a_caller_that_hangs_up_while_waiting_is_not_scored(bench: Bench) -> None:
    scorer = SumScorer()
    lease = resident(scorer)
    first = bench.ask(lease, 1)
    await ticks()
    gone, stays = bench.ask(lease, 2), bench.ask(lease, 3)
    await ticks()
    gone.cancel()
    await bench.run()
    assert (sums(first), sums(stays), gone.cancelled()) == ([1], [3], True)
    assert [call["input"][:, 0].tolist() for call in scorer.calls] == [[1], [3]]


async def test_a_caller_that_hangs_up_while_scored_harms_nobody(bench: Bench) -> None:
    lease = resident(SumScorer())
    gone, stays = bench.ask(lease, 1), bench.ask(lease, 2)
    await ticks()
    gone.cancel()
    await bench.run()
    assert (sums(stays), gone.cancelled()) == ([2], True)


async def test_expired_work_is_dropped_unexecuted(bench: Bench) -> None:
    scorer = SumScorer()
    lease = resident(scorer)
    blocking = bench.ask(lease, 0)
    await ticks()
    late = bench.ask(lease, 1, deadline=Deadline.after(1.0, bench.clock.now))
    stays = bench.ask(lease, 2, deadline=Deadline.after(3.0, bench.clock.now))
    await ticks()
    bench.clock.advance(2.0)
    await bench.run()
    with pytest.raises(DeadlineExceeded):
        late.result()
    assert (sums(blocking), sums(stays)) == ([0], [2])
    assert [call["input"][:, 0].tolist() for call in scorer.calls] == [[0], [2]]


async def test_work_that_expires_on_the_way_to_the_thread_is_dropped(bench: Bench) -> None:
    scorer = SumScorer()
    late = bench.ask(resident(scorer), 1, deadline=Deadline.after(1.0, bench.clock.now))
    await ticks()
    bench.clock.advance(1.0)
    await bench.run()
    with pytest.raises(DeadlineExceeded):
        late.result()
    assert scorer.calls == []


async def test_a_culprit_harms_only_itself(bench: Bench) -> None:
    lease = resident(SumScorer(poison=13))
    tasks = [bench.ask(lease, 1), bench.ask(lease, 13), bench.ask(lease, 2)]
    await bench.run()
    assert (sums(tasks[0]), sums(tasks[2])) == ([1], [2])
    with pytest.raises(ValueError, match="poisoned"):
        tasks[1].result()


async def test_a_model_that_loses_rows_is_caught(bench: Bench) -> None:
    class Forgetful(SumScorer):
        def score(self, inputs: Any, outputs: Any, stop: Any = None) -> Any:
            return {name: np.zeros(1, np.float32) for name in outputs}

    lease = resident(Forgetful())
    alone, pair = bench.ask(lease, 1), bench.ask(lease, 1, 2)
    await bench.run()
    assert sums(alone) == [0]
    with pytest.raises(ScoringFailed):
        pair.result()


async def test_a_lease_is_held_until_the_rows_are_scored(bench: Bench) -> None:
    lease = resident(SumScorer(size=1000))
    entry = lease._entry
    assert entry is not None
    task = bench.ask(lease, 1)
    await ticks()
    task.cancel()
    await ticks()
    lease.release()
    assert entry.leases == 1
    await bench.run()
    assert entry.leases == 0


async def test_leases_end_however_a_request_ends(bench: Bench) -> None:
    lease = resident(SumScorer(poison=13))
    entry = lease._entry
    assert entry is not None
    first = bench.ask(lease, 13)
    await ticks()
    late = bench.ask(lease, 1, deadline=Deadline.after(1.0, bench.clock.now))
    gone = bench.ask(lease, 2)
    fine = bench.ask(lease, 3)
    await ticks()
    gone.cancel()
    bench.clock.advance(1.0)
    await bench.run()
    await asyncio.wait([first, late, gone, fine])
    assert isinstance(first.exception(), ValueError)
    assert isinstance(late.exception(), DeadlineExceeded)
    assert entry.leases == 1


async def test_too_much_waiting_is_refused(bench: Bench) -> None:
    lease = resident(SumScorer())
    tasks = [bench.ask(lease, 1)]
    await ticks()
    tasks += [bench.ask(lease, *[1.0] * 8) for _ in range(12)]
    await ticks()
    refused = bench.ask(lease, *[1.0] * 8)
    await ticks()
    with pytest.raises(Unavailable) as caught:
        refused.result()
    assert caught.value.retry_after > 0
    await bench.run()
    assert all(task.exception() is None for task in tasks)
    again = bench.ask(lease, *[1.0] * 8)
    await bench.run()
    assert len(sums(again)) == 8


async def test_a_request_over_the_limit_is_taken_when_nothing_waits() -> None:
    bench = Bench(max_queued_rows=3)
    lease = resident(SumScorer())
    alone = bench.ask(lease, 1, 2, 3, 4)
    await bench.run()
    assert sums(alone) == [1, 2, 3, 4]
    await bench.batcher.close()


async def test_closing_refuses_what_waits_and_ends_what_runs() -> None:
    bench = Bench()
    lease = resident(SumScorer())
    runs = bench.ask(lease, 1)
    await ticks()
    waits = bench.ask(lease, 2)
    await ticks()
    closing = asyncio.create_task(bench.batcher.close())
    await bench.run()
    await closing
    assert sums(runs) == [1]
    for task in (waits, bench.ask(lease, 3)):
        with pytest.raises(Unavailable):
            await task
    assert lease._entry is not None
    assert lease._entry.leases == 1


async def test_identity_is_asserted_at_execution() -> None:
    loop = asyncio.get_running_loop()
    leases = [resident(SumScorer(bias=bias), name) for bias, name in ((0.0, "a"), (9.0, "b"))]
    inputs = {"input": np.ones((1, 2), np.float32)}
    jobs = tuple(Job(lease, inputs, 1, ("sum",), NEVER, loop.create_future()) for lease in leases)
    turn = Turn([Batch(leases[0].digest, tuple(job.give(1) for job in jobs))])
    turn.run(Clock())
    (scored,) = turn.take_done()
    (right, answer), (wrong, error) = scored.outcomes
    assert (right.job, wrong.job) == jobs
    assert isinstance(answer, Mapping)
    assert answer["sum"].tolist() == [2.0]
    assert isinstance(error, Mixed)


async def test_in_real_threads_everybody_gets_the_own_answer() -> None:
    scorers = [SumScorer(bias=1000.0 * number, poison=77) for number in range(5)]
    leases = [resident(scorer, str(number)) for number, scorer in enumerate(scorers)]
    rng = np.random.default_rng(0)
    with ThreadPoolExecutor(2) as pool:
        batcher = Batcher(pool, workers=2, max_rows=16, max_queued_rows=10_000, clock=Clock())

        async def ask(number: int) -> None:
            rows = rng.integers(0, 100, int(rng.integers(1, 5))).astype(np.float32)
            inputs = {"input": np.stack([rows, rows], axis=1)}
            asked = batcher.score(leases[number % 5], inputs, len(rows), ("sum",), NEVER)
            if 77 in rows:
                with pytest.raises(ValueError, match="poisoned"):
                    await asked
            else:
                answer = await asked
                np.testing.assert_array_equal(answer["sum"], 2 * rows + 1000.0 * (number % 5))

        await asyncio.gather(*(ask(number) for number in range(400)))
        await batcher.close()
    assert all(lease._entry.leases == 1 for lease in leases if lease._entry)


async def test_little_work_of_a_native_model_needs_no_thread(bench: Bench) -> None:
    model = LinearRegression().fit(np.eye(2), [1.0, 2.0])
    artifact = view(pack_linear(model))
    lease = resident(PackedEngine(artifact.engine).load(artifact), capacity=10_000)
    (output,) = [tensor.name for tensor in lease.model.signature.outputs]
    (name,) = [tensor.name for tensor in lease.model.signature.inputs]

    async def score(rows: int) -> Any:
        inputs = {name: np.ones((rows, 2), np.float32)}
        return (await bench.batcher.score(lease, inputs, rows, [output], NEVER))[output]

    few = asyncio.create_task(score(3))
    await ticks()
    assert few.result().ravel().tolist() == pytest.approx(model.predict([[1, 1]]).tolist() * 3)
    many = asyncio.create_task(score(1_000_000))
    await ticks()
    assert not many.done()
    await bench.run()
    assert len(many.result()) == 1_000_000


# Owners


class Slow(SumScorer):
    """Takes a millisecond a row."""

    def __init__(self, bench: Bench, **parts: Any) -> None:
        super().__init__(**parts)
        self.bench = bench

    def score(self, inputs: Any, outputs: Any, stop: Any = None) -> Any:
        self.bench.clock.advance(len(inputs["input"]) * 0.001)
        return super().score(inputs, outputs)


async def test_an_owner_waits_for_nothing_that_others_have_queued(bench: Bench) -> None:
    """Large requests of one, then a small one of another."""
    heavy, light = resident(Slow(bench), "heavy"), resident(SumScorer(), "light")
    many = [bench.ask(heavy, *[1.0] * 8, owner=1) for _ in range(5)]
    await ticks()
    one = bench.ask(light, 5, owner=2)
    await ticks()
    bench.threads.run()
    await ticks()
    assert not one.done()
    bench.threads.run()
    await ticks()
    assert (sums(one), [task.done() for task in many]) == ([5], [True, *[False] * 4])
    await bench.run()
    assert all(task.done() for task in many)


async def test_a_large_request_is_scored_in_slices() -> None:
    bench = Bench(max_rows=1000, max_queued_rows=10_000)

    scorer = Slow(bench, batching=Batching())
    heavy, light = resident(scorer, "heavy"), resident(SumScorer(), "light")
    large = bench.ask(heavy, *range(500), owner=1)
    await ticks()
    one = bench.ask(light, 5, owner=2)
    await ticks()
    for _ in range(2):
        bench.threads.run()
        await ticks()
    assert (sums(one), large.done()) == ([5], False)
    await bench.run()
    assert sums(large) == [*range(500)]
    assert max(len(call["input"]) for call in scorer.calls) <= 40
    await bench.batcher.close()


async def test_a_slice_that_fails_is_the_end_of_its_request() -> None:
    bench = Bench(max_rows=1000, max_queued_rows=10_000)
    lease = resident(SumScorer(batching=Batching(), poison=13))
    entry = lease._entry
    assert entry is not None
    large = bench.ask(lease, *range(500))
    await bench.run()
    assert isinstance(large.exception(), ValueError)
    assert entry.leases == 1
    assert not bench.batcher._bounds._owners
    await bench.batcher.close()


async def test_an_owner_has_half_of_the_threads_where_others_wait() -> None:
    bench = Bench(workers=2)
    leases = [resident(SumScorer(), str(number)) for number in range(4)]
    alone = [bench.ask(lease, 1, owner=1) for lease in leases]
    await ticks()
    assert len(bench.threads.held) == 2
    other = bench.ask(resident(SumScorer(), "other"), 1, owner=2)
    await ticks()
    # Both are busy with the first; then one of them is for the other.
    bench.threads.run()
    await ticks()
    bench.threads.run()
    await ticks()
    assert (sums(other), sum(task.done() for task in alone)) == ([1], 3)
    await bench.run()
    await bench.batcher.close()


async def test_an_owner_cannot_fill_the_queue(bench: Bench) -> None:
    lease = resident(SumScorer())
    tasks = [bench.ask(lease, *[1.0] * 8, owner=1) for _ in range(12)]
    await ticks()
    refused = [task for task in tasks if task.done()]
    assert len(refused) == 6
    assert all(isinstance(task.exception(), QuotaExceeded) for task in refused)
    other = bench.ask(lease, *[1.0] * 8, owner=2)
    await bench.run()
    assert len(sums(other)) == 8


# Runs that do not end


class Endless(SumScorer):
    """A run of a row below 0 ends when it is stopped."""

    def __init__(self, bench: Bench, **parts: Any) -> None:
        super().__init__(**parts)
        self.bench = bench
        self.stops: list[Any] = []

    def score(self, inputs: Any, outputs: Any, stop: Any = None) -> Any:
        if (inputs["input"][:, 0] < 0).any():
            self.stops.append(stop)
            # What the event loop sees meanwhile; a real run goes on in its thread.
            while not stop.is_asked:
                self.bench.clock.advance(1.0)
                self.bench.look()
            raise Stopped("stopped")
        return super().score(inputs, outputs)


async def test_a_run_is_stopped_at_its_deadline(bench: Bench) -> None:
    lease = resident(Endless(bench))
    began = bench.clock()
    late = bench.ask(lease, -1, deadline=Deadline(began + 3))
    await bench.run()
    assert isinstance(late.exception(), DeadlineExceeded)
    assert bench.clock() == began + 3


async def test_a_run_of_several_goes_on_while_one_of_them_waits(bench: Bench) -> None:
    lease = resident(Endless(bench))
    began = bench.clock()
    tasks = [bench.ask(lease, -1, deadline=Deadline(began + seconds)) for seconds in (2, 5)]
    await bench.run()
    assert all(isinstance(task.exception(), DeadlineExceeded) for task in tasks)
    assert bench.clock() == began + 5


async def test_a_run_without_a_deadline_is_stopped_and_its_model_refused(bench: Bench) -> None:
    lease = resident(Endless(bench))
    began = bench.clock()
    endless = bench.ask(lease, -1)
    await bench.run()
    assert isinstance(endless.exception(), DeadlineExceeded)
    assert bench.clock() == began + 10
    again = bench.ask(lease, 1)
    await bench.run()
    assert isinstance(again.exception(), Overran)
    bench.clock.advance(31.0)
    later = bench.ask(lease, 1)
    await bench.run()
    assert sums(later) == [1]


async def test_a_run_that_nobody_waits_for_is_stopped(bench: Bench) -> None:
    lease = resident(Endless(bench))
    began = bench.clock()
    gone = bench.ask(lease, -1)
    await ticks()
    gone.cancel()
    await bench.run()
    assert bench.clock() == began + 1


async def test_a_long_run_holds_up_nobody(bench: Bench) -> None:
    """Neither who waits for the thread nor who stands behind it in its turn."""
    at_work: list[str] = []
    endless = resident(Endless(bench), "endless")
    known = resident(SumScorer(), "known")
    for _ in range(2):
        # Its cost is known from then on, to be nothing: it joins the turns of others.
        warm = bench.ask(known, 1, owner=2)
        await bench.run()
        assert warm.done()
    both = [
        bench.ask(known, 7, owner=2, at_work=lambda: at_work.append("known")),
        bench.ask(endless, -1, owner=1, at_work=lambda: at_work.append("endless")),
    ]
    others: list[Any] = []
    scorer = endless.model

    def meanwhile(inputs: Any, outputs: Any, stop: Any = None) -> Any:
        bench.clock.advance(0.06)
        bench.look()
        others.append(len(bench.batcher._held_up))
        raise Stopped("stopped")

    scorer.score = meanwhile
    behind = bench.ask(known, 8, owner=3)
    await bench.run()
    assert isinstance(both[1].exception(), DeadlineExceeded)
    assert (sums(both[0]), sums(behind)) == ([7], [8])
    assert at_work == ["endless"]
    assert bench.batcher._long == 0
    assert not bench.batcher._turns_of


async def test_closing_stops_what_runs() -> None:
    bench = Bench()
    lease = resident(Endless(bench))
    runs = bench.ask(lease, -1)
    await ticks()
    closing = asyncio.create_task(bench.batcher.close())
    await ticks()
    began = bench.clock()
    await bench.run()
    await closing
    assert isinstance(runs.exception(), DeadlineExceeded)
    assert bench.clock() <= began + 1
