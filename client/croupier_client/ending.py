"""How the server ended a call that was sending, even when grpcio says something else.

When a server ends a call while a request of its stream is being written, grpc.aio replaces the
server's status with INTERNAL "Internal error from Core" (grpc/grpc#36066; seen up to grpcio 1.85).
The done callbacks run for each status that is set, so the server's own can be seen passing by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import grpc

from croupier_client.errors import CroupierError, Unavailable
from croupier_client.status import from_rpc_error

_REPLACED = "Internal error from Core"
# The two statuses come from one packet; what does not come with it does not come at all.
_PATIENCE = 1.0


class Ending:
    """Watches `call` from its beginning."""

    def __init__(self, call: Any) -> None:
        self._seen: asyncio.Future[CroupierError] = asyncio.get_running_loop().create_future()
        call.add_done_callback(self._note)

    async def error(self, shown: grpc.aio.AioRpcError) -> CroupierError:
        """The server's error, where the call has shown `shown`."""
        if shown.details() != _REPLACED:
            return from_rpc_error(shown)
        await asyncio.wait([self._seen], timeout=_PATIENCE)
        if self._seen.done():
            return self._seen.result()
        return Unavailable("the connection broke while a request was being sent")

    def _note(self, call: Any) -> None:
        code, details = _now(call.code()), _now(call.details())
        if self._seen.done() or details == _REPLACED:
            return
        if code is grpc.StatusCode.OK:
            self._seen.set_result(ended_early())
            return
        empty = grpc.aio.Metadata()
        trailing = _now(call.trailing_metadata()) or empty
        self._seen.set_result(from_rpc_error(grpc.aio.AioRpcError(code, empty, trailing, details)))


def ended_early() -> Unavailable:
    """The error for a call that ended well, and too soon."""
    return Unavailable("the server ended the stream before it had answered")


def _now(value: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that has nothing to wait for: the call has its status."""
    try:
        value.send(None)
    except StopIteration as end:
        return end.value
    value.close()
    return None
