"""A failed call of grpcio as a class of `croupier.errors`."""

from __future__ import annotations

from collections.abc import Iterable

import grpc

from croupier.errors import CroupierError
from croupier.request_ids import REQUEST_ID, read
from croupier.transport.status import DETAILS_KEY, to_error


def from_rpc_error(error: grpc.aio.AioRpcError | grpc.RpcError) -> CroupierError:
    """The error that a failed call's status stands for, with the call as its cause."""
    details, request_id = b"", ""
    metadata: Iterable[tuple[str, str | bytes]] = error.trailing_metadata() or ()  # type: ignore[assignment]
    for key, value in metadata:
        if key == DETAILS_KEY and isinstance(value, bytes):
            details = value
        elif key == REQUEST_ID and isinstance(value, str):
            request_id = read([value.encode()])
    found = to_error(error.code().value[0], error.details() or "", details)
    if request_id and not found.request_id:
        found.request_id = request_id
    found.__cause__ = error
    return found
