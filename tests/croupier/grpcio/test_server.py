"""A server as a real gRPC client sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from support.certificates import Authority

from croupier import errors
from croupier.grpcio.channels import credentials, open_async
from croupier.grpcio.rpc_errors import from_rpc_error
from croupier.grpcio.server import Server
from croupier.settings import InvalidSettings, ServerTls
from protos.prediction.v1 import prediction_pb2 as pb
from protos.prediction.v1 import prediction_pb2_grpc

SERVICE = "test.Echo"
KINDS = ["UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream"]
UNDECODABLE = b"\xff\xff\xff"
MAX_BYTES = 10_000

FAILURES: dict[str, Exception] = {
    "foreign": RuntimeError("a secret"),
    "missing": errors.NotFound("no such model", model="churn"),
    "invalid": errors.InvalidRequest("a is empty", field="a"),
    "busy": errors.Unavailable("busy", retry_after=0.5),
    "internal": errors.InternalError("crashed", reason="CRASH"),
    "quota": errors.QuotaExceeded("too many", retry_after=2.0),
    "long": errors.InvalidRequest("é" * 20_000, field="f" * 20_000),
}


def reply(item: pb.Item) -> pb.Item:
    if item.model in FAILURES:
        raise FAILURES[item.model]
    return pb.Item(model=item.model * 2)


class Echo:
    """One method of each kind. A model called `hang` is answered when released, `abort` is aborted."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.release = asyncio.Event()
        self.ended = asyncio.Event()

    async def unary_unary(self, item: pb.Item, context: Any) -> pb.Item:
        if item.model == "abort":
            await context.abort(grpc.StatusCode.OUT_OF_RANGE, "aborted by the handler")
        if item.model == "hang":
            await self._hang()
        return reply(item)

    async def unary_stream(self, item: pb.Item, context: Any) -> AsyncIterator[pb.Item]:
        yield pb.Item(model="first")
        if item.model == "hang":
            await self._hang()
        yield reply(item)

    async def stream_unary(self, items: AsyncIterator[pb.Item], context: Any) -> pb.Item:
        return pb.Item(model="".join([reply(item).model async for item in items]))

    async def stream_stream(self, items: AsyncIterator[pb.Item], context: Any) -> AsyncIterator[pb.Item]:
        async for item in items:
            yield reply(item)

    async def _hang(self) -> None:
        self.began.set()
        try:
            await self.release.wait()
        finally:
            self.ended.set()

    def handler(self) -> grpc.GenericRpcHandler:
        decode, encode = pb.Item.FromString, pb.Item.SerializeToString
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "UnaryUnary": grpc.unary_unary_rpc_method_handler(self.unary_unary, decode, encode),
                "UnaryStream": grpc.unary_stream_rpc_method_handler(self.unary_stream, decode, encode),
                "StreamUnary": grpc.stream_unary_rpc_method_handler(self.stream_unary, decode, encode),
                "StreamStream": grpc.stream_stream_rpc_method_handler(self.stream_stream, decode, encode),
            },
        )


class House:
    """A server that runs, and a channel to it."""

    def __init__(self) -> None:
        self.echo = Echo()
        self.server = Server(max_message_bytes=MAX_BYTES)
        self.server.grpc_server.add_generic_rpc_handlers((self.echo.handler(),))

    async def open(self, stack: AsyncExitStack) -> House:
        self.address = await self.server.start("127.0.0.1:0", [SERVICE])
        stack.push_async_callback(self.server.stop, 0)
        self.channel = await stack.enter_async_context(open_async(self.address))
        return self

    async def call(self, kind: str, *requests: bytes) -> list[str]:
        """The models of the responses to serialized requests."""
        decode = pb.Item.FromString
        path = f"/{SERVICE}/{kind}"

        async def stream() -> AsyncIterator[bytes]:
            for request in requests:
                yield request

        match kind:
            case "UnaryUnary":
                unary = self.channel.unary_unary(path, None, decode)
                return [(await unary(requests[0], timeout=5)).model]
            case "UnaryStream":
                streaming = self.channel.unary_stream(path, None, decode)
                return [item.model async for item in streaming(requests[0], timeout=5)]
            case "StreamUnary":
                collecting = self.channel.stream_unary(path, None, decode)
                return [(await collecting(stream(), timeout=5)).model]
            case _:
                both = self.channel.stream_stream(path, None, decode)
                return [item.model async for item in both(stream(), timeout=5)]

    async def error(self, kind: str, *requests: bytes) -> tuple[grpc.StatusCode, errors.CroupierError]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(kind, *requests)
        found = from_rpc_error(caught.value)
        assert isinstance(found, errors.CroupierError)
        return caught.value.code(), found


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        yield await House().open(stack)


def item(model: str) -> bytes:
    return pb.Item(model=model).SerializeToString()


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("UnaryUnary", ["aa"]),
        ("UnaryStream", ["first", "aa"]),
        ("StreamUnary", ["aa"]),
        ("StreamStream", ["aa"]),
    ],
)
async def test_all_kinds_of_calls_work(house: House, kind: str, answer: list[str]) -> None:
    assert answer == await house.call(kind, item("a"))


@pytest.mark.parametrize("kind", KINDS)
async def test_an_undecodable_request_is_the_callers_fault(house: House, kind: str) -> None:
    code, error = await house.error(kind, UNDECODABLE)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert type(error) is errors.InvalidRequest
    assert error.message == "the request is not a valid protobuf message"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_string_that_is_not_utf8_is_the_callers_fault(house: House, kind: str) -> None:
    code, _ = await house.error(kind, b"\x0a\x02\xff\xfe")
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_undecodable_request_in_the_middle_of_a_stream(house: House) -> None:
    code, _ = await house.error("StreamStream", item("a"), UNDECODABLE)
    assert code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("kind", KINDS)
async def test_a_foreign_exception_is_internal_without_its_text(
    house: House, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    code, error = await house.error(kind, item("foreign"))
    assert code is grpc.StatusCode.INTERNAL
    assert error.message == "internal error"
    assert "a secret" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("missing", grpc.StatusCode.NOT_FOUND),
        ("invalid", grpc.StatusCode.INVALID_ARGUMENT),
        ("busy", grpc.StatusCode.UNAVAILABLE),
        ("internal", grpc.StatusCode.INTERNAL),
        ("quota", grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
async def test_an_error_arrives_as_it_was_raised(
    house: House, kind: str, model: str, code: grpc.StatusCode
) -> None:
    got, error = await house.error(kind, item(model))
    assert got is code
    assert type(error) is type(FAILURES[model])
    assert vars(error).pop("request_id")
    assert vars(error) == vars(FAILURES[model])


async def test_only_our_own_faults_are_logged(house: House, caplog: pytest.LogCaptureFixture) -> None:
    await house.error("UnaryUnary", item("missing"))
    assert not caplog.records
    await house.error("UnaryUnary", item("internal"))
    assert "a request failed inside" in caplog.text


@pytest.mark.parametrize("kind", KINDS)
async def test_a_long_text_does_not_burst_the_trailing_metadata(house: House, kind: str) -> None:
    code, error = await house.error(kind, item("long"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.message.startswith("ééé")


async def test_a_handlers_own_abort_is_left_alone(house: House) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.call("UnaryUnary", item("abort"))
    assert (caught.value.code(), caught.value.details()) == (
        grpc.StatusCode.OUT_OF_RANGE,
        "aborted by the handler",
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_an_oversized_message(house: House, kind: str) -> None:
    code, error = await house.error(kind, item("a" * (MAX_BYTES + 1)))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert type(error) is errors.TooLarge


async def test_an_unknown_method(house: House) -> None:
    code, error = await house.error("NoSuchMethod", item("a"))
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert type(error) is errors.Unimplemented


@pytest.mark.parametrize("kind", ["UnaryUnary", "UnaryStream"])
async def test_a_caller_that_hangs_up_ends_the_handler(house: House, kind: str) -> None:
    method = getattr(house.channel, "unary_unary" if kind == "UnaryUnary" else "unary_stream")
    call = method(f"/{SERVICE}/{kind}")(item("hang"), timeout=30)
    async with asyncio.timeout(5):
        await house.echo.began.wait()
        call.cancel()
        await house.echo.ended.wait()


async def test_a_deadline_ends_the_handler(house: House) -> None:
    method = house.channel.unary_unary(f"/{SERVICE}/UnaryUnary", None, pb.Item.FromString)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await method(item("hang"), timeout=0.05)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(5):
        await house.echo.ended.wait()


SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class TestHealth:
    @pytest.mark.parametrize("service", ["", SERVICE])
    async def test_check(self, house: House, service: str) -> None:
        stub: Any = health_pb2_grpc.HealthStub(house.channel)
        response = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
        assert response.status == SERVING

    async def test_an_unknown_service(self, house: House) -> None:
        stub: Any = health_pb2_grpc.HealthStub(house.channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="no.Such"), timeout=5)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    async def test_watch_sees_the_stop(self, house: House) -> None:
        stub: Any = health_pb2_grpc.HealthStub(house.channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE), timeout=10)
        assert (await watch.read()).status == SERVING
        stopping = asyncio.create_task(house.server.stop(5))
        assert (await watch.read()).status == NOT_SERVING
        watch.cancel()
        await stopping


async def test_a_stop_lets_running_calls_end(house: House) -> None:
    call = asyncio.create_task(house.call("UnaryUnary", item("hang")))
    async with asyncio.timeout(5):
        await house.echo.began.wait()
        stopping = asyncio.create_task(house.server.stop(5))
        house.echo.release.set()
        assert await call == ["hanghang"]
        await stopping


async def test_reflection_tells_services_and_messages(house: House) -> None:
    server = Server()
    prediction_pb2_grpc.add_PredictionServiceServicer_to_server(  # type: ignore[no-untyped-call]
        prediction_pb2_grpc.PredictionServiceServicer(), server.grpc_server
    )
    name = "croupier.prediction.v1.PredictionService"
    address = await server.start("127.0.0.1:0", [name])
    request = reflection_pb2.ServerReflectionRequest
    async with open_async(address) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(
            iter([request(list_services=""), request(file_containing_symbol=name)]), timeout=5
        )
        listed, file = [response async for response in call]
    await server.stop(0)
    assert {name, "grpc.health.v1.Health"} < {s.name for s in listed.list_services_response.service}
    (descriptor,) = file.file_descriptor_response.file_descriptor_proto
    assert b"PredictionService" in descriptor


class TestBinding:
    async def test_an_address_in_use(self, house: House) -> None:
        other = Server()
        with pytest.raises(InvalidSettings, match=f"cannot serve on {house.address}"):
            await other.start(house.address, [])
        await other.stop(0)

    @pytest.mark.parametrize("listen", ["nonsense", "256.1.1.1:0", "127.0.0.1:99999"])
    async def test_no_address(self, listen: str) -> None:
        server = Server()
        with pytest.raises(InvalidSettings, match=f"cannot serve on {listen}"):
            await server.start(listen, [])
        await server.stop(0)

    async def test_a_unix_socket(self, tmp_path: Path) -> None:
        server = Server()
        address = f"unix:{tmp_path}/s"
        assert address == await server.start(address, [])
        async with open_async(address) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            assert (await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)).status == SERVING
        await server.stop(0)


async def check(address: str, tls: grpc.ChannelCredentials | None) -> int:
    async with open_async(address, tls) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        status: int = (await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)).status
        return status


class TestTls:
    async def test_server_certificate(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        pair = authority.issue("server")
        server = Server()
        address = await server.start("127.0.0.1:0", [], ServerTls(pair.certificate, pair.key))
        assert await check(address, credentials(authority.certificate)) == SERVING
        stranger = Authority(tmp_path, "stranger")
        for tls in (None, credentials(stranger.certificate)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await check(address, tls)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        await server.stop(0)

    async def test_callers_certificates(self, tmp_path: Path) -> None:
        authority, stranger = Authority(tmp_path), Authority(tmp_path, "stranger")
        pair, caller, impostor = authority.issue("server"), authority.issue("a"), stranger.issue("b")
        server = Server()
        tls = ServerTls(pair.certificate, pair.key, authority.certificate)
        address = await server.start("127.0.0.1:0", [], tls)
        ca = authority.certificate
        assert await check(address, credentials(ca, caller.certificate, caller.key)) == SERVING
        for bad in (credentials(ca), credentials(ca, impostor.certificate, impostor.key)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await check(address, bad)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        await server.stop(0)

    async def test_files_that_cannot_be_used(self, tmp_path: Path) -> None:
        pair, other = Authority(tmp_path).issue("server"), Authority(tmp_path).issue("other")
        junk, absent = tmp_path / "junk", tmp_path / "absent"
        junk.write_text("not a certificate")
        for tls in (
            ServerTls(junk, pair.key),
            ServerTls(absent, pair.key),
            ServerTls(pair.certificate, other.key),
            ServerTls(pair.certificate, pair.key, junk),
            ServerTls(pair.certificate, pair.key, absent),
        ):
            server = Server()
            with pytest.raises(InvalidSettings, match="cannot use the TLS files"):
                await server.start("127.0.0.1:0", [], tls)
            await server.stop(0)
