"""The cell's gRPC services: messages in, messages out. Errors become status in the interceptor.

A router is the caller. It resolves names to an artifact's digest and writes that into the request,
so of the Open Inference Protocol a cell serves what needs no name but a digest, and of the
prediction API the unary call; a stream is the router's to take apart.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any, TypeAlias

import grpc

from cell.pipeline import Pipeline
from croupier.deadline import Deadline
from croupier.errors import Unimplemented
from protos.inference.v2 import inference_pb2, inference_pb2_grpc
from protos.prediction.v1 import prediction_pb2, prediction_pb2_grpc

INFERENCE_SERVICE = inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
PREDICTION_SERVICE = prediction_pb2.DESCRIPTOR.services_by_name["PredictionService"].full_name

NAME = "croupier-cell"

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


def register(
    server: grpc.aio.Server, pipeline: Pipeline, clock: Callable[[], float], is_ready: Callable[[], bool]
) -> list[str]:
    """Put both services on `server`; returns their names.

    `clock` is the one that deadlines are on; `is_ready` is what ServerReady answers.
    """
    inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(  # type: ignore[no-untyped-call]
        InferenceServicer(pipeline, clock, is_ready), server
    )
    prediction_pb2_grpc.add_PredictionServiceServicer_to_server(  # type: ignore[no-untyped-call]
        PredictionServicer(pipeline, clock), server
    )
    return [INFERENCE_SERVICE, PREDICTION_SERVICE]


class InferenceServicer(inference_pb2_grpc.GRPCInferenceServiceServicer):
    """The Open Inference Protocol, with `artifact` in place of a name."""

    def __init__(self, pipeline: Pipeline, clock: Callable[[], float], is_ready: Callable[[], bool]) -> None:
        self._pipeline = pipeline
        self._clock = clock
        self._is_ready = is_ready

    async def ServerLive(  # noqa: N802 (the protocol's name, here and below)
        self, request: inference_pb2.ServerLiveRequest, context: Context
    ) -> inference_pb2.ServerLiveResponse:
        return inference_pb2.ServerLiveResponse(live=True)

    async def ServerReady(  # noqa: N802
        self, request: inference_pb2.ServerReadyRequest, context: Context
    ) -> inference_pb2.ServerReadyResponse:
        return inference_pb2.ServerReadyResponse(ready=self._is_ready())

    async def ServerMetadata(  # noqa: N802
        self, request: inference_pb2.ServerMetadataRequest, context: Context
    ) -> inference_pb2.ServerMetadataResponse:
        return inference_pb2.ServerMetadataResponse(name=NAME, version=_version())

    async def ModelReady(  # noqa: N802
        self, request: inference_pb2.ModelReadyRequest, context: Context
    ) -> inference_pb2.ModelReadyResponse:
        raise Unimplemented("a cell knows no model by its name: ask a router")

    async def ModelMetadata(  # noqa: N802
        self, request: inference_pb2.ModelMetadataRequest, context: Context
    ) -> inference_pb2.ModelMetadataResponse:
        return await self._pipeline.describe(request, _deadline(context, self._clock))

    async def ModelInfer(  # noqa: N802
        self, request: inference_pb2.ModelInferRequest, context: Context
    ) -> inference_pb2.ModelInferResponse:
        return await self._pipeline.infer(request, _deadline(context, self._clock))


class PredictionServicer(prediction_pb2_grpc.PredictionServiceServicer):
    """The prediction API's unary half, with `artifact` in each item."""

    def __init__(self, pipeline: Pipeline, clock: Callable[[], float]) -> None:
        self._pipeline = pipeline
        self._clock = clock

    async def Predict(  # noqa: N802
        self, request: prediction_pb2.PredictRequest, context: Context
    ) -> prediction_pb2.PredictResponse:
        return await self._pipeline.predict(request, _deadline(context, self._clock))

    def PredictStream(self, requests: object, context: Context) -> None:  # noqa: N802
        raise Unimplemented("a cell serves no streams: ask a router")


def _deadline(context: Context, clock: Callable[[], float]) -> Deadline:
    return Deadline.after(context.time_remaining(), clock())


def _version() -> str:
    try:
        return importlib.metadata.version("croupier")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
