"""The server that processes of ours run: what it serves besides, and how it stops."""

from __future__ import annotations

import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from support.echo import SERVICE, serving
from support.serving import calling

from croupier.codes import Code
from croupier.transport.client import Channel
from croupier.transport.services.health import MAX_REQUEST_BYTES, MAX_WATCHES
from croupier.transport.services.health import SERVICE as HEALTH
from croupier.transport.services.reflection import SERVICES as REFLECTION
from croupier.transport.status import RpcError

SERVING = health_pb2.HealthCheckResponse.SERVING


async def _status_of(channel: Channel, path: str, request: bytes) -> int:
    async with channel.stream(path) as stream:
        await stream.send(request)
        try:
            await stream.receive()
        except RpcError as error:
            return error.code
        return 0


@pytest.mark.parametrize(
    "path",
    [
        *(f"/{HEALTH}/{method}" for method in ("Check", "Watch", "List")),
        *(f"/{service}/ServerReflectionInfo" for service in REFLECTION),
    ],
)
async def test_health_and_reflection_take_small_requests_only(path: str) -> None:
    async with serving() as address, calling(address) as channel:
        assert await _status_of(channel, path, bytes(20_000)) == Code.RESOURCE_EXHAUSTED


async def test_a_connection_may_watch_so_often() -> None:
    service = health_pb2.HealthCheckRequest(service="s" * (MAX_REQUEST_BYTES - 10)).SerializeToString()
    async with serving() as address, calling(address) as channel:
        watching = [channel.stream(f"/{HEALTH}/Watch") for _ in range(MAX_WATCHES)]
        for stream in watching:
            await stream.send(service)
            assert await stream.receive()
        assert await _status_of(channel, f"/{HEALTH}/Watch", service) == Code.RESOURCE_EXHAUSTED
        watching.pop().cancel()
        assert await _status_of(channel, f"/{HEALTH}/Watch", service) == Code.OK
        for stream in watching:
            stream.cancel()


async def test_the_services_that_it_is_told_of_are_healthy_and_others_unknown() -> None:
    async with serving() as address, calling(address) as channel:
        for name in ("", SERVICE):
            request = health_pb2.HealthCheckRequest(service=name).SerializeToString()
            answer = await channel.unary(f"/{HEALTH}/Check", request)
            assert health_pb2.HealthCheckResponse.FromString(answer).status == SERVING
        request = health_pb2.HealthCheckRequest(service="test.Other").SerializeToString()
        with pytest.raises(RpcError) as error:
            await channel.unary(f"/{HEALTH}/Check", request)
        assert error.value.code == Code.NOT_FOUND


async def test_reflection_lists_what_is_served() -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
    async with (
        serving() as address,
        calling(address) as channel,
        channel.stream(f"/{REFLECTION[0]}/ServerReflectionInfo") as stream,
    ):
        await stream.send(request)
        answer = reflection_pb2.ServerReflectionResponse.FromString(await stream.receive() or b"")
    names = {service.name for service in answer.list_services_response.service}
    assert names == {SERVICE, HEALTH, REFLECTION[1]}
