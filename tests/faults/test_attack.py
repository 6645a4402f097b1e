"""Hostile callers, with and without a credential, and hostile models: nobody else notices.

Beside what callers meet, memory is watched: no process may take much more meanwhile, nor keep it.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
import struct
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from sklearn.linear_model import LinearRegression
from support.crash_cell import MARK, crashing
from support.fleet import eventually, publish
from support.graphs import centred, looping, matmul, packed, picky
from support.harm import error_of, hand_of, log_bytes
from support.load import MODEL, TENANTS, Tenant

from croupier.artifacts.packers.linear import pack_linear
from croupier.artifacts.packers.onnx import pack_onnx
from croupier_client import AsyncClient, Client
from croupierctl.stack import Stack
from croupierctl.stack_process import Process
from protos.inference.v2 import inference_pb2
from protos.versions.v1 import versions_pb2 as pb

EVIL = "evil"
_WATCH = "/grpc.health.v1.Health/Watch"
_REFLECT = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
_INFER = "/inference.GRPCInferenceService/ModelInfer"
_STREAM = "/croupier.prediction.v1.PredictionService/PredictStream"
_PUBLISH = "/croupier.versions.v1.VersionManager/Publish"
_METRICS = re.compile(r"metrics on http://([\d.]+):(\d+)/")
_MERGED = re.compile(r"^croupier_cell_merged_requests_total ([\d.e+]+)$", re.MULTILINE)
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
    name = MODEL.encode()
    body = b"\x0a" + bytes([len(name)]) + name + parts

    def act() -> None:
        statuses = attack(fleet.router, lambda channel: [unary(channel, _INFER, body) for _ in range(4)])
        # What is not looked at, since others of them are held, may come again.
        assert statuses.keys() <= {"INVALID_ARGUMENT", "UNAVAILABLE"}, statuses

    attacked(act).check()


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
        statuses = attack(fleet.router, lambda channel: [unary(channel, _INFER, body) for _ in range(20)])
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
            eventually(lambda: publish(fleet, one.name, MODEL, one.artifact) > 0, "others publish", 60.0)
            assert "OK" not in attacking.result()

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
            eventually(partial(is_page, page), "the page answers", timeout=30.0)

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
        eventually(
            lambda: "NOT_FOUND" not in attack(fleet.router, lambda c: [unary(c, _INFER, body)]), "routed"
        )
        statuses = attack(fleet.router, lambda channel: [unary(channel, _INFER, body) for _ in range(200)])
    assert statuses == {"INVALID_ARGUMENT": 200}
    seen.check()


@pytest.mark.fault(
    "A model ends every process that scores it",
    "its callers: INTERNAL or FAILED_PRECONDITION; others: no error",
)
def test_a_poisonous_model(fleet: Stack, load) -> None:
    publish(fleet, EVIL, "poison", crashing("poison", on_score="segv"))
    with load() as seen, Client(fleet.router, tenant=EVIL, retries=0) as client:
        await_routed(fleet, "poison", [0.0, 1.0])
        said = Counter(error_of(client, "poison", [MARK, 1.0]) for _ in range(50))
    assert said.keys() <= {"InternalError", "FailedPrecondition"}
    seen.check()


@pytest.mark.fault(
    "An ONNX model loops for ever, while others' ONNX models are asked",
    "its callers: DEADLINE_EXCEEDED, then FAILED_PRECONDITION; others: no error",
)
def test_a_model_that_never_ends(fleet: Stack, load) -> None:
    publish(fleet, EVIL, "endless", packed(looping()))
    hand = hand_of(fleet, EVIL)
    publish(fleet, EVIL, "table", picky())
    await_infer_routed(fleet, "table")
    await_infer_routed(fleet, "endless")
    before = {name: fleet.process(name).pid for name in hand}
    endless, table = tensor("endless", [1.0, 1.0]), tensor("table", [0.0, 1.0])
    said: Counter[str] = Counter()
    with load() as seen:
        for _ in range(10):
            said += attack(fleet.router, lambda one: [unary(one, _INFER, endless, 1.0) for _ in range(8)])
            assert attack(fleet.router, lambda one: [unary(one, _INFER, table)]) == {"OK": 1}
    assert said.keys() <= {"DEADLINE_EXCEEDED", "FAILED_PRECONDITION"}, said
    assert said["FAILED_PRECONDITION"] > 0
    assert before == {name: fleet.process(name).pid for name in hand}
    seen.check()


@pytest.mark.fault(
    "A model fails on its inputs, a thousand times",
    "its callers: an error; the logs stay small and hold no value",
)
def test_a_model_that_fails_on_its_inputs(fleet: Stack, load) -> None:
    publish(fleet, EVIL, "picky", picky())
    body = tensor("picky", [123_456.0, 123_456.0])
    with load() as seen:
        await_infer_routed(fleet, "picky")
        before = log_bytes(fleet)
        for _ in range(20):
            statuses = attack(fleet.router, lambda one: [unary(one, _INFER, body) for _ in range(50)])
            assert statuses == {"INTERNAL": 50}
        grown = log_bytes(fleet) - before
    logs = "".join(process.log.read_text(errors="replace") for process in fleet.processes.values())
    assert "123456" not in logs
    assert grown < 100_000
    seen.check()


@pytest.mark.fault(
    "An ONNX model takes a mean over the batch; two tenants have it, and keep 600 requests in flight",
    "no error, 0 wrong of 10,000; models whose rows are independent still share calls",
)
def test_rows_that_depend_on_each_other(fleet: Stack, load) -> None:
    hands: dict[frozenset[str], str] = {}
    # With six cells in three zones, there are eight hands of three.
    for name in (f"twin-{number}" for number in range(9)):
        hand = frozenset(hand_of(fleet, name))
        if hand in hands:
            twins = [hands[hand], name]
        hands[hand] = name
    for name, model in (("centred", centred()), ("apart", matmul())):
        for tenant in twins:
            publish(fleet, tenant, name, pack_onnx(model))
            eventually(
                lambda: (
                    attack(fleet.router, lambda one: [infer(one, tenant, name, np.ones((1, 2)))])  # noqa: B023
                    == {"OK": 1}
                ),
                "routed",
            )
    with load() as seen:
        for name, expected, is_merged in (
            ("centred", lambda rows: rows - rows.mean(axis=0), False),
            ("apart", lambda rows: np.repeat(rows.sum(axis=1, keepdims=True), 2, axis=1), True),
        ):
            before = merged(fleet)
            assert wrong_of(fleet, twins, name, expected, 10_000) == 0
            assert (merged(fleet) > before) is is_merged
    seen.check()


def wrong_of(
    stack: Stack,
    tenants: list[str],
    model: str,
    expected: Callable[[Any], Any],
    count: int,
    flying: int = 600,
) -> int:
    """How many of so many requests, of one to five rows, are not answered as `expected`."""
    rng = np.random.default_rng(1)
    asked = [rng.normal(size=(rng.integers(1, 6), 2)).astype(np.float32) for _ in range(count)]

    async def run() -> int:
        may = {tenant: asyncio.Semaphore(flying // len(tenants)) for tenant in tenants}

        async def is_wrong(number: int, rows: Any) -> bool:
            tenant = tenants[number % len(tenants)]
            async with may[tenant]:
                answer = await infer(channel, tenant, model, rows)
            told = inference_pb2.ModelInferResponse.FromString(answer)
            got = np.frombuffer(told.raw_output_contents[0], "<f4").reshape(rows.shape)
            return not np.allclose(got, expected(rows), rtol=0, atol=1e-5)

        async with grpc.aio.insecure_channel(stack.router) as channel:
            return sum(await asyncio.gather(*(is_wrong(*each) for each in enumerate(asked))))

    return asyncio.run(run())


def infer(channel: grpc.aio.Channel, tenant: str, model: str, rows: Any) -> Awaitable[Any]:
    request = inference_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="input", datatype="FP32", shape=rows.shape)
    request.raw_input_contents.append(np.asarray(rows, "<f4").tobytes())
    metadata = (("croupier-tenant", tenant),)
    return channel.unary_unary(_INFER)(request.SerializeToString(), timeout=30.0, metadata=metadata)


def merged(stack: Stack) -> float:
    """Requests that shared a scoring call, in all cells."""
    pages = [page_of(page) for process in stack.processes.values() for page in metrics_of(process)]
    return sum(float(found) for page in pages for found in _MERGED.findall(page))


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


def tensor(model: str, row: list[float]) -> bytes:
    """A ModelInferRequest of one row for the input `input`."""
    request = inference_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="input", datatype="FP32", shape=[1, len(row)])
    request.raw_input_contents.append(struct.pack(f"<{len(row)}f", *row))
    return request.SerializeToString()


def await_infer_routed(stack: Stack, model: str) -> None:
    body = tensor(model, [0.0, 0.0])
    eventually(lambda: attack(stack.router, lambda one: [unary(one, _INFER, body)]) == {"OK": 1}, "routed")


def metrics_of(process: Process) -> list[tuple[str, int]]:
    """Where a process serves its metrics, by its log."""
    found = _METRICS.findall(process.log.read_text(errors="replace"))
    return [(host, int(port)) for host, port in found[-1:]]


def is_page(address: tuple[str, int]) -> bool:
    try:
        return bool(page_of(address))
    except OSError:
        return False


def page_of(address: tuple[str, int]) -> str:
    host, port = address
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=2) as page:
        text: str = page.read().decode()
        return text


def await_routed(stack: Stack, model: str, row: list[float]) -> None:
    with Client(stack.router, tenant=EVIL) as client:
        eventually(lambda: error_of(client, model, row) != "NotFound", f"{model} is routed")


def cell_address(stack: Stack) -> str:
    return stack.process(hand_of(stack, TENANTS[0].name)[0]).address
