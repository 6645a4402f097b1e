"""What becomes one scoring call, and that everybody has the own answer out of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from support.batchers import Bench, sums
from support.cells import SUM, Clock, SumScorer, merged_requests, resident, signature_of, ticks

from cell.engines import ScoringFailed
from cell.engines.packed import PackedEngine
from cell.engines.stop import Stop
from cell.scoring.batcher import Batcher
from croupier.artifacts.format import Tensor, view
from croupier.artifacts.packers.linear import pack_linear
from croupier.deadline import NEVER


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.batcher.close()


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
