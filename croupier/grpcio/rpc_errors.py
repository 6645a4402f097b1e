"""A failed call of grpcio as a class of `croupier.errors`."""

from __future__ import annotations

from collections.abc import Iterable

import grpc

from croupier.errors import CroupierError
from croupier.transport.status import DETAILS_KEY, to_error


def from_rpc_error(error: grpc.aio.AioRpcError | grpc.RpcError) -> CroupierError:
    """The error that a failed call's status stands for, with the call as its cause."""
    details = b""
    metadata: Iterable[tuple[str, str | bytes]] = error.trailing_metadata() or ()  # type: ignore[assignment]
    for key, value in metadata:
        if key == DETAILS_KEY and isinstance(value, bytes):
            details = value
    found = to_error(error.code().value[0], error.details() or "", details)
    found.__cause__ = error
    return found
