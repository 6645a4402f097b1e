"""`croupier-debug: 1`: replies and errors name what made them, for operators."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from support.fakes import refuse
from support.worlds import World, world

from croupier.debug_tokens import named
from croupier.errors import FailedPrecondition, Unavailable
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb

ASKING = (("croupier-debug", "1"),)


@pytest.fixture
async def stage() -> AsyncIterator[World]:
    async with world() as found:
        yield found


async def told(call: Any) -> list[str]:
    trailing = dict(await call.trailing_metadata())
    return [one for one in str(trailing.get("croupier-debug", "")).split(",") if one]


def cell_of(stage: World, said: str) -> str:
    generation = stage.view.current.generation
    cells = [seat.cell for seat in generation.seats]
    return named(generation.seed, "acme", said, generation.number, cells)


async def test_a_reply_names_the_cell_that_made_it(stage: World) -> None:
    request = inference_pb2.ModelInferRequest(model_name="churn")
    call = stage.router.inference.ModelInfer(request, metadata=(*stage.router.metadata, *ASKING))
    await call
    (said,) = await told(call)
    assert cell_of(stage, said) in stage.view.current.hand("acme")


async def test_items_of_one_cell_are_named_once(stage: World) -> None:
    request = pb.PredictRequest(items=[pb.Item(model="churn")] * 3)
    call = stage.router.prediction.Predict(request, metadata=(*stage.router.metadata, *ASKING))
    await call
    (said,) = await told(call)
    assert cell_of(stage, said)


async def refused(stage: World, name: str) -> tuple[list[str], list[str]]:
    """The cells that a request that fails is told by its tokens, and those that were asked, by name."""
    request = inference_pb2.ModelInferRequest(model_name=name)
    call = stage.router.inference.ModelInfer(request, metadata=(*stage.router.metadata, *ASKING))
    with pytest.raises(grpc.aio.AioRpcError):
        await call
    return [cell_of(stage, one) for one in await told(call)], [cell for cell, _ in stage.calls()]


async def test_an_error_names_the_cell_that_it_comes_from(stage: World) -> None:
    for cell in stage.cells.values():
        cell.before = refuse(FailedPrecondition("quarantined"))
    named_cells, asked = await refused(stage, "churn")
    assert (named_cells, len(asked)) == (asked, 1)


async def test_of_several_that_were_tried_an_error_names_the_last(stage: World) -> None:
    first, second = stage.hand()
    first.before, second.before = refuse(Unavailable("away")), refuse(FailedPrecondition("quarantined"))
    named_cells, asked = await refused(stage, "churn")
    assert (named_cells, {*asked}) == ([second.id], {first.id, second.id})


async def test_an_error_without_a_cell_names_none(stage: World) -> None:
    assert await refused(stage, "nowhere") == ([], [])


async def test_a_reply_says_whether_models_were_loaded_for_it(stage: World) -> None:
    request = inference_pb2.ModelInferRequest(model_name="churn")
    told: list[Any] = []
    for cold in (True, False):
        for cell in stage.cells.values():
            cell.is_cold = cold
        call = stage.router.inference.ModelInfer(request, metadata=(*stage.router.metadata, *ASKING))
        await call
        told.append(dict(await call.trailing_metadata()).get("croupier-debug-cold"))
    assert told == ["1", None]


@pytest.mark.parametrize("asking", [(), (("croupier-debug", "0"),)])
async def test_who_does_not_ask_is_told_nothing(stage: World, asking: Any) -> None:
    request = inference_pb2.ModelInferRequest(model_name="churn")
    call = stage.router.inference.ModelInfer(request, metadata=(*stage.router.metadata, *asking))
    await call
    assert await told(call) == []
