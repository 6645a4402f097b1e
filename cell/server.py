"""The cell's gRPC services: messages in, messages out. Errors become status in the transport, once.

A router is the caller. It resolves names to an artifact's digest and writes that into the request,
so of the Open Inference Protocol a cell serves what needs no name but a digest, and of the
prediction API the unary call; a stream is the router's to take apart.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from cell.pipeline import Pipeline
from croupier.errors import InvalidRequest, Unimplemented
from croupier.transport.context import Context
from croupier.transport.server import Server
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2

INFERENCE_SERVICE = inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
PREDICTION_SERVICE = prediction_pb2.DESCRIPTOR.services_by_name["PredictionService"].full_name

NAME = "croupier-cell"

_Request = TypeVar("_Request", bound=Message)


class Handlers:
    """The methods of both services; `is_ready` is what ServerReady answers."""

    def __init__(self, pipeline: Pipeline, is_ready: Callable[[], bool]) -> None:
        self._pipeline = pipeline
        self._is_ready = is_ready

    def add_to(self, server: Server) -> list[str]:
        """Register both services; returns their names."""

        def add(
            service: str,
            method: str,
            request: type[_Request],
            handler: Callable[[_Request, Context], Awaitable[Message]],
        ) -> None:
            server.add_unary(f"/{service}/{method}", _on_bytes(request, handler))

        pb = inference_pb2
        add(INFERENCE_SERVICE, "ServerLive", pb.ServerLiveRequest, self.server_live)
        add(INFERENCE_SERVICE, "ServerReady", pb.ServerReadyRequest, self.server_ready)
        add(INFERENCE_SERVICE, "ServerMetadata", pb.ServerMetadataRequest, self.server_metadata)
        add(INFERENCE_SERVICE, "ModelReady", pb.ModelReadyRequest, self.model_ready)
        add(INFERENCE_SERVICE, "ModelMetadata", pb.ModelMetadataRequest, self.model_metadata)
        add(INFERENCE_SERVICE, "ModelInfer", pb.ModelInferRequest, self.model_infer)
        add(PREDICTION_SERVICE, "Predict", prediction_pb2.PredictRequest, self.predict)
        server.add_stream(f"/{PREDICTION_SERVICE}/PredictStream", self.predict_stream)
        return [INFERENCE_SERVICE, PREDICTION_SERVICE]

    async def server_live(
        self, request: inference_pb2.ServerLiveRequest, context: Context
    ) -> inference_pb2.ServerLiveResponse:
        return inference_pb2.ServerLiveResponse(live=True)

    async def server_ready(
        self, request: inference_pb2.ServerReadyRequest, context: Context
    ) -> inference_pb2.ServerReadyResponse:
        return inference_pb2.ServerReadyResponse(ready=self._is_ready())

    async def server_metadata(
        self, request: inference_pb2.ServerMetadataRequest, context: Context
    ) -> inference_pb2.ServerMetadataResponse:
        return inference_pb2.ServerMetadataResponse(name=NAME, version=_version())

    async def model_ready(
        self, request: inference_pb2.ModelReadyRequest, context: Context
    ) -> inference_pb2.ModelReadyResponse:
        raise Unimplemented("a cell knows no model by its name: ask a router")

    async def model_metadata(
        self, request: inference_pb2.ModelMetadataRequest, context: Context
    ) -> inference_pb2.ModelMetadataResponse:
        return await self._pipeline.describe(request, context.deadline)

    async def model_infer(
        self, request: inference_pb2.ModelInferRequest, context: Context
    ) -> inference_pb2.ModelInferResponse:
        return await self._pipeline.infer(request, context.deadline)

    async def predict(
        self, request: prediction_pb2.PredictRequest, context: Context
    ) -> prediction_pb2.PredictResponse:
        return await self._pipeline.predict(request, context.deadline)

    async def predict_stream(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for _ in requests:
            raise Unimplemented("a cell serves no streams: ask a router")
        yield b""


def _on_bytes(
    request_type: type[_Request], handler: Callable[[_Request, Context], Awaitable[Message]]
) -> Callable[[bytes, Context], Awaitable[bytes]]:
    async def serve(data: bytes, context: Context) -> bytes:
        try:
            request = request_type.FromString(data)
        except DecodeError as error:
            raise InvalidRequest("the request is not a valid protobuf message") from error
        return (await handler(request, context)).SerializeToString()

    return serve


def _version() -> str:
    try:
        return importlib.metadata.version("croupier")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
