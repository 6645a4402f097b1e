import asyncio
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.cells import Clock, HeldThreads, SumScorer, digest, signature_of, ticks
from support.fakes import metric

from cell.codec.answers import AnswerTooLarge
from cell.codec.fence import Fence, StaleMap
from cell.loading.host import Host
from cell.loading.refusals import ColdLoads
from cell.residency.residency import Residency
from cell.scoring.batcher import Batcher
from cell.scoring.pipeline import Pipeline
from croupier.artifacts.format import Tensor
from croupier.codes import Code
from croupier.deadline import NEVER, Deadline
from croupier.errors import CroupierError, DeadlineExceeded, InvalidRequest
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb

KEY = digest("model")


class Loads:
    """Loads `scorer` at once for any digest."""

    def __init__(self, scorer: SumScorer) -> None:
        self.scorer = scorer
        self.begun: list[bytes] = []

    def expected_seconds(self, digest: bytes) -> float:
        return 0.0

    def begin(
        self,
        digest: bytes,
        make_room: Callable[[int], None],
        done: Callable[[Any], None],
        mark: Callable[[str], None],
    ) -> Callable[[], None]:
        def load() -> None:
            make_room(10)
            done(self.scorer)

        self.begun.append(digest)
        return asyncio.get_running_loop().call_soon(load).cancel


class Bench:
    def __init__(self) -> None:
        self.scorer = SumScorer(signature=signature_of(features=["a", "b"]), poison=13)
        self.loads = Loads(self.scorer)
        self.clock = Clock()
        self.threads = HeldThreads()
        self.residency: Residency[Any] = Residency(100)
        host = Host(self.residency, self.loads, clock=self.clock, rng=random.Random(1))
        batcher = Batcher(self.threads, workers=1, max_rows=8, max_queued_rows=100, clock=self.clock)
        self.fence = Fence()
        # Room for three of the model's sums.
        told: Any = {"max_rows": 4, "max_answer": 12, "clock": self.clock, "fence": self.fence}
        self.pipeline = Pipeline(host, batcher, **told)

    def predict(self, *items: pb.Item, deadline: Deadline = NEVER) -> "asyncio.Task[pb.PredictResponse]":
        return asyncio.create_task(self.answer(items, deadline))

    async def answer(self, items: tuple[pb.Item, ...], deadline: Deadline) -> pb.PredictResponse:
        results = await self.pipeline.predict(pb.PredictRequest(items=items), deadline)
        return pb.PredictResponse(results=map(pb.Result.FromString, results))

    def is_in_use(self) -> bool:
        return bool(self.residency._entries[KEY].leases)

    async def run(self) -> None:
        await ticks(20)
        self.threads.run()
        await ticks(20)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def item(a: float, b: float) -> pb.Item:
    return pb.Item(artifact=KEY, version=2, row=pb.Row(values=[a, b]))


async def test_items_of_one_request_are_one_call(bench: Bench) -> None:
    task = bench.predict(item(1, 2), item(3, 4), item(5, 6))
    await bench.run()
    sums = [result.value.outputs[0].numbers.values[0] for result in task.result().results]
    assert sums == [3, 7, 11]
    assert len(bench.scorer.calls) == 1
    assert not bench.is_in_use()


async def test_requests_that_go_this_way_are_counted_by_method(bench: Bench) -> None:
    def counted() -> list[float]:
        return [metric("croupier_cell_requests_total", method=method) for method in ("infer", "predict")]

    infers, predicts = counted()
    with pytest.raises(InvalidRequest):
        await bench.pipeline.predict(pb.PredictRequest(), NEVER)
    assert counted() == [infers, predicts + 1]
    with pytest.raises(CroupierError):
        await bench.pipeline.infer(inference_pb2.ModelInferRequest(), NEVER)
    assert counted() == [infers + 1, predicts + 1]


async def test_the_culprit_among_items(bench: Bench) -> None:
    task = bench.predict(item(1, 2), item(13, 0), item(5, 6))
    await bench.run()
    results = task.result().results
    assert [result.status.code for result in results] == [0, 13, 0]
    assert results[1].status.message == "internal error"


async def test_a_deadline_that_has_passed_on_arrival_executes_nothing(bench: Bench) -> None:
    passed = Deadline(bench.clock.now)
    infer = inference_pb2.ModelInferRequest(artifact=KEY)
    describe = inference_pb2.ModelMetadataRequest(artifact=KEY)
    for call in (
        bench.pipeline.infer(infer, passed),
        bench.pipeline.describe(describe, passed),
        bench.pipeline.predict(pb.PredictRequest(items=[item(1, 2)]), passed),
    ):
        with pytest.raises(DeadlineExceeded):
            await call
    assert bench.loads.begun == []


async def test_a_deadline_that_passes_on_the_way(bench: Bench) -> None:
    task = bench.predict(item(1, 2), deadline=Deadline.after(1.0, bench.clock.now))
    await ticks(20)
    bench.clock.advance(2.0)
    await bench.run()
    (result,) = task.result().results
    assert result.status.code == 4
    assert result.took_us == 2_000_000
    assert bench.scorer.calls == []


async def test_a_cancelled_request_gives_its_leases_back(bench: Bench) -> None:
    task = bench.predict(item(1, 2), item(3, 4))
    await ticks(20)
    assert bench.is_in_use()
    task.cancel()
    await bench.run()
    assert task.cancelled()
    assert not bench.is_in_use()


async def test_a_request_that_does_not_fit_gives_its_lease_back(bench: Bench) -> None:
    with pytest.raises(InvalidRequest):
        await bench.pipeline.infer(inference_pb2.ModelInferRequest(artifact=KEY), NEVER)
    assert not bench.is_in_use()


async def test_metadata_without_a_version(bench: Bench) -> None:
    response = await bench.pipeline.describe(
        inference_pb2.ModelMetadataRequest(name="m", artifact=KEY), NEVER
    )
    assert list(response.versions) == []
    assert response.platform == "croupier_fake"


# Answers that are too large


def infer(rows: int) -> inference_pb2.ModelInferRequest:
    request = inference_pb2.ModelInferRequest(artifact=KEY)
    tensor = request.inputs.add(name="input", datatype="FP32", shape=[rows, 2])
    tensor.contents.fp32_contents.extend([1.0] * 2 * rows)
    return request


async def test_rows_whose_answer_is_too_large_are_not_scored(bench: Bench) -> None:
    fits, large = (asyncio.create_task(bench.pipeline.infer(infer(rows), NEVER)) for rows in (3, 4))
    await bench.run()
    assert fits.result().outputs[0].shape == [3]
    with pytest.raises(AnswerTooLarge) as caught:
        large.result()
    assert caught.value.field == "inputs"
    assert [len(call["input"]) for call in bench.scorer.calls] == [3]


async def test_items_have_one_answer_together(bench: Bench) -> None:
    task = bench.predict(*[item(1, 2)] * 4)
    await bench.run()
    codes = [result.status.code for result in task.result().results]
    assert (codes.count(0), codes.count(3)) == (3, 1)
    assert sum(len(call["input"]) for call in bench.scorer.calls) == 3


async def test_what_a_model_gives_beyond_its_word_is_not_encoded(bench: Bench) -> None:
    bench.scorer.signature = signature_of(outputs=[Tensor("sum", "FP32", (-1, -1))])
    scores = np.zeros((1, 4), np.float32)
    bench.scorer.score = lambda *asked: {"sum": scores}  # type: ignore[method-assign]
    task = asyncio.create_task(bench.pipeline.infer(infer(1), NEVER))
    await bench.run()
    assert isinstance(task.exception(), AnswerTooLarge)


async def test_what_an_old_shard_map_dealt_is_refused_item_by_item(bench: Bench) -> None:
    bench.fence.hear("manager", 6, 5)
    old, new, unsaid = item(1, 2), item(3, 4), item(5, 6)
    old.generation, new.generation = 4, 5
    task = bench.predict(old, new, unsaid)
    await bench.run()
    results = task.result().results
    assert [result.status.reason for result in results] == ["STALE_MAP", "", ""]
    assert results[0].status.code == Code.UNAVAILABLE
    assert [result.value.outputs[0].numbers.values[0] for result in results[1:]] == [7, 11]


async def test_nothing_is_loaded_for_who_says_so(bench: Bench) -> None:
    told: Any = {"artifact": KEY, "resident_only": True}
    with pytest.raises(ColdLoads):
        await bench.pipeline.infer(inference_pb2.ModelInferRequest(**told), NEVER)
    with pytest.raises(ColdLoads):
        await bench.pipeline.describe(inference_pb2.ModelMetadataRequest(**told), NEVER)
    one, other, bad = item(1, 2), item(3, 4), pb.Item(artifact=b"short", resident_only=True)
    one.resident_only = True
    # Nor does it wait for what is loaded for somebody else.
    task = bench.predict(other, one, bad)
    await bench.run()
    results = task.result().results
    assert [result.status.reason for result in results[1:]] == ["COLD_LOADS", "INVALID_REQUEST"]
    assert [result.status.code for result in results[1:]] == [Code.RESOURCE_EXHAUSTED, Code.INVALID_ARGUMENT]
    assert results[0].value.outputs[0].numbers.values[0] == 7
    assert bench.loads.begun == [KEY]
    task = bench.predict(one)
    await bench.run()
    assert task.result().results[0].value.outputs[0].numbers.values[0] == 3


async def test_what_an_old_shard_map_dealt_is_refused_before_its_model_is_loaded(bench: Bench) -> None:
    bench.fence.hear("manager", 6, 5)
    told = {"artifact": KEY, "generation": 4}
    with pytest.raises(StaleMap):
        await bench.pipeline.infer(inference_pb2.ModelInferRequest(**told), NEVER)  # type: ignore[arg-type]
    with pytest.raises(StaleMap):
        await bench.pipeline.describe(inference_pb2.ModelMetadataRequest(**told), NEVER)  # type: ignore[arg-type]
    assert bench.loads.begun == []
