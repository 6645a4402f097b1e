"""Bytes to protobuf and back, for handlers that take and give messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from croupier.errors import InvalidRequest
from croupier.transport.context import Context
from croupier.transport.routes import UnaryHandler
from croupier.weight import check_weight

_Request = TypeVar("_Request", bound=Message)


def on_bytes(
    request_type: type[_Request], handler: Callable[[_Request, Context], Awaitable[Message]]
) -> UnaryHandler:
    """The handler for the transport, which deals in bytes."""

    async def serve(data: bytes, context: Context) -> bytes:
        return (await handler(parsed(request_type, data), context)).SerializeToString()

    return serve


def parsed(request_type: type[_Request], data: bytes) -> _Request:
    """The message in `data`.

    Raises:
        InvalidRequest: there is none of that type, or one that would take far more memory than it has bytes.
    """
    check_weight(request_type, data)
    try:
        return request_type.FromString(data)
    except DecodeError as error:
        raise InvalidRequest("the request is not a valid protobuf message") from error
