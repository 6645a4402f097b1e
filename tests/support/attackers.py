"""What hostile callers do to a fleet, and the process in which they do it.

Attackers have machines of their own. Here they have the processors of this one when nobody else wants them,
so that what others notice of an attack is what it does to the fleet. Only a whole process can be held to
that: gRPC has threads of its own, whoever asks.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from multiprocessing import get_context

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from support.attacks import EVIL, INFER, attack, drained, unary
from support.harm import page_of
from support.hostile import call_on, streams
from support.http2_peer import (
    CONTINUATION,
    GOAWAY,
    PING,
    PREFACE,
    frame,
    headers,
    request_fields,
    reset,
    settings,
)
from support.load import MODEL, Tenant
from support.waiting import wait_until

from croupier.artifacts.format import HEADER_SIZE, Tensor, pack
from croupier.errors import InvalidRequest
from croupier.grpcio.manager import VersionManagerClient
from croupier_client import AsyncClient
from protos.inference.v2 import inference_pb2
from protos.versions.v1 import versions_pb2 as pb

Address = tuple[str, int]

_WATCH = "/grpc.health.v1.Health/Watch"
_REFLECT = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
_STREAM = "/croupier.prediction.v1.PredictionService/PredictStream"
_PUBLISH = "/croupier.versions.v1.VersionManager/Publish"

FLOODS = {
    "resets": b"".join(call_on(stream, INFER) + reset(stream) for stream in streams(5_000)),
    "continuations": headers(1, request_fields(INFER), 0) + frame(CONTINUATION, 1) * 5_000,
}
_PARTS = {
    **{
        name: bytes([field << 3 | 2, 0])
        for name, field in {"inputs": 5, "outputs": 6, "contents": 7, "parameters": 4}.items()
    },
    # In an input, a field that nobody knows.
    "inside": b"\x78\x01",
}
PARTS = list(_PARTS)
_INPUT = b"\x2a\x80\x80\xc0\x07"
JUNK = ["all through", "begun"]


@contextmanager
def attackers() -> Iterator[Executor]:
    """Does in a process of its own what can be pickled."""
    with ProcessPoolExecutor(1, get_context("spawn"), _give_way) as process:
        yield process


def _give_way() -> None:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def watch_huge_names(*targets: str) -> None:
    body = health_pb2.HealthCheckRequest(service="x" * 15 * 2**20).SerializeToString()
    for target in targets:
        attack(target, lambda channel: [drained(channel, _WATCH, [body]) for _ in range(30)])


def reflect_huge_names(router: str) -> None:
    request = reflection_pb2.ServerReflectionRequest(file_by_filename="x" * 15 * 2**20)
    body = request.SerializeToString()
    attack(router, lambda channel: [drained(channel, _REFLECT, [body]) for _ in range(10)])


def stream_malformed(router: str) -> None:
    body = b"\x0a\xff\xff\xff\x7f" + b"\xff" * 8 * 2**20
    statuses = attack(router, lambda channel: [drained(channel, _STREAM, [body]) for _ in range(10)])
    assert "OK" not in statuses


def flood(router: str, cell: str, flood: str) -> None:
    # Routers call a cell, and reset what they have hedged: it bears as many.
    at_cell = {PING} if flood == "resets" else {GOAWAY, None}
    for _ in range(16):
        assert _answer_to(router, FLOODS[flood]) in {GOAWAY, None}
        assert _answer_to(cell, FLOODS[flood]) in at_cell


def _answer_to(address: str, flood: bytes) -> int | None:
    """What frames and a PING behind them have come to: PING if that was answered, or GOAWAY.

    None is an end without a word: that of a connection which still brings something may overtake the GOAWAY.
    """
    heard = b""
    with socket.create_connection(_pair(address), timeout=60) as peer, suppress(ConnectionError):
        with suppress(ConnectionError):
            peer.sendall(PREFACE + settings() + flood + frame(PING, 0, bytes(8)))
        while not (kinds := _kinds_of(heard)) & {PING, GOAWAY} and (data := peer.recv(65536)):
            heard += data
    return next(iter(kinds & {PING, GOAWAY}), None)


def _kinds_of(frames: bytes) -> set[int]:
    """Of every frame that is whole."""
    kinds, at = set(), 0
    while at + 9 <= len(frames) and (end := at + 9 + int.from_bytes(frames[at : at + 3])) <= len(frames):
        kinds.add(frames[at + 3])
        at = end
    return kinds


def send_parts(router: str, parts: str) -> None:
    body = _of_parts(parts)
    statuses = attack(router, lambda channel: [unary(channel, INFER, body) for _ in range(4)])
    # What is not looked at, since others of them are held, may come again.
    assert statuses.keys() <= {"INVALID_ARGUMENT", "UNAVAILABLE"}, statuses


@cache
def _of_parts(parts: str) -> bytes:
    """A request of 15 MiB of them."""
    name = MODEL.encode()
    begin = _INPUT if parts == "inside" else b""
    return b"\x0a" + bytes([len(name)]) + name + begin + _PARTS[parts] * (15 * 2**19)


def ask_for_huge_answers(router: str, model: str) -> None:
    request = inference_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="input", datatype="FP32", shape=[1_024, 1])
    request.raw_input_contents.append(bytes(4 * 1_024))
    body = request.SerializeToString()
    statuses = attack(router, lambda channel: [unary(channel, INFER, body) for _ in range(20)])
    assert not statuses.keys() & {"OK", "UNAVAILABLE", "UNKNOWN"}, statuses


_numbers = itertools.count(50_000)


def upload_by_halves(manager: str) -> None:
    """A hundred at once, while somebody publishes."""
    chunk = pb.PublishRequest(chunk=bytes(2**20)).SerializeToString()
    header = pb.PublishRequest.Header(tenant=EVIL, name="half", artifact=bytes(32), size=200 * 2**20)
    begin = pb.PublishRequest(header=header).SerializeToString()
    honest = Tenant("honest", next(_numbers))

    async def parts() -> AsyncIterator[bytes]:
        yield begin
        for _ in range(16):
            yield chunk
        await asyncio.Event().wait()

    async def upload(channel: grpc.aio.Channel) -> None:
        await channel.stream_unary(_PUBLISH)(parts(), timeout=4.0)

    with ThreadPoolExecutor(1) as pool:
        attacking = pool.submit(attack, manager, lambda one: [upload(one) for _ in range(100)])
        wait_until(lambda: _publish(manager, honest.name, MODEL, honest.artifact), "others publish", 60.0)
        assert "OK" not in attacking.result()


def upload_junk(manager: str, kind: str) -> None:
    with pytest.raises(InvalidRequest):
        _publish(manager, EVIL, "junk", _junk(kind))


@cache
def _junk(kind: str) -> bytes:
    """64 MiB that begin as an artifact does, or do not."""
    junk = bytes(64 * 2**20)
    if kind != "begun":
        return junk
    name = Tensor("x", "FP32", (-1, 1))
    packed = pack(engine="linear", inputs=[name], outputs=[name], sections={"weights": junk})
    return packed[:HEADER_SIZE] + bytes(len(packed) - HEADER_SIZE)


def _publish(manager: str, tenant: str, name: str, artifact: bytes) -> bool:
    async def publish() -> bool:
        async with VersionManagerClient(manager) as client:
            version = await client.publish(tenant, name, artifact, release_if_first=True)
            return bool(version.number)

    return asyncio.run(publish())


def connect_in_silence(*pages: Address) -> None:
    with ExitStack() as stack:
        for page in pages:
            for _ in range(300):
                peer = stack.enter_context(socket.create_connection(page, timeout=5))
                with suppress(OSError):
                    peer.sendall(b"GET /")
    for page in pages:
        wait_until(partial(_is_page, page), "the page answers", timeout=30.0)


def _is_page(address: Address) -> bool:
    try:
        return bool(page_of(address))
    except OSError:
        return False


def send_garbage(*addresses: str) -> None:
    hellos = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes(1 << 16),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 4096,
    ]

    def send(address: str, hello: bytes) -> None:
        with socket.create_connection(_pair(address), timeout=5) as peer, suppress(OSError):
            peer.sendall(hello)
            peer.settimeout(0.5)
            peer.recv(4096)

    with ThreadPoolExecutor(16) as pool:
        for address in addresses:
            list(pool.map(partial(send, address), hellos * 10))


def cancel_calls(router: str) -> None:
    async def run() -> None:
        async with AsyncClient(router, tenant=EVIL, retries=0) as client:
            for _ in range(3):
                calls = [asyncio.create_task(client.predict(MODEL, [1.0, 2.0])) for _ in range(1_000)]
                await asyncio.sleep(0)
                for call in calls:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)

    asyncio.run(run())


def _pair(address: str) -> Address:
    host, _, port = address.rpartition(":")
    return host, int(port)
