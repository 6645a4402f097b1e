"""Between the transport's bytes and protobuf's messages."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cell.codec.messages import on_bytes, parsed
from croupier.errors import InvalidRequest, NotFound
from croupier.weight import TooHeavy
from protos.inference.v2 import inference_pb2 as oip

CONTEXT: Any = object()


async def echo(request: oip.ModelMetadataRequest, context: Any) -> oip.ModelMetadataResponse:
    assert context is CONTEXT
    return oip.ModelMetadataResponse(name=request.name, platform="x")


async def test_a_handler_of_messages_takes_and_gives_bytes() -> None:
    serve = on_bytes(oip.ModelMetadataRequest, echo)
    answer = await serve(oip.ModelMetadataRequest(name="churn").SerializeToString(), CONTEXT)
    assert oip.ModelMetadataResponse.FromString(answer) == oip.ModelMetadataResponse(
        name="churn", platform="x"
    )
    # Nothing at all is a message, of nothing.
    assert oip.ModelMetadataResponse.FromString(await serve(b"", CONTEXT)).name == ""


async def test_a_handler_is_not_asked_with_what_is_no_message() -> None:
    asked = []

    async def never(request: Any, context: Any) -> Any:
        asked.append(request)

    for bad in (b"\xff", b"\x0a\x05abc", b"\x0a\x02\xff\xff"):
        with pytest.raises(InvalidRequest):
            await on_bytes(oip.ModelMetadataRequest, never)(bad, CONTEXT)
    assert asked == []


async def test_what_a_handler_raises_is_its_own() -> None:
    async def fails(request: Any, context: Any) -> Any:
        raise NotFound("no such model")

    with pytest.raises(NotFound, match="no such model"):
        await on_bytes(oip.ModelMetadataRequest, fails)(b"", CONTEXT)


async def test_a_handler_that_is_cancelled_is_cancelled() -> None:
    waits = asyncio.Event()

    async def wait(request: Any, context: Any) -> Any:
        await waits.wait()

    call = asyncio.ensure_future(on_bytes(oip.ModelMetadataRequest, wait)(b"", CONTEXT))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


def test_the_error_says_nothing_of_the_bytes() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(oip.ModelInferRequest, b"\x0a\x99secret")
    assert caught.value.message == "the request is not a valid protobuf message"


def test_a_message_of_many_empty_parts_is_refused_before_it_is_made() -> None:
    """Two bytes on the wire that are a hundred in memory."""
    with pytest.raises(TooHeavy):
        parsed(oip.ModelInferRequest, b"\x2a\x00" * 1_000_000)
    few = parsed(oip.ModelInferRequest, b"\x2a\x00" * 10)
    assert len(few.inputs) == 10


@given(st.binary(max_size=80))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        found = parsed(oip.ModelInferRequest, data)
    except InvalidRequest:
        return
    assert found == oip.ModelInferRequest.FromString(data)
