"""How a version manager calls a cell, and which cells it calls for a tenant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Container, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from google.protobuf.message import DecodeError

from croupier.codes import Code
from croupier.errors import CroupierError, FailedPrecondition, Unavailable
from croupier.grpcio.outgoing import outgoing
from croupier.names import DIGEST_BYTES
from croupier.transport.client import Channel
from croupier.transport.status import RpcError
from protos.cell.v1 import cell_pb2 as pb
from sharding.dealer import Dealer
from sharding.placement import lookback
from version_manager.map.image import Map
from version_manager.model.fleet import Cell, CellState

_WARM = "/croupier.cell.v1.Cell/Warm"
_UNPIN = "/croupier.cell.v1.Cell/Unpin"
_USAGE = "/croupier.cell.v1.Cell/Usage"
_HOT_LIST = "/croupier.cell.v1.Cell/HotList"
# As many as a cell takes in one call.
_MOST_ARTIFACTS = 10_000
_UNREADABLE = "its answer cannot be read"
# What `CellAway` says of a cell that may have ended during the call.
BROKEN = "the connection broke"


class CellAway(Unavailable):
    """A cell does not answer. Passes, or the cell's record goes."""


class CellRefused(FailedPrecondition):
    """A cell answered that it will not. The operator's."""


class CellCalls:
    """The calls to the cell at the other end of `channel`; each may take `timeout` seconds."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def warm(self, request: pb.WarmRequest, timeout: float) -> pb.WarmResponse:
        """Raises CellAway, CellRefused."""
        data = await self._call(_WARM, request.SerializeToString(), timeout)
        try:
            return pb.WarmResponse.FromString(data)
        except DecodeError as error:
            raise CellRefused(_UNREADABLE) from error

    async def unpin(self, artifacts: Sequence[bytes], timeout: float) -> None:
        """Raises CellAway, CellRefused."""
        await self._call(_UNPIN, pb.UnpinRequest(artifacts=artifacts).SerializeToString(), timeout)

    async def usage(self, artifacts: Sequence[bytes], timeout: float) -> pb.UsageResponse:
        """Raises CellAway, CellRefused."""
        request = pb.UsageRequest(artifacts=artifacts[:_MOST_ARTIFACTS])
        data = await self._call(_USAGE, request.SerializeToString(), timeout)
        try:
            return pb.UsageResponse.FromString(data)
        except DecodeError as error:
            raise CellRefused(_UNREADABLE) from error

    async def hot_list(self, keep: Container[bytes], most: int, timeout: float) -> list[tuple[bytes, int]]:
        """Of the `most` artifacts that the cell holds hottest those in `keep`, in order, and whose each is.

        Raises CellAway, CellRefused.
        """
        request = pb.HotListRequest(most=most).SerializeToString()
        found: list[tuple[bytes, int]] = []
        with _failures():
            async with asyncio.timeout(timeout):
                await self._channel.session()
                async with self._channel.stream(_HOT_LIST, timeout=timeout, metadata=outgoing()) as stream:
                    await stream.send(request)
                    stream.end()
                    async for data in stream:
                        found += _kept(pb.HotListPage.FromString(data), keep)
        return found

    async def _call(self, path: str, data: bytes, timeout: float) -> bytes:
        with _failures():
            async with asyncio.timeout(timeout):
                # A cell that cannot be reached, or is another one, ends in no call: that says why.
                await self._channel.session()
                return await self._channel.unary(path, data, timeout=timeout, metadata=outgoing())


@contextmanager
def _failures() -> Iterator[None]:
    """What a call fails with, as what it says of the cell. Raises CellAway, CellRefused."""
    try:
        yield
    except TimeoutError as error:
        raise CellAway("it does not answer") from error
    except RpcError as error:
        if error.code == Code.UNAVAILABLE:
            # A cell that says so itself gives details: that it is stopping, say.
            raise CellAway(error.message if error.details else BROKEN) from error
        raise CellRefused(error.message or f"status {error.code}") from error
    except DecodeError as error:
        raise CellRefused(_UNREADABLE) from error
    except (ConnectionError, CroupierError, ValueError) as error:
        raise CellAway(str(error)) from error


def _kept(page: pb.HotListPage, keep: Container[bytes]) -> list[tuple[bytes, int]]:
    starts = range(0, len(page.artifacts), DIGEST_BYTES)
    told = (page.artifacts[at : at + DIGEST_BYTES] for at in starts)
    return [pair for pair in zip(told, page.owners, strict=False) if pair[0] in keep]


@asynccontextmanager
async def calling(open_channel: Callable[[Cell], Channel], cell: Cell) -> AsyncIterator[CellCalls]:
    """A connection to `cell` for the block."""
    channel = open_channel(cell)
    try:
        yield CellCalls(channel)
    finally:
        await channel.close()


def why_not_resident(response: pb.WarmResponse) -> str:
    """Why a cell does not hold all that it was to load; empty when it does."""
    return next(filter(None, map(_why, response.artifacts)), "")


def hand_of(tenant: str, dealers: Iterable[Dealer], served: Map) -> list[Cell]:
    """The tenant's cells that are registered as active, of all `dealers`.

    While a generation takes over, a tenant has the cells of both: one deals to it, and soon the other will.
    """
    dealt = (served.cells.get(cell) for cell in lookback(dealers, tenant))
    return [cell for cell in dealt if cell is not None and cell.state is CellState.ACTIVE]


def _why(warmed: pb.Warmed) -> str:
    if warmed.state == pb.Warmed.RESIDENT:
        return ""
    return warmed.status.message or "it is still loading"
