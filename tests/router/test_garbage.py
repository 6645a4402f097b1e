"""What a router is asked, and however that ends, leaves nothing to the cyclic collector."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random

from support.fakes import generation, model, view
from support.features import no_store
from support.garbage import no_garbage
from support.serving import LOOPS, calling, serving, start, turns

from croupier.errors import FailedPrecondition, Unavailable
from croupier.transport.client import Channel
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.serving import Server
from croupier.transport.status import RpcError, from_error
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb
from router.access_log import AccessLog
from router.admission import Admission
from router.attempt import Attempts
from router.breakers import Breakers
from router.budget import RetryBudget
from router.cells import MODEL_INFER, MODEL_METADATA, PREDICT, Cells
from router.identity import HeaderIdentity
from router.latest import Latest
from router.pacing import BURST, RATE
from router.pipeline import Pipeline
from router.revisions import Revisions
from router.server import Handlers
from router.wheel import Wheel
from version_manager.model.fleet import Cell
from version_manager.model.limits import NO_LIMITS, Limits, TenantLimits

LOOP_FACTORIES = {"uvloop": LOOPS["uvloop"]}

INFERENCE, PREDICTION = "/inference.GRPCInferenceService", "/croupier.prediction.v1.PredictionService"
TENANT = (("croupier-tenant", "acme"),)
INFER = inference_pb2.ModelInferRequest(model_name="price").SerializeToString()
UNKNOWN = inference_pb2.ModelInferRequest(model_name="nothing").SerializeToString()
MALFORMED = b"\xff" * 10


def _predict(*models: str) -> pb.PredictRequest:
    return pb.PredictRequest(items=[pb.Item(model=model) for model in models])


def _frame(*models: str) -> bytes:
    return pb.PredictStreamRequest(id=1, request=_predict(*models)).SerializeToString()


class _Cell:
    """A cell that answers as it is told."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.is_silent = False
        self.server = Server()
        self.server.add_batch([path.decode() for path in (MODEL_INFER, MODEL_METADATA, PREDICT)], self._take)

    def _take(self, calls: list[ServerCall]) -> None:
        for call in calls:
            if self.error is not None:
                status = from_error(self.error)
                call.fail(status.code, status.message, status.details)
            elif call.path.encode() == PREDICT:
                count = len(pb.PredictRequest.FromString(call.message).items)
                call.reply(pb.PredictResponse(results=[pb.Result()] * count).SerializeToString())
            elif not self.is_silent:
                call.reply(b"")


@asynccontextmanager
async def _router(limits: Limits = NO_LIMITS) -> AsyncIterator[tuple[Channel, _Cell]]:
    """A channel to a router in front of one cell, for tenants with `limits`."""
    cell = _Cell()
    async with serving(cell.server) as address:
        world = view([model(name="price")], (generation(["a"], hand_size=1),), [Cell("a", "zone-0", address)])
        cells = Cells(lambda cell, address: Channel(address))
        attempts = Attempts(Breakers(), RetryBudget(now=0.0), Wheel(), clock=time.monotonic)
        admission = Admission(1000, 1000)
        admission.follow(TenantLimits(limits))
        pipeline = Pipeline(admission, no_store(), attempts, cells, rng=Random(3), max_items=100)
        cells.update(world.cells)
        pipeline.follow(world)
        handlers = Handlers(
            pipeline,
            HeaderIdentity(),
            lambda: True,
            clock=time.monotonic,
            version="1",
            default_timeout=10.0,
            at_once=32,
            revisions=Revisions(Wheel(), clock=time.monotonic),
            access_log=AccessLog(0.0, 0.0, random=lambda: 0.0),
            latest=Latest(0.0, clock=time.monotonic),
        )
        router = Server()
        handlers.add_to(router)
        async with serving(router) as address, calling(address) as channel:
            await _unary(channel, "ModelInfer", INFER)
            yield channel, cell
        await cells.close()


async def _unary(channel: Channel, method: str, request: bytes, timeout: float | None = None) -> None:
    service = PREDICTION if method == "Predict" else INFERENCE
    with suppress(RpcError):
        await channel.unary(f"{service}/{method}", request, metadata=TENANT, timeout=timeout)


async def _stream(channel: Channel, *messages: bytes, end: bool = True) -> None:
    async with channel.stream(f"{PREDICTION}/PredictStream", metadata=TENANT) as stream:
        for message in messages:
            await stream.send(message)
        if not end:
            await turns(100)
            return
        stream.end()
        with suppress(RpcError):
            while await stream.receive() is not None:
                pass


async def test_unary_calls() -> None:
    async with _router() as (channel, cell):
        with no_garbage():
            for cell.error in (None, FailedPrecondition("no"), Unavailable("not now")):
                for request in (INFER, UNKNOWN, MALFORMED):
                    for method in ("ModelInfer", "ModelMetadata", "ModelReady"):
                        await _unary(channel, method, request)
                for items in (("price",), ("price", "nothing"), ("nothing", "nothing"), ()):
                    await _unary(channel, "Predict", _predict(*items).SerializeToString())
                await start(channel, f"{PREDICTION}/Predict", INFER)
            cell.error, cell.is_silent = None, True
            await _unary(channel, "ModelInfer", INFER, timeout=0.01)
            await _unary(channel, "ServerLive", b"")


async def test_large_requests_over_a_limit_told_at_once_and_later() -> None:
    large = inference_pb2.ModelInferRequest(model_name="price", raw_input_contents=[bytes(2**17)])
    async with _router(Limits(bytes=1000)) as (channel, _):
        with no_garbage():
            for _ in range(2 * round(RATE * BURST)):
                await _unary(channel, "ModelInfer", large.SerializeToString())


async def test_streams() -> None:
    good, bad = _frame("price"), _frame("nothing")
    async with _router() as (channel, cell):
        with no_garbage():
            for cell.error in (None, Unavailable("not now")):
                await _stream(channel, good, _frame("price", "nothing"), bad, _frame())
                await _stream(channel, good, MALFORMED)
                await _stream(channel, MALFORMED, good)
            async with channel.stream(f"{PREDICTION}/PredictStream") as stream:
                await stream.send(good)
                with suppress(RpcError):
                    await stream.receive()
            del stream
            cell.error, cell.is_silent = None, True
            await _stream(channel, good, good, good, end=False)
            await _unary(channel, "ServerLive", b"")
