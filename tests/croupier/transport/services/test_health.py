"""grpc.health.v1: the handlers as the server calls them, then as grpcio's clients see them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.waiting import eventually

from croupier.errors import InvalidRequest, NotFound
from croupier.grpcio.channels import open_async
from croupier.transport.services.health import HealthService
from croupier.transport.serving import Server

SERVING, NOT_SERVING, UNKNOWN = 1, 2, 3
PREFIX = "/grpc.health.v1.Health/"


class Registry:
    """Keeps what is registered instead of serving it."""

    def __init__(self, health: HealthService) -> None:
        self.unary: dict[str, Callable[..., Any]] = {}
        self.stream: dict[str, Callable[..., Any]] = {}
        health.add_to(self)  # type: ignore[arg-type]

    def add_unary(self, path: str, handler: Callable[..., Any], **bounds: int) -> None:
        self.unary[path] = handler

    def add_stream(self, path: str, handler: Callable[..., Any], **bounds: int) -> None:
        self.stream[path] = handler

    async def check(self, service: str) -> int:
        answer = await self.unary[PREFIX + "Check"](request(service), None)
        return health_pb2.HealthCheckResponse.FromString(answer).status

    def watch(self, service: str) -> Any:
        return self.stream[PREFIX + "Watch"](messages(request(service)), None)


def request(service: str) -> bytes:
    return health_pb2.HealthCheckRequest(service=service).SerializeToString()


async def messages(*given: bytes) -> AsyncIterator[bytes]:
    for message in given:
        yield message


def watchers(health: HealthService) -> int:
    return sum(map(len, health._watchers.values()))


async def told(watch: Any) -> int:
    async with asyncio.timeout(5):
        return health_pb2.HealthCheckResponse.FromString(await anext(watch)).status


@pytest.fixture
def health() -> HealthService:
    health = HealthService()
    health.set("a.A", True)
    return health


@pytest.fixture
def registry(health: HealthService) -> Registry:
    return Registry(health)


class TestCheck:
    async def test_states(self, health: HealthService, registry: Registry) -> None:
        assert await registry.check("") == SERVING
        assert await registry.check("a.A") == SERVING
        health.set("a.A", False)
        assert await registry.check("a.A") == NOT_SERVING
        assert await registry.check("") == SERVING

    async def test_an_unknown_service(self, registry: Registry) -> None:
        with pytest.raises(NotFound, match=r"'no\.Such'"):
            await registry.check("no.Such")

    async def test_an_undecodable_request(self, registry: Registry) -> None:
        with pytest.raises(InvalidRequest):
            await registry.unary[PREFIX + "Check"](b"\xff", None)

    async def test_nothing_serves_once_stopped(self, health: HealthService, registry: Registry) -> None:
        health.stop()
        health.set("a.A", True)
        health.set("late.B", True)
        assert [await registry.check(service) for service in ("", "a.A", "late.B")] == [NOT_SERVING] * 3

    async def test_list(self, health: HealthService, registry: Registry) -> None:
        health.set("b.B", False)
        answer = await registry.unary[PREFIX + "List"](b"", None)
        statuses = health_pb2.HealthListResponse.FromString(answer).statuses
        assert {service: s.status for service, s in statuses.items()} == {
            "": SERVING,
            "a.A": SERVING,
            "b.B": NOT_SERVING,
        }


class TestWatch:
    async def test_every_change_is_told(self, health: HealthService, registry: Registry) -> None:
        watch = registry.watch("a.A")
        assert await told(watch) == SERVING
        for serving in (False, True, False):
            health.set("a.A", serving)
            assert await told(watch) == (SERVING if serving else NOT_SERVING)
        await watch.aclose()

    async def test_an_unknown_service_may_come(self, health: HealthService, registry: Registry) -> None:
        watch = registry.watch("late.B")
        assert await told(watch) == UNKNOWN
        health.set("late.B", True)
        assert await told(watch) == SERVING
        await watch.aclose()

    async def test_what_has_passed_is_not_told(self, health: HealthService, registry: Registry) -> None:
        watch = registry.watch("a.A")
        assert await told(watch) == SERVING
        for _ in range(1_000):
            health.set("a.A", False)
            health.set("a.A", True)
        health.set("a.A", False)
        assert await told(watch) == NOT_SERVING
        health.set("a.A", True)
        health.set("a.A", False)
        waiting = asyncio.ensure_future(told(watch))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        health.set("a.A", True)
        assert await waiting == SERVING
        await watch.aclose()

    async def test_other_services_wake_nobody(self, health: HealthService, registry: Registry) -> None:
        watch = registry.watch("a.A")
        await told(watch)
        waiting = asyncio.ensure_future(told(watch))
        health.set("b.B", True)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        health.stop()
        assert await waiting == NOT_SERVING
        await watch.aclose()

    async def test_a_stop_is_told_and_watching_goes_on(
        self, health: HealthService, registry: Registry
    ) -> None:
        watch = registry.watch("")
        assert await told(watch) == SERVING
        health.stop()
        assert await told(watch) == NOT_SERVING
        waiting = asyncio.ensure_future(told(watch))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        health.end()
        with pytest.raises(StopAsyncIteration):
            await waiting

    async def test_the_end_comes_after_the_last_state(
        self, health: HealthService, registry: Registry
    ) -> None:
        watch = registry.watch("a.A")
        assert await told(watch) == SERVING
        health.stop()
        health.end()
        assert await told(watch) == NOT_SERVING
        with pytest.raises(StopAsyncIteration):
            await told(watch)
        assert watchers(health) == 0

    async def test_a_cancelled_call_leaves_nothing(self, health: HealthService, registry: Registry) -> None:
        watches = [registry.watch(service) for service in ("a.A", "a.A", "no.Such")]
        for watch in watches:
            await told(watch)
        waiting = [asyncio.ensure_future(told(watch)) for watch in watches]
        await asyncio.sleep(0)
        assert watchers(health) == 3
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert health._watchers == {}

    @pytest.mark.parametrize("given", [(), (b"\xff",)])
    async def test_no_request(self, registry: Registry, given: tuple[bytes, ...]) -> None:
        with pytest.raises(InvalidRequest):
            await told(registry.stream[PREFIX + "Watch"](messages(*given), None))


class House:
    def __init__(self, server: Server, channel: grpc.aio.Channel) -> None:
        self.server = server
        self.stub: Any = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    server = Server()
    address = await server.start("127.0.0.1:0", ["a.A"])
    async with open_async(address) as channel:
        yield House(server, channel)
    await server.stop(0)


class TestWithGrpcio:
    @pytest.mark.parametrize("service", ["", "a.A"])
    async def test_check(self, house: House, service: str) -> None:
        answer = await house.stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
        assert answer.status == SERVING

    async def test_an_unknown_service(self, house: House) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await house.stub.Check(health_pb2.HealthCheckRequest(service="no.Such"), timeout=5)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    async def test_list(self, house: House) -> None:
        answer = await house.stub.List(health_pb2.HealthListRequest(), timeout=5)
        assert set(answer.statuses) == {"", "a.A"}

    async def test_watch(self, house: House) -> None:
        watch = house.stub.Watch(health_pb2.HealthCheckRequest(service="a.A"), timeout=10)
        assert (await watch.read()).status == SERVING
        house.server.health.set("a.A", False)
        assert (await watch.read()).status == NOT_SERVING
        watch.cancel()
        await eventually(lambda: not watchers(house.server.health), "nobody watches any more")

    async def test_watch_sees_the_stop(self, house: House) -> None:
        watch = house.stub.Watch(health_pb2.HealthCheckRequest(service="a.A"), timeout=10)
        assert (await watch.read()).status == SERVING
        stopping = asyncio.create_task(house.server.stop(5))
        assert (await watch.read()).status == NOT_SERVING
        watch.cancel()
        await stopping
