"""What a router talks to, as real gRPC servers in memory: a scripted version manager, and cells that
answer, refuse, hang or die."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY

from croupier.grpcio.server import Server
from protos.inference.v2 import inference_pb2, inference_pb2_grpc
from protos.prediction.v1 import prediction_pb2, prediction_pb2_grpc
from protos.versions.v1 import versions_pb2 as pb
from protos.versions.v1 import versions_pb2_grpc
from router.events import events_of
from router.view import EMPTY, View, ViewChange, successor
from sharding.generation import Generation, Seat
from version_manager.feed import delta_of
from version_manager.model.catalog import Catalog, Delta
from version_manager.model.fleet import Cell
from version_manager.model.history import Change
from version_manager.model.release import Model, Release, Split, Version

CATALOG = "cluster-1"


def metric(name: str, **labels: str) -> float:
    """A sample's value; 0 when it was never counted."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def model(
    tenant: str = "acme",
    name: str = "churn",
    versions: Sequence[int] = (1,),
    *,
    splits: Sequence[tuple[int, int]] = (),
    labels: dict[str, int] | None = None,
    released: bool = True,
) -> Model:
    """A model whose artifacts are `digest("tenant/name/version")`; all traffic on the first version."""
    found = {n: Version(n, digest(f"{tenant}/{name}/{n}"), 100, "onnx") for n in versions}
    shares = tuple(Split(version, share) for version, share in splits) or (Split(versions[0], 10_000),)
    return Model(tenant, name, found, Release(1, shares, labels or {}) if released else None)


def generation(cells: Sequence[str], *, hand_size: int = 2, number: int = 1, zones: int = 2) -> Generation:
    seats = tuple(Seat(cell, f"zone-{index % zones}") for index, cell in enumerate(cells))
    return Generation(number, 7, hand_size, seats)


def view(
    models: Iterable[Model] = (),
    generations: tuple[Generation, ...] = (),
    cells: Iterable[Cell] = (),
    *,
    revision: int = 1,
    catalog: str = CATALOG,
    held: View = EMPTY,
) -> View:
    return successor(held, Catalog.build(catalog, revision, models), generations, cells)


def no_change(**parts: Any) -> ViewChange:
    """A change that brings `parts` and no models."""
    return ViewChange(Delta(0), **parts)


def delta_event(change: ViewChange) -> pb.WatchEvent:
    """As a version manager tells it: what is no model's has one name there and here."""
    models, others = change.models, {field.name: getattr(change, field.name) for field in fields(change)[1:]}
    told = Change(models.revision, models.records, models.removed, **others)
    return pb.WatchEvent.FromString(delta_of(told))


def heartbeat(revision: int = 1) -> pb.WatchEvent:
    return pb.WatchEvent(heartbeat=pb.WatchEvent.Heartbeat(revision=revision))


class FakeManager(versions_pb2_grpc.VersionManagerServicer):
    """Plays watch events. Each new watch gets `greeting` first, then whatever is `send` to all.

    `asked` has the requests of all watches so far, `reports` what routers said of themselves, which `answer`
    answers. `greeting` may be a function of the request.
    """

    answer = pb.ReportRouterResponse()

    def __init__(self, greeting: View | Callable[[pb.WatchRequest], Iterable[pb.WatchEvent]] = EMPTY) -> None:
        self.greeting = greeting
        self.asked: list[pb.WatchRequest] = []
        self.reports: list[pb.RouterReport] = []
        self.rates: list[pb.Rates] = []
        self.address = "127.0.0.1:0"
        self._watches: set[asyncio.Queue[pb.WatchEvent | None]] = set()
        self._server: Server | None = None

    async def start(self) -> None:
        """Serve, at the former address if there was one."""
        self._server = Server()
        versions_pb2_grpc.add_VersionManagerServicer_to_server(self, self._server.grpc_server)
        self.address = await self._server.start(self.address, [])

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    async def __aenter__(self) -> FakeManager:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def watching(self) -> int:
        return len(self._watches)

    def send(self, *events: pb.WatchEvent) -> None:
        for queue in self._watches:
            for event in events:
                queue.put_nowait(event)

    def hang_up(self) -> None:
        """End every watch, without an error."""
        for queue in self._watches:
            queue.put_nowait(None)

    async def ReportRouter(self, request: pb.ReportRouterRequest, context: Any) -> pb.ReportRouterResponse:
        self.reports.append(request.report)
        if request.HasField("rates"):
            self.rates.append(request.rates)
        return self.answer

    async def Watch(self, request: pb.WatchRequest, context: Any) -> AsyncIterator[pb.WatchEvent]:
        self.asked.append(request)
        queue: asyncio.Queue[pb.WatchEvent | None] = asyncio.Queue()
        greeting = self.greeting
        for event in events_of(greeting) if isinstance(greeting, View) else greeting(request):
            yield event
        self._watches.add(queue)
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            self._watches.discard(queue)


@dataclass
class Call:
    """A call that a cell got. `request` is decoded; `cancelled` once the caller gave up."""

    method: str
    request: Any
    remaining: float | None
    request_ids: tuple[str, ...] = ()
    cancelled: bool = False

    @property
    def artifacts(self) -> list[bytes]:
        items = self.request.items if self.method == "Predict" else [self.request]
        return [item.artifact for item in items]


Behavior = Callable[[Call], Awaitable[None]]


@dataclass
class FakeCell:
    """A cell that says what it was asked. Set `before` to refuse (raise) or to hang (wait for ever).

    `bad_items`: artifact → status for items of Predict; others get a value. With `is_cold`, answers say that
    they came after a load.
    """

    id: str
    zone: str = "zone-0"
    address: str = "127.0.0.1:0"
    before: Behavior | None = None
    is_cold: bool = False
    cold: str = "1"
    bad_items: dict[bytes, prediction_pb2.Status] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    _server: Server | None = None

    async def start(self) -> None:
        """Serve, at the former address if there was one."""
        self._server = Server()
        inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(
            _Inference(self), self._server.grpc_server
        )
        prediction_pb2_grpc.add_PredictionServiceServicer_to_server(
            _Prediction(self), self._server.grpc_server
        )
        self.address = await self._server.start(self.address, [])

    async def kill(self) -> None:
        """Close every connection at once."""
        if self._server is not None:
            await self._server.grpc_server.stop(None)
            self._server = None

    def registered(self) -> Cell:
        return Cell(self.id, self.zone, self.address)

    async def take(self, method: str, request: Any, context: Any) -> Call:
        metadata = context.invocation_metadata() or ()
        named = tuple(value for key, value in metadata if key == "x-request-id")
        call = Call(method, request, context.time_remaining(), named)
        self.calls.append(call)
        try:
            if self.before is not None:
                await self.before(call)
        except asyncio.CancelledError:
            call.cancelled = True
            raise
        if self.is_cold:
            context.set_trailing_metadata((("croupier-cold", self.cold),))
        return call


class _Inference(inference_pb2_grpc.GRPCInferenceServiceServicer):
    def __init__(self, cell: FakeCell) -> None:
        self._cell = cell

    async def ModelInfer(self, request: Any, context: Any) -> inference_pb2.ModelInferResponse:
        await self._cell.take("ModelInfer", request, context)
        return inference_pb2.ModelInferResponse(
            model_name=request.model_name,
            model_version=request.model_version,
            id=request.id,
            raw_output_contents=[self._cell.id.encode(), request.artifact],
        )

    async def ModelMetadata(self, request: Any, context: Any) -> inference_pb2.ModelMetadataResponse:
        await self._cell.take("ModelMetadata", request, context)
        return inference_pb2.ModelMetadataResponse(name=request.name, platform=request.artifact.hex())


class _Prediction(prediction_pb2_grpc.PredictionServiceServicer):
    def __init__(self, cell: FakeCell) -> None:
        self._cell = cell

    async def Predict(self, request: Any, context: Any) -> prediction_pb2.PredictResponse:
        await self._cell.take("Predict", request, context)
        return prediction_pb2.PredictResponse(results=[self._result(item) for item in request.items])

    def _result(self, item: Any) -> prediction_pb2.Result:
        if item.artifact in self._cell.bad_items:
            return prediction_pb2.Result(status=self._cell.bad_items[item.artifact])
        texts = prediction_pb2.Texts(values=[self._cell.id, item.artifact.hex(), item.entity_id])
        output = prediction_pb2.Output(name="told", texts=texts)
        return prediction_pb2.Result(value=prediction_pb2.Value(outputs=[output]), version=item.version)


def told(result: Any) -> tuple[str, str, str]:
    """Which cell answered, for which artifact (hex) and which entity."""
    cell, artifact, entity = result.value.outputs[0].texts.values
    return cell, artifact, entity


async def hang(call: Call) -> None:
    await asyncio.Event().wait()


def refuse(error: Exception) -> Behavior:
    async def before(call: Call) -> None:
        raise error

    return before


def snapshot_path(folder: Path) -> Path:
    return folder / "router" / "catalog.snapshot"
