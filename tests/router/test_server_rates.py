"""What a whole router counts of what its callers get, and tells its manager at the latest when it ends."""

from __future__ import annotations

import grpc
import pytest
from support.fakes import FakeManager, digest, refuse
from support.worlds import MODELS, Router, failing, world

from croupier.errors import FailedPrecondition, Unavailable
from protos.prediction.v1 import prediction_pb2
from protos.versions.v1 import versions_pb2 as pb

Code = grpc.StatusCode


def told(manager: FakeManager) -> dict[str, pb.Counts]:
    """What a manager knows in the end: each key's latest counts, and everybody's under no name."""
    counts = {"": manager.rates[-1].total}
    for message in manager.rates:
        for key in message.keys:
            name = f"{key.tenant}/{key.model}/{key.version}" if key.model else key.tenant
            counts[name] = key.counts
    return counts


def fields(counts: pb.Counts) -> dict[str, int]:
    """Those that are not 0, without latencies."""
    found = {field.name: value for field, value in counts.ListFields() if "bucket" not in field.name}
    assert sum(counts.buckets) == counts.requests
    return found


async def test_every_request_is_counted_by_what_came_of_it() -> None:
    async with world(MODELS) as stage:
        await stage.router.infer("price")
        await stage.router.infer("price")
        async with failing(Code.NOT_FOUND):
            await stage.router.infer("nothing")
        first = stage.hand(name="price")[0]
        first.before = refuse(FailedPrecondition("quarantined"))
        async with failing(Code.FAILED_PRECONDITION):
            await stage.router.infer("price")
        first.before = refuse(Unavailable("busy"))
        await stage.router.infer("price")
        # Another tenant's, whose claim is refused; and nobody's.
        async with failing(Code.NOT_FOUND):
            await Router(stage.router.channel, "", "globex").infer("price")
        with pytest.raises(grpc.aio.AioRpcError):
            await stage.router.inference.ModelInfer(b"", metadata=())
    counts = told(stage.manager)
    assert fields(counts["acme"]) == {"requests": 5, "refused": 1, "failed": 1, "retried": 1}
    assert fields(counts["acme/price/1"]) == {"requests": 4, "failed": 1, "retried": 1}
    assert fields(counts["globex"]) == {"requests": 1, "refused": 1}
    assert fields(counts[""]) == {"requests": 6, "refused": 2, "failed": 1, "retried": 1}


async def test_each_item_is_counted_by_what_came_of_it() -> None:
    async with world(MODELS) as stage:
        for cell in stage.cells.values():
            cell.bad_items[digest("acme/churn/3")] = prediction_pb2.Status(code=3, message="no")
        bad = prediction_pb2.Item(model="churn", label="next")
        await stage.router.predict("price", "price", "nothing", bad)
        stream = stage.router.prediction.PredictStream(metadata=stage.router.metadata, timeout=10)
        request = prediction_pb2.PredictRequest(items=[prediction_pb2.Item(model="price")])
        for name in (1, 2):
            await stream.write(prediction_pb2.PredictStreamRequest(id=name, request=request))
        await stream.write(prediction_pb2.PredictStreamRequest(id=3))
        await stream.done_writing()
        assert len([answer async for answer in stream]) == 3
    counts = told(stage.manager)
    assert fields(counts["acme"]) == {"requests": 7, "refused": 3}
    assert fields(counts["acme/price/1"]) == {"requests": 4}
    assert fields(counts["acme/churn/3"]) == {"requests": 1, "refused": 1}


async def test_answers_that_came_after_a_load_are_cold() -> None:
    async with world(MODELS) as stage:
        for cell in stage.cells.values():
            cell.is_cold = True
        await stage.router.infer("price")
        await stage.router.predict("price", "price")
        for cell in stage.cells.values():
            cell.is_cold = False
        await stage.router.infer("price")
    assert fields(told(stage.manager)["acme/price/1"]) == {"requests": 4, "cold": 3}


async def test_of_several_models_those_are_cold_that_cells_name() -> None:
    async with world(MODELS) as stage:
        for cell in stage.cells.values():
            cell.is_cold, cell.cold = True, "items 9"
        await stage.router.predict("price", "price")
        for cell in stage.cells.values():
            cell.cold = "items 0"
        await stage.router.predict("price", "price")
    assert fields(told(stage.manager)["acme/price/1"]) == {"requests": 4, "cold": 2}


async def test_a_router_may_be_told_to_count_nobody() -> None:
    async with world(MODELS, rates_top=0) as stage:
        await stage.router.infer("price")
    assert stage.manager.reports[-1].leaving
    assert stage.manager.rates == []


async def test_of_many_the_busiest_are_told() -> None:
    async with world(MODELS, rates_top=1) as stage:
        for _ in range(3):
            await stage.router.infer("price")
        for number in range(5):
            async with failing(Code.NOT_FOUND):
                await Router(stage.router.channel, "", f"passing-{number}").infer("price")
    counts = told(stage.manager)
    assert {name: fields(one)["requests"] for name, one in counts.items()} == {
        "": 8,
        "acme": 3,
        "acme/price/1": 3,
    }
