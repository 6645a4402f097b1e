"""What a cell is asked, and however that ends, leaves nothing to the cyclic collector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from support.cell_server import infer_request, open_cell, row_item
from support.cells import digest
from support.garbage import no_garbage
from support.graphs import picky
from support.serving import LOOPS, calling, turns

from croupier.transport.client import Channel
from croupier.transport.status import RpcError
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb

LOOP_FACTORIES = {"uvloop": LOOPS["uvloop"]}

INFERENCE, PREDICTION = "/inference.GRPCInferenceService", "/croupier.prediction.v1.PredictionService"
UNKNOWN = digest("nothing")
MALFORMED = b"\xff" * 10


@asynccontextmanager
async def _cell(folder: Path, artifact: bytes) -> AsyncIterator[tuple[Channel, bytes]]:
    """A channel to a cell, and a model that is loaded."""
    async with open_cell(folder) as server, calling(server.cell.address) as channel:
        key = await server.store.put(artifact)
        await server.describe(key)
        yield channel, key


async def _call(channel: Channel, method: str, message: Any, timeout: float | None = None) -> None:
    service = PREDICTION if method == "Predict" else INFERENCE
    data = message if isinstance(message, bytes) else message.SerializeToString()
    with suppress(RpcError):
        await channel.unary(f"{service}/{method}", data, timeout=timeout)


def _wrong(key: bytes, rows: Any) -> list[inference_pb2.ModelInferRequest]:
    """Requests that are refused, each in another place."""
    good = infer_request(key, rows)
    unknown_input, datatype, shape = (infer_request(key, rows) for _ in range(3))
    unknown_input.inputs[0].name = "nothing"
    datatype.inputs[0].datatype = "INT64"
    shape.inputs[0].shape[0] = 100_000
    return [infer_request(b"short", rows), infer_request(UNKNOWN, rows), unknown_input, datatype, shape, good]


async def test_a_native_model(tmp_path: Path, small: Any) -> None:
    _, rows, artifact = small
    async with _cell(tmp_path, artifact) as (channel, key):
        await _call(channel, "ModelInfer", infer_request(key, rows[:3]))
        await _call(channel, "ServerMetadata", b"")
        with no_garbage():
            for request in (MALFORMED, *_wrong(key, rows[:3])):
                await _call(channel, "ModelInfer", request)
            await _call(channel, "ModelInfer", infer_request(key, rows[:3], raw=True))
            for items in (
                [row_item(key, rows[0])],
                [row_item(key, rows[0][:1]), row_item(UNKNOWN, rows[0]), row_item(key, rows[0])],
                [],
            ):
                await _call(channel, "Predict", pb.PredictRequest(items=items))
            await _call(channel, "Predict", MALFORMED)
            for method in ("ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata"):
                await _call(channel, method, b"")
                await _call(channel, method, MALFORMED)
            await _call(channel, "ModelMetadata", inference_pb2.ModelMetadataRequest(artifact=key))
            await _call(channel, "ModelMetadata", inference_pb2.ModelMetadataRequest(artifact=UNKNOWN))


async def test_a_model_that_is_scored_in_threads(tmp_path: Path) -> None:
    async with _cell(tmp_path, picky()) as (channel, key):
        rows = np.zeros((3, 2), np.float32)
        await _call(channel, "ModelInfer", infer_request(key, rows))
        with no_garbage():
            for request in (*_wrong(key, rows), infer_request(key, rows + 7)):
                await _call(channel, "ModelInfer", request)
            await _call(channel, "ModelInfer", infer_request(key, rows), timeout=1e-4)
            async with channel.stream(f"{INFERENCE}/ModelInfer") as stream:
                await stream.send(infer_request(key, rows).SerializeToString())
                stream.end()
                await turns()
            await _call(channel, "ServerLive", b"")
            await asyncio.sleep(0)
