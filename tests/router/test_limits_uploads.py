"""A whole router takes in no large request that it would refuse once it is here."""

from __future__ import annotations

import grpc
import pytest
from support.fakes import metric, no_change
from support.http2_peer import RawPeer, data, headers, request_fields
from support.waiting import eventually
from support.worlds import MODELS, Router, World, failing, world

from version_manager.model.limits import Limits

PATH = "/inference.GRPCInferenceService/ModelInfer"
LARGE = 2**20
# In debt by its first large request, and for hours.
LIMITS = Limits(bytes=100.0)


async def said(stage: World, *credentials: tuple[str, str]) -> str | None:
    """The gRPC status that comes once the length of a large message was said, and nothing of it."""
    async with RawPeer.connect(stage.router.address) as peer:
        peer.send(headers(1, request_fields(PATH, *credentials)))
        peer.send(data(1, b"\0" + LARGE.to_bytes(4, "big"), flags=0))
        return (await peer.heard(1)).status[1]


async def in_debt(stage: World) -> None:
    """Have the tenant sent so much that it may send no more."""

    async def is_refused() -> bool:
        try:
            await stage.router.infer("price", raw_input_contents=[bytes(LARGE)])
        except grpc.aio.AioRpcError as error:
            return error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        return False

    stage.change(no_change(limits=(("acme", LIMITS),)))
    await eventually(is_refused, "a refusal")


async def test_of_a_tenant_in_debt_nothing_is_taken_in() -> None:
    async with world(MODELS) as stage:
        await in_debt(stage)
        before = metric("croupier_router_limit_refusals_total", limit="bytes")
        counted = metric("croupier_router_requests_total", method="ModelInfer", code="RESOURCE_EXHAUSTED")
        assert await said(stage, ("croupier-tenant", "acme")) == "8"
        assert metric("croupier_router_limit_refusals_total", limit="bytes") == before + 1
        after = metric("croupier_router_requests_total", method="ModelInfer", code="RESOURCE_EXHAUSTED")
        assert after == counted + 1
        async with failing(grpc.StatusCode.RESOURCE_EXHAUSTED, "QuotaFailure", "RetryInfo"):
            await stage.router.infer("price", raw_input_contents=[bytes(LARGE)])
        other = Router(stage.router.channel, "", "globex")
        await other.infer("secret", raw_input_contents=[bytes(LARGE)])


@pytest.mark.parametrize("credentials", [(), (("croupier-tenant", "a/b"),)])
async def test_nor_of_whom_nobody_knows(credentials: tuple[tuple[str, str], ...]) -> None:
    async with world(MODELS) as stage:
        assert await said(stage, *credentials) in ("3", "16")
