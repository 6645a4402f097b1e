"""The cell's gRPC services: messages in, messages out. Errors become status in the transport, once.

A router is the caller. It resolves names to an artifact's digest and writes that into the request,
so of the Open Inference Protocol a cell serves what needs no name but a digest, and of the
prediction API the unary call; a stream is the router's to take apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from google.protobuf.message import Message

from cell.codec.messages import on_bytes, parsed
from cell.codec.plain import who_at_end
from cell.loading.host import Host
from cell.loading.slices import Slices
from cell.scoring.cold import ColdCalls
from cell.scoring.hot import HotPath, Results
from cell.scoring.pipeline import Pipeline
from croupier.errors import Unimplemented
from croupier.fairness import Who
from croupier.fields import join_first
from croupier.protocol import COLD_ANSWER, cold_answer
from croupier.telemetry.traces import Tracer
from croupier.transport.context import Context
from croupier.transport.http2.server_call import ServerCall, trace
from croupier.transport.net.turns import turns_of
from croupier.transport.serving import Server
from croupier.version import version
from croupier.weight import scale_of
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2

INFERENCE_SERVICE = inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
PREDICTION_SERVICE = prediction_pb2.DESCRIPTOR.services_by_name["PredictionService"].full_name
INFER_PATH = f"/{INFERENCE_SERVICE}/ModelInfer"
PREDICT_PATH = f"/{PREDICTION_SERVICE}/Predict"

NAME = "croupier-cell"

# What the first step of a request's task takes, when it goes the general way.
_TASK_SECONDS = 0.0001
# Calls of one read that are answered without looking at what else the turn brought.
_FEW = 8
# A turn of a connection that reads, and how many there are at most before what was put off goes on.
_READ_SECONDS = 0.0002
_MOST_OWED = 16

_Request = TypeVar("_Request", bound=Message)


class Handlers:
    """The methods of both services; `is_ready` is what ServerReady answers, and `tracer` begins spans.

    `is_late` says whose requests the batcher would refuse: most of what one costs would be spent by then.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        hot_path: HotPath,
        host: Host,
        slices: Slices,
        is_ready: Callable[[], bool],
        *,
        clock: Callable[[], float],
        tracer: Tracer | None = None,
        is_late: Callable[[Who], bool] = lambda who: False,
    ) -> None:
        self._is_late = is_late
        self._pipeline = pipeline
        self._hot_path = hot_path
        self._slices = slices
        self._cold = ColdCalls(host, slices, again=self._answer_again, alone=self._serve_alone)
        self._is_ready = is_ready
        # For a turn of the loop.
        self._is_waiting = False
        # A read with many calls was answered in this turn of the loop, while models load.
        self._had_many = False
        # Turns of the loop before what was put off goes on.
        self._owed = 0
        self._clock = clock
        self._tracer = tracer
        self._server: Server

    def add_to(self, server: Server) -> list[str]:
        """Register both services; returns their names."""
        self._server = server

        def add(
            service: str,
            method: str,
            request: type[_Request],
            handler: Callable[[_Request, Context], Awaitable[Message]],
        ) -> None:
            server.add_unary(f"/{service}/{method}", on_bytes(request, handler))

        pb = inference_pb2
        add(INFERENCE_SERVICE, "ServerLive", pb.ServerLiveRequest, self.server_live)
        add(INFERENCE_SERVICE, "ServerReady", pb.ServerReadyRequest, self.server_ready)
        add(INFERENCE_SERVICE, "ServerMetadata", pb.ServerMetadataRequest, self.server_metadata)
        add(INFERENCE_SERVICE, "ModelReady", pb.ModelReadyRequest, self.model_ready)
        add(INFERENCE_SERVICE, "ModelMetadata", pb.ModelMetadataRequest, self.model_metadata)
        server.add_batch([INFER_PATH, PREDICT_PATH], self.take, scale_of=scale_of)
        server.add_stream(f"/{PREDICTION_SERVICE}/PredictStream", self.predict_stream)
        return [INFERENCE_SERVICE, PREDICTION_SERVICE]

    def take(self, calls: list[ServerCall]) -> None:
        """Answer a read's predictions at once as far as that goes, and begin the others.

        While models load, of the reads with many that come in one turn of the loop one is answered in it, and
        the others wait: those with few are not kept waiting by a storm on other connections.
        """
        if self._tracer is not None:
            trace(self._tracer, calls)
        is_many = len(calls) > _FEW
        if is_many and self._had_many:
            self._hot_path.put_off(calls)
            self._wait()
            return
        self._answer(calls)
        if is_many and len(self._slices):
            self._had_many = True
            asyncio.get_running_loop().call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        self._had_many = False

    def _answer(self, calls: Sequence[ServerCall]) -> None:
        began = self._clock()
        left, cold, some_wait = self._hot_path.answer(calls)
        for call, results in left:
            self._serve_alone(call, results)
        for call, wanted in cold:
            self._cold.wait(call, wanted, is_single=call.path == INFER_PATH)
        if some_wait:
            self._owed = min(_MOST_OWED, int((self._clock() - began) / _READ_SECONDS))
            self._wait()

    def _wait(self) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            turns_of(asyncio.get_running_loop()).wait(self._go_on)

    def _go_on(self) -> None:
        """With what was put off, once others have had turns for as long as that took.

        A request of 1,000 items takes many times longer than a connection reads for in its turn: turn by
        turn, small requests that stand behind large ones in it were read only after all these were answered.
        """
        self._is_waiting = False
        if self._owed:
            self._owed -= 1
            self._wait()
        else:
            self._answer(())

    def _answer_again(self, calls: Sequence[ServerCall]) -> int:
        """Answer calls whose models were waited for, as many as fit one go; returns how many were taken."""
        left, taken = self._hot_path.answer_again(calls)
        for call, results in left:
            self._serve_alone(call, results)
        return taken

    def _serve_alone(self, call: ServerCall, results: Results | None = None) -> None:
        """Have a call served in a task of its own, when it is its turn: a read may bring very many."""
        who = who_at_end(call.message)
        self._slices.add(partial(self._begin_alone, call, results or []), _TASK_SECONDS, who)

    def _begin_alone(self, call: ServerCall, results: Results) -> None:
        if not call.is_open:
            return
        who = who_at_end(call.message)
        if self._is_late(who) and not any(results):
            self._hot_path.refuse(who[0], call)
        elif call.path == INFER_PATH:
            self._server.serve_alone(call, self._infer)
        else:
            self._server.serve_alone(call, partial(self._predict, results))

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
        return inference_pb2.ServerMetadataResponse(name=NAME, version=version())

    async def model_ready(
        self, request: inference_pb2.ModelReadyRequest, context: Context
    ) -> inference_pb2.ModelReadyResponse:
        raise Unimplemented("a cell knows no model by its name: ask a router")

    async def model_metadata(
        self, request: inference_pb2.ModelMetadataRequest, context: Context
    ) -> inference_pb2.ModelMetadataResponse:
        return await self._pipeline.describe(request, context.deadline)

    async def _infer(self, data: bytes, context: Context) -> bytes:
        request = parsed(inference_pb2.ModelInferRequest, data)
        loads = partial(context.note, COLD_ANSWER)
        response = await self._pipeline.infer(request, context.deadline, context.begin, loads)
        return response.SerializeToString()

    async def _predict(self, results: Results, data: bytes, context: Context) -> bytes:
        request = parsed(prediction_pb2.PredictRequest, data)

        def loads(place: int) -> None:
            context.note(cold_answer([place], context.noted))

        answers = await self._pipeline.predict(request, context.deadline, results, context.begin, loads)
        return join_first(answers)

    async def predict_stream(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for _ in requests:
            raise Unimplemented("a cell serves no streams: ask a router")
        yield b""
