"""gRPC at the router's edge: bytes in, bytes out; who calls and until when; what is counted.

The handlers are generic: requests and responses pass as the bytes that they are. Errors are mapped
to status by the interceptor that all Croupier servers share.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

import grpc

from croupier.deadline import Deadline
from croupier.errors import CroupierError
from croupier.telemetry.metrics import Counter
from croupier.transport.status import code_of, item_status
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2
from router import envelope
from router.identity import Identity
from router.pipeline import Pipeline
from router.stream import answer_all

INFERENCE = inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
PREDICTION = prediction_pb2.DESCRIPTOR.services_by_name["PredictionService"].full_name

_REQUESTS = Counter("croupier_router_requests_total", "Requests by their outcome", ["method", "code"])
_CODE_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
_RESPONSE, _STATUS = 2, 3


class Handlers:
    """The methods of both services, on bytes. `clock` is monotonic, in seconds.

    `default_timeout` is for callers who set no deadline; `at_once` requests of a stream are in work.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        identity: Identity,
        is_ready: Callable[[], bool],
        *,
        clock: Callable[[], float],
        version: str,
        default_timeout: float,
        at_once: int,
    ) -> None:
        self._pipeline = pipeline
        self._identity = identity
        self._is_ready = is_ready
        self._clock = clock
        self._version = version
        self._default_timeout = default_timeout
        self._at_once = at_once

    def add_to(self, server: grpc.aio.Server) -> list[str]:
        """Register both services; returns their names."""
        unary = grpc.unary_unary_rpc_method_handler
        inference = {
            "ServerLive": self.server_live,
            "ServerReady": self.server_ready,
            "ServerMetadata": self.server_metadata,
            "ModelReady": self.model_ready,
            "ModelMetadata": self.model_metadata,
            "ModelInfer": self.model_infer,
        }
        prediction: dict[str, Any] = {
            "Predict": unary(_counted("Predict", self.predict)),
            "PredictStream": grpc.stream_stream_rpc_method_handler(
                _counted_stream("PredictStream", self.predict_stream)
            ),
        }
        handlers: dict[str, Any] = {name: unary(_counted(name, method)) for name, method in inference.items()}
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(INFERENCE, handlers),
                grpc.method_handlers_generic_handler(PREDICTION, prediction),
            )
        )
        return [INFERENCE, PREDICTION]

    async def server_live(self, request: bytes, context: Any) -> bytes:
        return inference_pb2.ServerLiveResponse(live=True).SerializeToString()

    async def server_ready(self, request: bytes, context: Any) -> bytes:
        return inference_pb2.ServerReadyResponse(ready=self._is_ready()).SerializeToString()

    async def server_metadata(self, request: bytes, context: Any) -> bytes:
        response = inference_pb2.ServerMetadataResponse(name="croupier", version=self._version)
        return response.SerializeToString()

    async def model_ready(self, request: bytes, context: Any) -> bytes:
        ready = self._pipeline.model_ready(self._tenant(context), request)
        return inference_pb2.ModelReadyResponse(ready=ready).SerializeToString()

    async def model_metadata(self, request: bytes, context: Any) -> bytes:
        return await self._pipeline.model_metadata(self._tenant(context), request, self._deadline(context))

    async def model_infer(self, request: bytes, context: Any) -> bytes:
        return await self._pipeline.infer(self._tenant(context), request, self._deadline(context))

    async def predict(self, request: bytes, context: Any) -> bytes:
        return await self._pipeline.predict(self._tenant(context), request, self._deadline(context))

    async def predict_stream(
        self, requests: AsyncIterator[bytes], context: Any
    ) -> AsyncGenerator[bytes, None]:
        """One frame for each, as it gets ready; only a frame that cannot be read ends the stream."""
        self._tenant(context)

        async def answer(request: bytes) -> bytes:
            name, payload = envelope.read_frame(request)
            try:
                # Asked for each request: a token may expire while its stream lives on.
                response = await self.predict(payload, context)
            except CroupierError as error:
                return envelope.frame(name, _STATUS, item_status(error).SerializeToString())
            return envelope.frame(name, _RESPONSE, response)

        async with aclosing(answer_all(requests, answer, at_once=self._at_once)) as answers:
            async for response in answers:
                yield response

    def _tenant(self, context: Any) -> str:
        return self._identity.tenant(context.invocation_metadata() or ())

    def _deadline(self, context: Any) -> Deadline:
        """The caller's; for a stream without one, each request has the default time."""
        remaining = context.time_remaining()
        return Deadline.after(self._default_timeout if remaining is None else remaining, self._clock())


def _counted(method: str, behavior: Any) -> Any:
    async def call(request: bytes, context: Any) -> bytes:
        with _counting(method):
            response: bytes = await behavior(request, context)
            return response

    return call


def _counted_stream(method: str, behavior: Any) -> Any:
    async def call(requests: AsyncIterator[bytes], context: Any) -> AsyncGenerator[bytes, None]:
        with _counting(method):
            async with aclosing(behavior(requests, context)) as responses:
                async for response in responses:
                    yield response

    return call


@contextmanager
def _counting(method: str) -> Iterator[None]:
    code = 0
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        code = grpc.StatusCode.CANCELLED.value[0]
        raise
    except BaseException as error:
        code = code_of(error)
        raise
    finally:
        _REQUESTS.labels(method, _CODE_NAMES[code]).inc()
