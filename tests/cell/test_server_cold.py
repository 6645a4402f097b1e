"""A cell says with an answer that it had to load the model first, whichever way the request goes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from support.cell_server import CellServer, infer_request, open_cell, row_item

from croupier.artifacts.packers.linear import pack_linear
from protos.prediction.v1 import prediction_pb2

ROWS = np.arange(12.0).reshape(6, 2)


def artifact(number: int) -> bytes:
    model = LinearRegression().fit(ROWS, ROWS[:, 0] * number)
    return pack_linear(model, features=["a", "b"])


async def said_of(call: Any) -> str | None:
    await call
    return dict(await call.trailing_metadata()).get("croupier-cold")


async def is_cold(call: Any) -> bool:
    return await said_of(call) is not None


async def infer(server: CellServer, key: bytes) -> bool:
    return await is_cold(server.inference.ModelInfer(infer_request(key, ROWS[:1], raw=True)))


async def predict(server: CellServer, *keys: bytes) -> bool:
    items = [row_item(key, ROWS[0]) for key in keys]
    return await is_cold(server.prediction.Predict(prediction_pb2.PredictRequest(items=items)))


async def test_the_first_answer_of_a_native_model_is_cold(tmp_path: Path) -> None:
    async with open_cell(tmp_path) as server:
        one, other, third = [await server.store.put(artifact(number)) for number in range(3)]
        assert [await infer(server, one) for _ in range(3)] == [True, False, False]
        assert [await predict(server, one, other) for _ in range(2)] == [True, False]
        assert [await predict(server, third), await infer(server, third)] == [True, False]


async def test_so_is_one_that_is_loaded_in_the_turn_that_asks_for_it(tmp_path: Path) -> None:
    async with open_cell(tmp_path) as server:
        keys = [await server.store.put(artifact(number)) for number in range(2)]
        for key in keys:
            await infer(server, key)
    # What it had in memory, so that it would have it again.
    (tmp_path / "cache/hot").unlink()
    # Its file is in the page cache, and nothing else loads.
    async with open_cell(tmp_path) as server:
        assert [await infer(server, key) for key in (*keys, *keys)] == [True, True, False, False]


@pytest.mark.parametrize("ask", [infer, predict])
async def test_so_is_that_of_a_general_engine(server: CellServer, key: bytes, small: Any, ask: Any) -> None:
    rows = small[1]
    for expected in (True, False):
        if ask is infer:
            call = server.inference.ModelInfer(infer_request(key, rows[:1]))
        else:
            items = [row_item(key, rows[0])]
            call = server.prediction.Predict(prediction_pb2.PredictRequest(items=items))
        assert await is_cold(call) == expected


def items_of(*keys: bytes) -> prediction_pb2.PredictRequest:
    return prediction_pb2.PredictRequest(items=[row_item(key, ROWS[0]) for key in keys])


async def test_of_several_models_those_are_named_that_were_loaded(tmp_path: Path) -> None:
    async with open_cell(tmp_path) as server:
        here, one, other = [await server.store.put(artifact(number)) for number in range(3)]
        await infer(server, here)
        request = items_of(here, one, here, one, other)
        assert await said_of(server.prediction.Predict(request)) == "items 1,4"
        assert await said_of(server.prediction.Predict(request)) is None


async def test_so_are_those_of_a_general_engine(server: CellServer, key: bytes, small: Any) -> None:
    here = await server.store.put(artifact(1))
    await infer(server, here)
    items = [row_item(here, ROWS[0]), row_item(key, small[1][0]), row_item(here, ROWS[0])]
    request = prediction_pb2.PredictRequest(items=items)
    assert await said_of(server.prediction.Predict(request)) == "items 1"
    assert await said_of(server.prediction.Predict(request)) is None


async def test_what_was_loaded_is_named_though_another_model_cannot_be(tmp_path: Path) -> None:
    async with open_cell(tmp_path) as server:
        here, one = [await server.store.put(artifact(number)) for number in range(2)]
        await infer(server, here)
        gone = bytes(32)
        said = await said_of(server.prediction.Predict(items_of(here, one, gone)))
        assert said == "items 1,2"
