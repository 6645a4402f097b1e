"""A failed call of grpcio as a class of `croupier.errors`."""

from __future__ import annotations

import asyncio
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


def is_caller_cancelled(error: BaseException) -> bool:
    """Whether `error` is the cancellation of the task that runs.

    A channel that is closed under a call raises CancelledError too, in a task that nobody cancelled.
    """
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
