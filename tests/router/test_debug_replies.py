"""`croupier-debug: 1`: replies and errors name what made them, for operators."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.worlds import World, world

from croupier.debug_tokens import named
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


@pytest.mark.parametrize("asking", [(), (("croupier-debug", "0"),)])
async def test_who_does_not_ask_is_told_nothing(stage: World, asking: Any) -> None:
    request = inference_pb2.ModelInferRequest(model_name="churn")
    call = stage.router.inference.ModelInfer(request, metadata=(*stage.router.metadata, *asking))
    await call
    assert await told(call) == []
