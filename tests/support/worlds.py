"""A router built by its own app, between a fake version manager and fake cells, and its callers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import grpc
import pytest
from support.fakes import Call, FakeCell, FakeManager, delta_event, generation, model, view

from croupier.grpcio.channels import open_async
from croupier.lifecycle import Lifecycle
from protos.inference.v2 import inference_pb2, inference_pb2_grpc
from protos.prediction.v1 import prediction_pb2, prediction_pb2_grpc
from protos.status.v1 import status_pb2
from router.app import serve
from router.route import route
from router.settings import RouterSettings
from router.view import View, ViewChange
from version_manager.model.release import Model

# Two versions that share the traffic and a third under a label; one version; none released; another
# tenant's.
MODELS = [
    model(versions=(1, 2, 3), splits=((1, 5_000), (2, 5_000)), labels={"next": 3}),
    model(name="price"),
    model(name="raw", versions=(4,), released=False),
    model("globex", "secret"),
]


class _Life(Lifecycle):
    """Tells when the process would have said that it is ready."""

    def __init__(self) -> None:
        super().__init__()
        self.line: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def ready(self, line: str) -> None:
        self.line.set_result(line)


@asynccontextmanager
async def router(manager: str, *, wait: bool = True, **settings: Any) -> AsyncIterator[Router]:
    """A router in this process, between `manager` and whatever cells that tells of."""
    life = _Life()
    settings = {"listen": "127.0.0.1:0", "metrics_listen": "", **settings}
    serving = asyncio.create_task(serve(RouterSettings(manager=manager, **settings), life))
    try:
        await asyncio.wait([serving, life.line], return_when=asyncio.FIRST_COMPLETED) if wait else None
        if serving.done():
            serving.result()
        address = life.line.result().rpartition(" ")[2] if wait else settings["listen"]
        async with open_async(address) as channel:
            yield Router(channel, address)
    finally:
        life.stop()
        await serving


class Router:
    """Calls a router as `tenant`."""

    def __init__(self, channel: grpc.aio.Channel, address: str, tenant: str = "acme") -> None:
        self.address = address
        self.channel = channel
        self.inference: Any = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        self.prediction: Any = prediction_pb2_grpc.PredictionServiceStub(channel)
        self.metadata = (("croupier-tenant", tenant),)

    async def infer(self, name: str = "churn", *, timeout: float | None = 10.0, **fields: Any) -> Any:
        request = inference_pb2.ModelInferRequest(model_name=name, **fields)
        return await self.inference.ModelInfer(request, timeout=timeout, metadata=self.metadata)

    async def predict(self, *items: Any, timeout: float | None = 10.0) -> Any:
        request = prediction_pb2.PredictRequest(items=[_item(item) for item in items])
        return await self.prediction.Predict(request, timeout=timeout, metadata=self.metadata)


def _item(item: Any) -> Any:
    return prediction_pb2.Item(model=item) if isinstance(item, str) else item


@dataclass
class World:
    """A fake manager, fake cells and a router over them."""

    manager: FakeManager
    cells: dict[str, FakeCell]
    router: Router
    view: View

    def hand(self, tenant: str = "acme", name: str = "churn") -> list[FakeCell]:
        """The tenant's cells in the order in which the model asks them."""
        return [self.cells[cell] for cell in route(self.view, tenant, name)]

    def change(self, change: ViewChange) -> None:
        """Tell the router of a change, which gets the next revision."""
        revision = self.view.catalog.revision + 1
        change = replace(change, models=replace(change.models, revision=revision))
        self.view = self.view.after(change)
        self.manager.greeting = self.view
        self.manager.send(delta_event(change))

    def calls(self) -> list[tuple[str, Call]]:
        return [(cell.id, call) for cell in self.cells.values() for call in cell.calls]


@asynccontextmanager
async def world(
    models: Iterable[Model] = (), *, cells: int = 6, hand_size: int = 2, **settings: Any
) -> AsyncIterator[World]:
    """A router that knows `models`, over `cells` fake cells in two zones."""
    async with AsyncExitStack() as stack:
        fakes = {f"cell-{n}": FakeCell(f"cell-{n}", f"zone-{n % 2}") for n in range(cells)}
        for cell in fakes.values():
            await cell.start()
            stack.push_async_callback(cell.kill)
        known = view(
            list(models) or [model()],
            (generation(list(fakes), hand_size=hand_size),),
            [cell.registered() for cell in fakes.values()],
        )
        manager = await stack.enter_async_context(FakeManager(known))
        front = await stack.enter_async_context(router(manager.address, **settings))
        yield World(manager, fakes, front, known)


def details_of(error: grpc.aio.AioRpcError) -> set[str]:
    """The names of the google.rpc details that a failed call carries."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            packed = status_pb2.Status.FromString(value)
            return {detail.type_url.rpartition(".")[2] for detail in packed.details}
    return set()


@asynccontextmanager
async def failing(code: grpc.StatusCode, *details: str) -> AsyncIterator[None]:
    """What it surrounds fails with `code` and carries `details`."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    assert caught.value.code() == code, caught.value.details()
    assert details_of(caught.value) >= set(details)


def parameters(**texts: str) -> dict[str, inference_pb2.InferParameter]:
    """Parameters of a ModelInferRequest."""
    return {name: inference_pb2.InferParameter(string_param=text) for name, text in texts.items()}
