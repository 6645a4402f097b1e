"""Hostile callers, with and without a credential: nobody else notices.

Beside what callers meet, memory is watched: no process may take much more meanwhile, nor keep it.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from sklearn.linear_model import LinearRegression
from support.attacks import EVIL, INFER, attack, drained, unary
from support.fleet import publish
from support.harm import hand_of, metrics_of, page_of, with_manager
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
from support.load import MODEL, TENANTS, Tenant
from support.waiting import wait_until

from croupier.artifacts.packers.linear import pack_linear
from croupier.errors import InvalidRequest
from croupier_client import AsyncClient
from croupierctl.stack import Stack
from protos.inference.v2 import inference_pb2
from protos.versions.v1 import versions_pb2 as pb

_WATCH = "/grpc.health.v1.Health/Watch"
_REFLECT = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
_STREAM = "/croupier.prediction.v1.PredictionService/PredictStream"
_PUBLISH = "/croupier.versions.v1.VersionManager/Publish"


@pytest.mark.fault("60 health watches for a service with a name of 15 MiB", "no error; memory stays")
def test_health_watches_with_huge_names(fleet: Stack, attacked) -> None:
    body = health_pb2.HealthCheckRequest(service="x" * 15 * 2**20).SerializeToString()
    targets = (fleet.router, cell_address(fleet))

    def act() -> None:
        for target in targets:
            attack(target, lambda channel: [drained(channel, _WATCH, [body]) for _ in range(30)])

    attacked(act).check()


@pytest.mark.fault("Reflection requests of 15 MiB", "no error; memory stays")
def test_huge_reflection_requests(fleet: Stack, attacked) -> None:
    request = reflection_pb2.ServerReflectionRequest(file_by_filename="x" * 15 * 2**20)
    body = request.SerializeToString()
    attacked(
        lambda: attack(fleet.router, lambda channel: [drained(channel, _REFLECT, [body]) for _ in range(10)])
    ).check()


@pytest.mark.fault("PredictStream calls with malformed messages of 8 MiB", "no error; memory stays")
def test_malformed_streams(fleet: Stack, attacked) -> None:
    body = b"\x0a\xff\xff\xff\x7f" + b"\xff" * 8 * 2**20

    def act() -> None:
        statuses = attack(
            fleet.router, lambda channel: [drained(channel, _STREAM, [body]) for _ in range(10)]
        )
        assert "OK" not in statuses

    attacked(act).check()


_RESETS = b"".join(call_on(stream, INFER) + reset(stream) for stream in streams(5_000))
_CONTINUATIONS = headers(1, request_fields(INFER), 0) + frame(CONTINUATION, 1) * 5_000


@pytest.mark.fault(
    "5,000 requests that are reset as they begin, or headers without end (CONTINUATION), on 32 connections",
    "no error; memory stays",
)
@pytest.mark.parametrize("flood", [_RESETS, _CONTINUATIONS], ids=["resets", "continuations"])
def test_floods_of_frames(fleet: Stack, attacked, flood: bytes) -> None:
    # Routers call a cell, and reset what they have hedged: it bears as many.
    at_cell = {PING} if flood is _RESETS else {GOAWAY, None}

    def act() -> None:
        for _ in range(16):
            assert answer_to(fleet.router, flood) in {GOAWAY, None}
            assert answer_to(cell_address(fleet), flood) in at_cell

    attacked(act).check()


def answer_to(address: str, flood: bytes) -> int | None:
    """What frames and a PING behind them have come to: PING if that was answered, or GOAWAY.

    None is an end without a word: that of a connection which still brings something may overtake the GOAWAY.
    """
    host, _, port = address.rpartition(":")
    heard = b""
    with socket.create_connection((host, int(port)), timeout=60) as peer, suppress(ConnectionError):
        with suppress(ConnectionError):
            peer.sendall(PREFACE + settings() + flood + frame(PING, 0, bytes(8)))
        while not (kinds := kinds_of(heard)) & {PING, GOAWAY} and (data := peer.recv(65536)):
            heard += data
    return next(iter(kinds & {PING, GOAWAY}), None)


def kinds_of(frames: bytes) -> set[int]:
    """Of every frame that is whole."""
    kinds, at = set(), 0
    while at + 9 <= len(frames) and (end := at + 9 + int.from_bytes(frames[at : at + 3])) <= len(frames):
        kinds.add(frames[at + 3])
        at = end
    return kinds


_EMPTY = [bytes([field << 3 | 2, 0]) * (15 * 2**19) for field in (5, 6, 7, 4)]
# An input, and in it a field that nobody knows.
_INSIDE = b"\x2a\x80\x80\xc0\x07" + b"\x78\x01" * (15 * 2**19)


@pytest.mark.fault(
    "Requests of 15 MiB of empty inputs, outputs or contents, or of fields inside one input",
    "no error; memory stays",
)
@pytest.mark.parametrize(
    "parts", [*_EMPTY, _INSIDE], ids=["inputs", "outputs", "contents", "parameters", "inside"]
)
def test_empty_parts_without_end(fleet: Stack, attacked, parts: bytes) -> None:
    publish(fleet, EVIL, MODEL, TENANTS[0].artifact)
    attacked(lambda: send_parts(fleet.router, parts)).check()


@pytest.mark.fault(
    "The same, to a router that nobody else asks: what sharing the processors costs callers", "no error"
)
def test_fields_without_end_for_a_bystander(fleet: Stack, attacked, tmp_path) -> None:
    publish(fleet, EVIL, MODEL, TENANTS[0].artifact)
    bystander = fleet.start_router("bystander", tmp_path / "snapshot")
    try:
        attacked(lambda: send_parts(bystander.address, _INSIDE)).check()
    finally:
        bystander.stop()
        del fleet.processes["bystander"]


def send_parts(router: str, parts: bytes) -> None:
    name = MODEL.encode()
    body = b"\x0a" + bytes([len(name)]) + name + parts
    statuses = attack(router, lambda channel: [unary(channel, INFER, body) for _ in range(4)])
    # What is not looked at, since others of them are held, may come again.
    assert statuses.keys() <= {"INVALID_ARGUMENT", "UNAVAILABLE"}, statuses


@pytest.mark.fault("A model of 65,535 outputs is asked for 1,024 rows at a time", "no error; memory stays")
def test_answers_without_end(fleet: Stack, attacked) -> None:
    rng = np.random.default_rng(1)
    model = LinearRegression().fit(rng.normal(size=(4, 1)), rng.normal(size=(4, 65_535)))
    publish(fleet, EVIL, "wide", pack_linear(model))
    request = inference_pb2.ModelInferRequest(model_name="wide")
    request.inputs.add(name="input", datatype="FP32", shape=[1_024, 1])
    request.raw_input_contents.append(bytes(4 * 1_024))
    body = request.SerializeToString()

    def act() -> None:
        statuses = attack(fleet.router, lambda channel: [unary(channel, INFER, body) for _ in range(20)])
        assert not statuses.keys() & {"OK", "UNAVAILABLE", "UNKNOWN"}, statuses

    attacked(act).check()


@pytest.mark.fault(
    "A hundred uploads to the version manager stop half way, again and again",
    "no error; others publish; memory stays",
)
def test_uploads_that_stop_half_way(fleet: Stack, attacked) -> None:
    chunk = pb.PublishRequest(chunk=bytes(2**20)).SerializeToString()
    header = pb.PublishRequest.Header(tenant=EVIL, name="half", artifact=bytes(32), size=200 * 2**20)
    begin = pb.PublishRequest(header=header).SerializeToString()
    honest = (Tenant("honest", number) for number in itertools.count(50_000))

    async def parts() -> AsyncIterator[bytes]:
        yield begin
        for _ in range(16):
            yield chunk
        await asyncio.Event().wait()

    async def upload(channel: grpc.aio.Channel) -> None:
        await channel.stream_unary(_PUBLISH)(parts(), timeout=4.0)

    def act() -> None:
        with ThreadPoolExecutor(1) as pool:
            attacking = pool.submit(attack, fleet.manager, lambda one: [upload(one) for _ in range(100)])
            one = next(honest)
            wait_until(lambda: publish(fleet, one.name, MODEL, one.artifact) > 0, "others publish", 60.0)
            assert "OK" not in attacking.result()

    attacked(act).check()


@pytest.mark.fault(
    "Uploads of 64 MiB to the version manager are refused when they are whole, one after another",
    "no error; memory stays",
)
def test_uploads_that_are_refused(fleet: Stack, attacked) -> None:
    junk = bytes(64 * 2**20)

    def act() -> None:
        with pytest.raises(InvalidRequest):
            with_manager(fleet, lambda manager: manager.publish(EVIL, "junk", junk))

    attacked(act).check()


@pytest.mark.fault(
    "300 connections to the metrics page of each process say nothing", "no error; the page answers"
)
def test_connections_to_the_metrics_that_say_nothing(fleet: Stack, attacked) -> None:
    pages = [page for process in fleet.processes.values() for page in metrics_of(process)]
    assert len(pages) == fleet.cells + 2

    def act() -> None:
        with ExitStack() as stack:
            for page in pages:
                for _ in range(300):
                    peer = stack.enter_context(socket.create_connection(page, timeout=5))
                    with suppress(OSError):
                        peer.sendall(b"GET /")
        for page in pages:
            wait_until(partial(is_page, page), "the page answers", timeout=30.0)

    attacked(act).check()


@pytest.mark.fault(
    "A tensor without a name is a row long and says that it has many", "INVALID_ARGUMENT, nobody's values"
)
def test_a_tensor_without_a_name(fleet: Stack, load) -> None:
    width = 16
    model = LinearRegression().fit(np.eye(width), np.eye(width))
    publish(fleet, EVIL, "identity", pack_linear(model))
    request = inference_pb2.ModelInferRequest(model_name="identity")
    request.inputs.add(datatype="FP32", shape=[width, 1])
    request.raw_input_contents.append(struct.pack(f"<{width}f", *range(width)))
    body = request.SerializeToString()
    with load() as seen:
        wait_until(
            lambda: "NOT_FOUND" not in attack(fleet.router, lambda c: [unary(c, INFER, body)]), "routed"
        )
        statuses = attack(fleet.router, lambda channel: [unary(channel, INFER, body) for _ in range(200)])
    assert statuses == {"INVALID_ARGUMENT": 200}
    seen.check()


@pytest.mark.fault("Garbage, HTTP/1.1 and half a handshake on every port", "no error")
def test_garbage_on_every_port(fleet: Stack, attacked) -> None:
    hellos = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes(1 << 16),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 4096,
    ]
    addresses = [process.address for name, process in fleet.processes.items() if name != "etcd"]

    def send(address: str, hello: bytes) -> None:
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=5) as peer:
            try:
                peer.sendall(hello)
                peer.settimeout(0.5)
                peer.recv(4096)
            except OSError:
                pass

    def act() -> None:
        with ThreadPoolExecutor(16) as pool:
            for address in addresses:
                list(pool.map(lambda hello, address=address: send(address, hello), hellos * 10))

    attacked(act).check()


@pytest.mark.fault("A thousand calls are begun and cancelled, again and again", "no error; memory stays")
def test_calls_that_are_cancelled(fleet: Stack, attacked) -> None:
    publish(fleet, EVIL, MODEL, TENANTS[0].artifact)

    async def run() -> None:
        async with AsyncClient(fleet.router, tenant=EVIL, retries=0) as client:
            for _ in range(3):
                calls = [asyncio.create_task(client.predict(MODEL, [1.0, 2.0])) for _ in range(1_000)]
                await asyncio.sleep(0)
                for call in calls:
                    call.cancel()
                await asyncio.gather(*calls, return_exceptions=True)

    attacked(lambda: asyncio.run(run())).check()


def is_page(address: tuple[str, int]) -> bool:
    try:
        return bool(page_of(address))
    except OSError:
        return False


def cell_address(stack: Stack) -> str:
    return stack.process(hand_of(stack, TENANTS[0].name)[0]).address
