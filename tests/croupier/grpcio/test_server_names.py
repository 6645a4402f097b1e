"""What a call is called, and traced as: the caller's word or ours, in the answer and for the handler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from random import Random
from typing import Any

import grpc
import pytest

from croupier import request_ids
from croupier.errors import CroupierError, NotFound
from croupier.grpcio.channels import open_async
from croupier.grpcio.rpc_errors import from_rpc_error
from croupier.grpcio.server import Server
from croupier.request_ids import REQUEST_ID
from croupier.telemetry import traces
from croupier.telemetry.traces import Kind, Span, Tracer
from croupier.transport.status import RpcError, from_error, request_info

UNARY, STREAM = "/test.Named/Unary", "/test.Named/Stream"
TRACE, SPAN = 7, 9


class House:
    """A server that runs, and a channel to it; a request `missing` fails, and `hang` waits for ever."""

    def __init__(self) -> None:
        self.server = Server()
        self.began = asyncio.Event()
        # What the last call was called, and traced as.
        self.known: tuple[str, Span | None] = ("", None)
        methods = {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "Stream": grpc.unary_stream_rpc_method_handler(self.stream),
        }
        handler = grpc.method_handlers_generic_handler("test.Named", methods)
        self.server.grpc_server.add_generic_rpc_handlers((handler,))

    async def unary(self, request: bytes, context: Any) -> bytes:
        self.known = request_ids.current_id(), traces.current.get()
        self.began.set()
        if request == b"missing":
            raise NotFound("no such thing")
        if request == b"passes":
            status = from_error(NotFound("no such thing"))
            raise RpcError(status.code, status.message, status.details + request_info("theirs"))
        if request == b"hang":
            await asyncio.Event().wait()
        return request

    async def stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield await self.unary(request, context)

    async def ask(
        self, path: str, request: bytes = b"a", *pairs: tuple[str, str]
    ) -> tuple[list[str], CroupierError | None]:
        """The ids in the trailing metadata of a call with these metadata, and its error."""
        method = self.channel.unary_unary if path == UNARY else self.channel.unary_stream
        call: Any = method(path)(request, timeout=5, metadata=pairs)
        failure = None
        try:
            await call if path == UNARY else [one async for one in call]
        except grpc.aio.AioRpcError as error:
            failure = from_rpc_error(error)
        trailing: Any = await call.trailing_metadata()
        return [value for key, value in trailing if key == REQUEST_ID], failure


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    address = await house.server.start("127.0.0.1:0", [])
    async with open_async(address) as house.channel:
        yield house
    await house.server.stop(0)


@pytest.fixture
def spans(house: House) -> list[Span]:
    """Those that have ended."""
    ended: list[Span] = []
    house.server.tracer = Tracer(0.0, ended.append, rng=Random(1))
    return ended


def traceparent(flags: str = "01") -> tuple[str, str]:
    return "traceparent", f"00-{TRACE:032x}-{SPAN:016x}-{flags}"


@pytest.mark.parametrize("path", [UNARY, STREAM])
async def test_the_callers_id_is_in_the_answer_and_known_to_the_handler(house: House, path: str) -> None:
    assert await house.ask(path, b"a", (REQUEST_ID, "mine")) == (["mine"], None)
    assert house.known == ("mine", None)


async def test_who_gives_none_gets_one_of_ours(house: House) -> None:
    (first,), _ = await house.ask(UNARY)
    (second,), _ = await house.ask(UNARY)
    assert len({first, second, ""}) == 3
    assert house.known == (second, None)


@pytest.mark.parametrize("bad", ["two words", "x" * 129, ""])
async def test_one_that_is_no_word_is_none(house: House, bad: str) -> None:
    (made,), _ = await house.ask(UNARY, b"a", (REQUEST_ID, bad))
    assert made not in ("", bad)


async def test_two_are_none(house: House) -> None:
    (made,), _ = await house.ask(UNARY, b"a", (REQUEST_ID, "a"), (REQUEST_ID, "b"))
    assert made not in ("a", "b")


@pytest.mark.parametrize(("path", "line"), [(UNARY, "Unary NOT_FOUND"), (STREAM, "Stream NOT_FOUND")])
async def test_an_error_has_it_and_so_has_its_line(
    house: House, caplog: pytest.LogCaptureFixture, path: str, line: str
) -> None:
    seen: list[tuple[str, str]] = []
    caplog.handler.addFilter(lambda record: seen.append((record.msg, request_ids.current_id())) is None)
    caplog.set_level("INFO", "croupier.grpcio.server")
    ids, error = await house.ask(path, b"missing", (REQUEST_ID, "mine"))
    assert ids == ["mine"]
    assert error is not None
    assert error.request_id == "mine"
    assert seen == [(line, "mine")]


async def test_a_status_that_passes_through_stays_what_it_is(house: House) -> None:
    ids, error = await house.ask(UNARY, b"passes", (REQUEST_ID, "mine"))
    assert ids == ["mine"]
    assert error is not None
    assert error.request_id == "theirs"


async def test_a_call_that_is_traced_has_a_span_below_its_callers(house: House, spans: list[Span]) -> None:
    await house.ask(UNARY, b"a", traceparent(), (REQUEST_ID, "mine"))
    (span,) = spans
    assert (span.name, span.kind, span.code) == ("test.Named/Unary", Kind.SERVER, 0)
    assert (span.trace_id, span.parent_id) == (TRACE, SPAN)
    assert span.attributes == {"croupier.request_id": "mine"}
    assert house.known == ("mine", span)


async def test_a_span_ends_with_the_code(house: House, spans: list[Span]) -> None:
    await house.ask(UNARY, b"missing", traceparent())
    assert [span.code for span in spans] == [grpc.StatusCode.NOT_FOUND.value[0]]


async def test_a_caller_that_hangs_up_ends_its_span(house: House, spans: list[Span]) -> None:
    call = house.channel.unary_unary(UNARY)(b"hang", timeout=30, metadata=(traceparent(),))
    async with asyncio.timeout(5):
        await house.began.wait()
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
        while not spans:
            await asyncio.sleep(0)
    assert [span.code for span in spans] == [grpc.StatusCode.CANCELLED.value[0]]


async def test_who_is_not_sampled_has_no_span(house: House, spans: list[Span]) -> None:
    await house.ask(UNARY, b"a", traceparent("00"))
    assert (spans, house.known[1]) == ([], None)


async def test_what_streams_its_answer_has_no_span(house: House, spans: list[Span]) -> None:
    await house.ask(STREAM, b"a", traceparent())
    assert (spans, house.known[1]) == ([], None)
