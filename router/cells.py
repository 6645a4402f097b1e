"""Connections to cells: one multiplexed channel to each, raw bytes both ways.

Channels follow the view: opened when a cell appears, replaced when its address changes, kept when it
departs (see `view.py`), closed when the view drops it. Calls under way on a replaced channel end in
peace first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc

from croupier.client.rpc_errors import from_rpc_error, is_caller_cancelled
from croupier.transport.status import DETAILS_KEY
from router.attempt import CellUnreachable
from router.view import KnownCell

MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
MODEL_METADATA = "/inference.GRPCInferenceService/ModelMetadata"
PREDICT = "/croupier.prediction.v1.PredictionService/Predict"

_RETRY_AFTER = 0.25


@dataclass(slots=True)
class _Line:
    address: str
    channel: grpc.aio.Channel
    methods: dict[str, Any] = field(default_factory=dict)

    def method(self, path: str) -> Any:
        if path not in self.methods:
            self.methods[path] = self.channel.unary_unary(path)
        return self.methods[path]


class Cells:
    """`open_channel` makes the channel to host:port; `grace`: seconds for calls on a channel that closes."""

    def __init__(self, open_channel: Callable[[str], grpc.aio.Channel], *, grace: float = 30.0) -> None:
        self._open = open_channel
        self._grace = grace
        self._lines: dict[str, _Line] = {}
        self._closing: dict[asyncio.Task[None], grpc.aio.Channel] = {}

    def update(self, cells: Mapping[str, KnownCell]) -> set[str]:
        """Follow the view; returns the cells whose connection is another one than before."""
        wanted = {name: known.cell.address for name, known in cells.items() if known.cell.address}
        old = {name for name, line in self._lines.items() if wanted.get(name) != line.address}
        for name in old:
            self._close_in_peace(self._lines.pop(name))
        for name in wanted.keys() - self._lines.keys():
            self._lines[name] = _Line(wanted[name], self._open(wanted[name]))
        return old

    async def call(self, path: str, cell: str, request: bytes, timeout: float | None) -> bytes:
        """Call the method at `path`; `timeout` in seconds.

        Raises:
            CellUnreachable: no connection, or it broke.
            CroupierError: what the cell said.
        """
        line = self._lines.get(cell)
        if line is None:
            raise CellUnreachable("the cell is not connected", retry_after=_RETRY_AFTER)
        try:
            response: bytes = await line.method(path)(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise _translate(error) from error
        except (asyncio.CancelledError, grpc.aio.UsageError) as error:
            # A channel that closes cancels its calls: that is not our caller hanging up.
            if is_caller_cancelled(error):
                raise
            raise CellUnreachable("the connection was closed", retry_after=_RETRY_AFTER) from error
        return response

    async def close(self) -> None:
        """Close every channel now; calls under way end as unreachable."""
        channels = [*self._closing.values(), *(line.channel for line in self._lines.values())]
        self._lines.clear()
        waiting = list(self._closing)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.gather(*(channel.close() for channel in channels))

    def _close_in_peace(self, line: _Line) -> None:
        task = asyncio.create_task(line.channel.close(self._grace), name=f"close {line.address}")
        self._closing[task] = line.channel
        task.add_done_callback(self._closing.pop)


def _translate(error: grpc.aio.AioRpcError) -> Exception:
    """A cell puts details into each status; one without them comes from the connection."""
    said_by_cell = any(key == DETAILS_KEY for key, _ in error.trailing_metadata() or ())
    if not said_by_cell and error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return CellUnreachable("the cell cannot be reached", retry_after=_RETRY_AFTER)
    return from_rpc_error(error)
