"""Calls of a hostile tenant, which end however they end."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from support.harm import error_of
from support.waiting import wait_until

from croupier_client import Client
from croupierctl.stack import Stack
from protos.inference.v2 import inference_pb2

EVIL = "evil"
INFER = "/inference.GRPCInferenceService/ModelInfer"
_AS_EVIL = (("croupier-tenant", EVIL),)
_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]


def attack(address: str, calls: Callable[[grpc.aio.Channel], list[Awaitable[Any]]]) -> Counter[str]:
    """The status of each of the calls, made at once on a connection of their own."""

    async def status_of(call: Awaitable[Any]) -> str:
        try:
            await call
        except grpc.aio.AioRpcError as error:
            return error.code().name
        except asyncio.CancelledError:
            return "CANCELLED"
        return "OK"

    async def run() -> Counter[str]:
        async with grpc.aio.insecure_channel(address, options=_UNLIMITED) as channel:
            return Counter(await asyncio.gather(*(status_of(call) for call in calls(channel))))

    return asyncio.run(run())


def unary(channel: grpc.aio.Channel, path: str, body: bytes, timeout: float = 8.0) -> Awaitable[Any]:
    return channel.unary_unary(path)(body, timeout=timeout, metadata=_AS_EVIL)


async def drained(channel: grpc.aio.Channel, path: str, bodies: list[bytes], timeout: float = 3.0) -> None:
    """A call with a stream of answers, all of them read."""

    async def requests() -> AsyncIterator[bytes]:
        for body in bodies:
            yield body

    async for _ in channel.stream_stream(path)(requests(), timeout=timeout, metadata=_AS_EVIL):
        pass


def tensor(model: str, row: list[float]) -> bytes:
    """A ModelInferRequest of one row for the input `input`."""
    request = inference_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="input", datatype="FP32", shape=[1, len(row)])
    request.raw_input_contents.append(struct.pack(f"<{len(row)}f", *row))
    return request.SerializeToString()


def await_infer_routed(stack: Stack, model: str) -> None:
    body = tensor(model, [0.0, 0.0])
    wait_until(lambda: attack(stack.router, lambda one: [unary(one, INFER, body)]) == {"OK": 1}, "routed")


def await_routed(stack: Stack, model: str, row: list[float]) -> None:
    with Client(stack.router, tenant=EVIL) as client:
        wait_until(lambda: error_of(client, model, row) != "NotFound", f"{model} is routed")
