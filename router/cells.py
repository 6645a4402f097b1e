"""Connections to cells: one multiplexed channel to each, raw bytes both ways.

Channels follow the view: opened when a cell appears, replaced when its address changes, kept when it
departs (see `view.py`), closed when the view drops it. Calls under way on a replaced channel end in
peace first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from croupier import protocol
from croupier.codes import Code
from croupier.errors import CroupierError, Unavailable
from croupier.stores.feature_store import StoreDown
from croupier.transport.client import Channel
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.status import to_error
from router.attempt import CellCall
from router.losses import CellLost, CellUnreachable
from router.pushbacks import seconds_of
from router.stale import StaleMap
from router.view import KnownCell

MODEL_INFER = b"/inference.GRPCInferenceService/ModelInfer"
MODEL_METADATA = b"/inference.GRPCInferenceService/ModelMetadata"
PREDICT = b"/croupier.prediction.v1.PredictionService/Predict"

_PUSHBACK = b"grpc-retry-pushback-ms"
_RETRY_AFTER = 0.25

# As they go on the wire.
Metadata: TypeAlias = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class _Connection:
    address: str
    channel: Channel


class Cells:
    """`open_channel` makes the channel to a cell, from its id and host:port; `grace` is how many seconds
    the calls on a channel that closes may take."""

    def __init__(self, open_channel: Callable[[str, str], Channel], *, grace: float = 30.0) -> None:
        self._open = open_channel
        self._grace = grace
        self._connections: dict[str, _Connection] = {}
        # What each announced that it speaks.
        self._protocols: dict[str, int] = {}
        self._closing: dict[asyncio.Task[None], Channel] = {}

    def update(self, cells: Mapping[str, KnownCell]) -> set[str]:
        """Follow the view; returns the cells whose connection is another one than before."""
        wanted = {name: known.cell.address for name, known in cells.items() if known.cell.address}
        self._protocols = {name: known.cell.protocol for name, known in cells.items()}
        old = {name for name, held in self._connections.items() if wanted.get(name) != held.address}
        for name in old:
            self._close_in_peace(self._connections.pop(name))
        for name in wanted.keys() - self._connections.keys():
            channel = self._open(name, wanted[name])
            channel.on_begun = _begin
            self._connections[name] = _Connection(wanted[name], channel)
        return old

    def protocol(self, cell: str) -> int:
        """What the cell speaks: which fields it may be told."""
        return self._protocols.get(cell, protocol.FIRST)

    def connection(self, cell: str) -> tuple[str, int]:
        """How the channel to a cell stands, in words, and how many calls are under way on it."""
        held = self._connections.get(cell)
        return ("none", 0) if held is None else (held.channel.state, held.channel.calls)

    def start(
        self, path: bytes, call: CellCall, request: bytes, timeout: float | None, metadata: Metadata = ()
    ) -> ClientCall:
        """Call the method at `path` for `call`, which is told how it ends; `metadata` go with it.

        `timeout` in seconds is for the cell to know; who keeps it cancels the call that is returned.

        Raises:
            CellUnreachable: no connection.
        """
        connection = self._connections.get(call.cell)
        if connection is None:
            raise CellUnreachable("the cell is not connected", retry_after=_RETRY_AFTER)
        wire = connection.channel.start(path, request, timeout, _end, metadata, call.started)
        wire.tag = call
        return wire

    async def close(self) -> None:
        """Close every channel now; calls under way end as unreachable."""
        channels = [*self._closing.values(), *(held.channel for held in self._connections.values())]
        self._connections.clear()
        waiting = list(self._closing)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.gather(*(channel.close() for channel in channels))

    def _close_in_peace(self, connection: _Connection) -> None:
        task = asyncio.create_task(connection.channel.close(self._grace), name=f"close {connection.address}")
        self._closing[task] = connection.channel
        task.add_done_callback(self._closing.pop)


def _begin(wire: ClientCall) -> None:
    call: CellCall = wire.tag
    call.begin()


def _end(wire: ClientCall) -> None:
    call: CellCall = wire.tag
    # They know each other: what has ended is not left to the garbage collector.
    wire.tag = None
    if wire.code == Code.OK:
        if wire.has_metadata and (said := wire.values(protocol.COLD)):
            call.note_cold(protocol.cold_places(said[0]))
        call.answer(wire.message)
    else:
        call.fail(_translate(wire))


def _translate(call: ClientCall) -> CroupierError:
    """What a call that failed says of the cell. There are three cases:

    - the connection broke, with the call in flight or before, or was never made;
    - UNAVAILABLE or CANCELLED without details: a cell puts details into each status, so that this was
      said for it, by a server that stops or by something in between;
    - everything else is the cell's own answer, or one that is too large for us: another cell would
      give the same.
    """
    details = call.details
    if call.is_broken and call.code != Code.RESOURCE_EXHAUSTED:
        if call.stream_id > 0 and not call.is_unprocessed:
            return CellLost("the cell's connection broke", retry_after=_RETRY_AFTER)
        return CellUnreachable("the cell cannot be reached", retry_after=_RETRY_AFTER)
    if not details and call.code in (Code.CANCELLED, Code.UNAVAILABLE):
        return CellUnreachable("the cell is going away", retry_after=_RETRY_AFTER)
    error = to_error(call.code, call.status_message, details)
    if isinstance(error, Unavailable) and call.has_metadata and (told := call.values(_PUSHBACK)):
        error.retry_after = max(error.retry_after, seconds_of(told[0]))
    if error.reason == StaleMap.reason and isinstance(error, Unavailable):
        return StaleMap(error.message, retry_after=error.retry_after)
    if error.reason == StoreDown.reason and isinstance(error, Unavailable):
        return StoreDown(error.message, retry_after=error.retry_after)
    return error
