"""A whole cell in this process, with its real store and disk cache, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc
import numpy as np

from cell.app import Cell
from cell.engines import Engine
from cell.settings import CellSettings
from croupier.grpcio.channels import open_async
from croupier.grpcio.rpc_errors import from_rpc_error
from croupier.lifecycle import Lifecycle
from croupier.stores.objects import ObjectStore, open_store
from protos.inference.v2 import inference_pb2, inference_pb2_grpc
from protos.prediction.v1 import prediction_pb2, prediction_pb2_grpc


@dataclass
class CellServer:
    """`folder` holds the objects and the cache; the calls raise the `croupier.errors` of their status."""

    cell: Cell
    store: ObjectStore
    channel: grpc.aio.Channel
    folder: Path

    def __post_init__(self) -> None:
        self.inference: Any = inference_pb2_grpc.GRPCInferenceServiceStub(self.channel)
        self.prediction: Any = prediction_pb2_grpc.PredictionServiceStub(self.channel)

    async def infer(
        self, request: inference_pb2.ModelInferRequest, timeout: float = 10.0
    ) -> inference_pb2.ModelInferResponse:
        return await self._call(self.inference.ModelInfer, request, timeout)

    async def describe(self, artifact: bytes, **names: str) -> inference_pb2.ModelMetadataResponse:
        request = inference_pb2.ModelMetadataRequest(artifact=artifact, **names)
        return await self._call(self.inference.ModelMetadata, request)

    async def predict(
        self, *items: prediction_pb2.Item, timeout: float = 10.0
    ) -> list[prediction_pb2.Result]:
        request = prediction_pb2.PredictRequest(items=items)
        response = await self._call(self.prediction.Predict, request, timeout)
        return list(response.results)

    async def send_bytes(self, method: str, data: bytes) -> bytes:
        """Call `method`, such as /package.Service/Method, with a body of our own."""
        return await self._call(self.channel.unary_unary(method), data)  # type: ignore[no-any-return]

    async def _call(self, method: Any, request: Any, timeout: float = 10.0) -> Any:
        try:
            return await method(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error


@asynccontextmanager
async def open_cell(
    folder: Path, engines: Mapping[str, Engine] = MappingProxyType({}), **told: Any
) -> AsyncIterator[CellServer]:
    """A cell that serves from `folder`; `told` are its settings, `engines` stand for those of their names."""
    url = f"file://{folder / 'objects'}"
    settings = CellSettings(
        **{
            "store": url,
            "cache_dir": folder / "cache",
            "manager": "",
            "drain_seconds": 0.0,
            "capacity_bytes": 2**26,
            **told,
        }
    )
    life = Lifecycle()
    cell = Cell(settings, life, engines)
    try:
        await cell.start()
        async with open_store(url) as store, open_async(cell.address) as channel:
            yield CellServer(cell, store, channel, folder)
    finally:
        await cell.stop()
        await life.close()


def infer_request(artifact: bytes, rows: Any, *, raw: bool = False) -> inference_pb2.ModelInferRequest:
    """One FP32 input called `input`."""
    rows = np.asarray(rows, np.float32)
    request = inference_pb2.ModelInferRequest(
        model_name="m", model_version="3", id="request-1", artifact=artifact
    )
    tensor = request.inputs.add(name="input", datatype="FP32", shape=rows.shape)
    if raw:
        request.raw_input_contents.append(rows.tobytes())
    else:
        tensor.contents.fp32_contents.extend(rows.ravel().tolist())
    return request


def row_item(artifact: bytes, row: Any, version: int = 3) -> prediction_pb2.Item:
    return prediction_pb2.Item(
        model="m", version=version, artifact=artifact, row=prediction_pb2.Row(values=np.asarray(row).tolist())
    )
