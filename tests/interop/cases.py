"""gRPC's interoperability cases, as the procedures of grpc/grpc, doc/interop-test-descriptions.md.

A case drives a `Caller`, of which there is one for our client and one for grpcio's. It raises
AssertionError, or RpcError for a call that should have gone well. Ours compresses nothing, in either role, so
the cases where the client or the server has to are apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from croupier.codes import Code
from croupier.transport.metadata import Pairs
from croupier.transport.status import RpcError

from . import testing_pb2 as pb
from .messages import (
    CLIENT_STREAM,
    ECHO_INITIAL,
    ECHO_TRAILING,
    EMPTY,
    FULL_DUPLEX,
    SERVER_STREAM,
    UNARY,
    UNIMPLEMENTED_METHOD,
    UNIMPLEMENTED_SERVICE,
    Method,
    flag,
    noise,
    wanted,
    zeros,
)

REQUEST_BYTES, RESPONSE_BYTES = 271_828, 314_159
REQUEST_SIZES = (27_182, 8, 1_828, 45_904)
RESPONSE_SIZES = (31_415, 9, 2_653, 58_979)
ECHO: Pairs = ((ECHO_INITIAL, "test_initial_metadata_value"), (ECHO_TRAILING, b"\xab\xab\xab"))
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"


class Conversation(Protocol):
    """A call of any kind, message by message. Everything but `cancel` raises RpcError when it has failed."""

    async def send(self, request: Any) -> None: ...
    async def end(self) -> None: ...
    async def receive(self) -> Any:
        """The next response; None after the last one, if the call ended well."""

    async def initial_metadata(self) -> Pairs: ...
    async def trailing_metadata(self) -> Pairs: ...
    def cancel(self) -> None: ...


class Caller(Protocol):
    """A client of one server."""

    async def unary(self, method: Method, request: Any) -> Any: ...
    def open(self, method: Method, *, metadata: Pairs = (), timeout: float | None = None) -> Conversation: ...


class CompressingCaller(Caller, Protocol):
    """One that compresses what it sends where it is asked to."""

    async def unary(self, method: Method, request: Any, *, compress: bool = False) -> Any: ...
    def open(
        self, method: Method, *, metadata: Pairs = (), timeout: float | None = None, compress: bool = False
    ) -> Conversation: ...


Case = Callable[[Caller], Awaitable[None]]


async def empty_unary(caller: Caller) -> None:
    assert pb.Empty() == await caller.unary(EMPTY, pb.Empty())


async def large_unary(caller: Caller) -> None:
    request = pb.SimpleRequest(response_size=RESPONSE_BYTES, payload=zeros(REQUEST_BYTES))
    assert pb.SimpleResponse(payload=zeros(RESPONSE_BYTES)) == await caller.unary(UNARY, request)


async def client_compressed_unary(caller: CompressingCaller) -> None:
    def request(expected: bool) -> pb.SimpleRequest:
        return pb.SimpleRequest(
            expect_compressed=flag(expected), response_size=RESPONSE_BYTES, payload=zeros(REQUEST_BYTES)
        )

    await _failure(Code.INVALID_ARGUMENT, caller.unary(UNARY, request(True)))
    for compress in (True, False):
        response = await caller.unary(UNARY, request(compress), compress=compress)
        assert pb.SimpleResponse(payload=zeros(RESPONSE_BYTES)) == response


async def server_compressed_unary(caller: Caller) -> None:
    for compressed in (True, False):
        request = pb.SimpleRequest(
            response_compressed=flag(compressed), response_size=RESPONSE_BYTES, payload=zeros(REQUEST_BYTES)
        )
        assert pb.SimpleResponse(payload=zeros(RESPONSE_BYTES)) == await caller.unary(UNARY, request)


async def client_streaming(caller: Caller) -> None:
    requests = [pb.StreamingInputCallRequest(payload=zeros(size)) for size in REQUEST_SIZES]
    expected = [pb.StreamingInputCallResponse(aggregated_payload_size=74_922)]
    assert expected == await _converse(caller.open(CLIENT_STREAM), requests)


async def client_compressed_streaming(caller: CompressingCaller) -> None:
    compressed = pb.StreamingInputCallRequest(expect_compressed=flag(True), payload=zeros(27_182))
    # The payload is noise, because grpcio's client leaves a message as it is only if that is shorter.
    plain = pb.StreamingInputCallRequest(expect_compressed=flag(False), payload=noise(45_904))
    await _failure(Code.INVALID_ARGUMENT, _converse(caller.open(CLIENT_STREAM), [compressed]))
    conversation = caller.open(CLIENT_STREAM, compress=True)
    await conversation.send(compressed)
    await conversation.send(plain)
    expected = [pb.StreamingInputCallResponse(aggregated_payload_size=73_086)]
    assert expected == await _converse(conversation, [])


async def server_streaming(caller: Caller) -> None:
    request = pb.StreamingOutputCallRequest(response_parameters=map(wanted, RESPONSE_SIZES))
    expected = [pb.StreamingOutputCallResponse(payload=zeros(size)) for size in RESPONSE_SIZES]
    assert expected == await _converse(caller.open(SERVER_STREAM), [request])


async def server_compressed_streaming(caller: Caller) -> None:
    request = pb.StreamingOutputCallRequest(response_parameters=[wanted(31_415, True), wanted(92_653, False)])
    expected = [pb.StreamingOutputCallResponse(payload=zeros(size)) for size in (31_415, 92_653)]
    assert expected == await _converse(caller.open(SERVER_STREAM), [request])


async def ping_pong(caller: Caller) -> None:
    conversation = caller.open(FULL_DUPLEX)
    for request_size, size in zip(REQUEST_SIZES, RESPONSE_SIZES, strict=True):
        await conversation.send(_duplex_request(request_size, size))
        assert pb.StreamingOutputCallResponse(payload=zeros(size)) == await conversation.receive()
    assert not await _converse(conversation, [])


async def empty_stream(caller: Caller) -> None:
    assert not await _converse(caller.open(FULL_DUPLEX), [])


async def custom_metadata(caller: Caller) -> None:
    unary = pb.SimpleRequest(response_size=RESPONSE_BYTES, payload=zeros(REQUEST_BYTES))
    for method, request in ((UNARY, unary), (FULL_DUPLEX, _duplex_request(REQUEST_BYTES, RESPONSE_BYTES))):
        conversation = caller.open(method, metadata=ECHO)
        assert [method.response(payload=zeros(RESPONSE_BYTES))] == await _converse(conversation, [request])
        assert ECHO[0] in await conversation.initial_metadata()
        assert ECHO[1] in await conversation.trailing_metadata()


async def status_code_and_message(caller: Caller) -> None:
    status = pb.EchoStatus(code=Code.UNKNOWN, message="test status message")
    unary = caller.unary(UNARY, pb.SimpleRequest(response_status=status))
    assert status.message == await _failure(Code.UNKNOWN, unary)
    request = pb.StreamingOutputCallRequest(response_status=status)
    duplex = _converse(caller.open(FULL_DUPLEX), [request])
    assert status.message == await _failure(Code.UNKNOWN, duplex)


async def special_status_message(caller: Caller) -> None:
    status = pb.EchoStatus(code=Code.UNKNOWN, message=SPECIAL)
    call = caller.unary(UNARY, pb.SimpleRequest(response_status=status))
    assert status.message == await _failure(Code.UNKNOWN, call)


async def unimplemented_method(caller: Caller) -> None:
    await _failure(Code.UNIMPLEMENTED, caller.unary(UNIMPLEMENTED_METHOD, pb.Empty()))


async def unimplemented_service(caller: Caller) -> None:
    await _failure(Code.UNIMPLEMENTED, caller.unary(UNIMPLEMENTED_SERVICE, pb.Empty()))


async def cancel_after_begin(caller: Caller) -> None:
    conversation = caller.open(CLIENT_STREAM)
    conversation.cancel()
    await _failure(Code.CANCELLED, conversation.receive())


async def cancel_after_first_response(caller: Caller) -> None:
    conversation = caller.open(FULL_DUPLEX)
    await conversation.send(_duplex_request(27_182, 31_415))
    assert pb.StreamingOutputCallResponse(payload=zeros(31_415)) == await conversation.receive()
    conversation.cancel()
    await _failure(Code.CANCELLED, conversation.receive())


async def timeout_on_sleeping_server(caller: Caller, timeout: float = 0.001) -> None:
    async def converse() -> None:
        conversation = caller.open(FULL_DUPLEX, timeout=timeout)
        await conversation.send(pb.StreamingOutputCallRequest(payload=zeros(27_182)))
        await conversation.receive()

    await _failure(Code.DEADLINE_EXCEEDED, converse())


async def concurrent_large_unary(caller: Caller, calls: int = 1000) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(calls):
            group.create_task(large_unary(caller))


CASES: dict[str, Case] = {
    case.__name__: case
    for case in (
        empty_unary,
        large_unary,
        client_streaming,
        server_streaming,
        ping_pong,
        empty_stream,
        custom_metadata,
        status_code_and_message,
        special_status_message,
        unimplemented_method,
        unimplemented_service,
        cancel_after_begin,
        cancel_after_first_response,
        timeout_on_sleeping_server,
        concurrent_large_unary,
    )
}
SERVER_COMPRESSES: dict[str, Case] = {
    case.__name__: case for case in (server_compressed_unary, server_compressed_streaming)
}
CLIENT_COMPRESSES: dict[str, Callable[[CompressingCaller], Awaitable[None]]] = {
    case.__name__: case for case in (client_compressed_unary, client_compressed_streaming)
}


def _duplex_request(size: int, response_size: int) -> pb.StreamingOutputCallRequest:
    return pb.StreamingOutputCallRequest(response_parameters=[wanted(response_size)], payload=zeros(size))


async def _converse(conversation: Conversation, requests: list[Any]) -> list[Any]:
    """Send `requests`, half-close, and receive every response."""
    for request in requests:
        await conversation.send(request)
    await conversation.end()
    responses = []
    while (response := await conversation.receive()) is not None:
        responses.append(response)
    return responses


async def _failure(code: int, call: Awaitable[Any]) -> str:
    """The message of the status `code` that `call` ends with."""
    try:
        response = await call
    except RpcError as error:
        if error.code != code:
            raise
        return error.message
    raise AssertionError(f"the call ended well: {str(response)[:100]}")
