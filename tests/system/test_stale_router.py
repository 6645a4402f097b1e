"""A router that hears nothing of new shard maps: nobody is answered by a cell of an old hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.fleet import Wine
from support.proxy import TcpProxy
from support.waiting import eventually
from support.worlds import Router, router

from croupier.grpcio.manager import VersionManagerClient
from croupier_client import AsyncClient
from croupier_client.errors import Unavailable
from croupierctl.stack import Stack
from protos.versions.v1 import versions_pb2 as pb

pytestmark = pytest.mark.system


@asynccontextmanager
async def manager_of(stack: Stack) -> AsyncIterator[VersionManagerClient]:
    """For changes of the map, which is as it was afterwards."""
    async with VersionManagerClient(stack.manager) as manager:
        before = await manager.get_generation()
        try:
            yield manager
        finally:
            after = await manager.get_generation()
            await manager.set_generation(before, expected_number=after.number)


async def deal(manager: VersionManagerClient, cell: str) -> int:
    """A new generation, whose hand of acme is that cell alone; its number."""
    active = await manager.get_generation()
    new = pb.Generation()
    new.CopyFrom(active)
    new.overrides["acme"].CopyFrom(pb.Override(pins=[cell]))
    return int((await manager.set_generation(new, expected_number=active.number)).number)


async def ask(client: AsyncClient, wine: Wine) -> str:
    """How a request without retries ends: "" or the reason."""
    try:
        await client.predict("wine", wine.rows[0], timeout=4.0)
    except Unavailable as error:
        return error.reason
    return ""


async def is_serving(front: Router) -> bool:
    answer = await health_pb2_grpc.HealthStub(front.channel).Check(health_pb2.HealthCheckRequest())  # type: ignore[no-untyped-call]
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def test_a_router_that_is_held_back_is_kept_out_and_comes_back(stack: Stack, wine: Wine) -> None:
    """Its watch stands and carries nothing, while the map moves by two generations."""
    async with (
        manager_of(stack) as manager,
        AsyncClient(stack.router, tenant="acme", retries=0) as client,
        TcpProxy(stack.manager) as proxy,
    ):
        await deal(manager, "cell-0")
        async with (
            router(proxy.endpoint, stale_seconds=1.0, watch_silence=60.0) as front,
            AsyncClient(front.address, tenant="acme", retries=0) as late,
        ):
            assert await ask(late, wine) == ""
            proxy.hang()
            await deal(manager, "cell-1")
            assert await ask(late, wine) == ""
            await deal(manager, "cell-2")
            seen: list[str] = []

            async def refused() -> bool:
                seen.append(await ask(late, wine))
                assert await ask(client, wine) == ""
                return bool(seen[-1])

            await eventually(refused, "the old hand's cell has heard of the new map")
            # From then on it answers nothing of the old map.
            assert {await ask(late, wine) for _ in range(3)} == {"STALE_MAP"}
            assert set(seen[:-1]) <= {""}

            async def gave_up() -> bool:
                return not await is_serving(front)

            await eventually(gave_up, "it says that it does not serve")
            waits = asyncio.create_task(ask(late, wine))
            await proxy.mend()

            async def back() -> bool:
                return await is_serving(front) and await ask(late, wine) == ""

            await eventually(back, "it has the newer map")
            assert await waits in {"", "STALE_MAP"}
