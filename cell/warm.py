"""The service `croupier.cell.v1.Cell`: what is loaded before anybody asks, what is kept, and who asks."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import AsyncIterator, Sequence

from cell.codec.messages import on_bytes, parsed
from cell.loading.host import Host
from cell.loading.warmer import Warmer, WarmOptions
from croupier.errors import InvalidRequest
from croupier.items import item_status
from croupier.names import check_digest, check_name
from croupier.telemetry.traces import Tracer
from croupier.transport.context import Context
from croupier.transport.serving import Server
from protos.cell.v1 import cell_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["Cell"].full_name

_WARM = f"/{SERVICE}/Warm"
MOST_ARTIFACTS = 10_000
# Models of a page of the hot list, which takes the loop no longer than a read; and seconds between two.
_A_PAGE = 256
_PAUSE = 0.001
# Hot lists at a time, of one connection.
_MOST_LISTS = 4


class WarmHandlers:
    """The methods of the service; `tracer` begins spans."""

    def __init__(self, host: Host, warmer: Warmer, tracer: Tracer | None = None) -> None:
        self._host = host
        self._warmer = warmer
        self._tracer = tracer

    def add_to(self, server: Server) -> list[str]:
        """Register the service; returns its name."""
        server.add_unary(_WARM, on_bytes(pb.WarmRequest, self.warm))
        server.add_unary(f"/{SERVICE}/Unpin", on_bytes(pb.UnpinRequest, self.unpin))
        server.add_unary(f"/{SERVICE}/Usage", on_bytes(pb.UsageRequest, self.usage))
        server.add_stream(f"/{SERVICE}/HotList", self.hot_list, max_open=_MOST_LISTS)
        return [SERVICE]

    async def warm(self, request: pb.WarmRequest, context: Context) -> pb.WarmResponse:
        if self._tracer is not None:
            context.span = self._tracer.begin(_WARM, context.values)
        digests = _digests(request.artifacts)
        if not 0 <= request.wait_seconds < math.inf:
            raise InvalidRequest("wait_seconds is a number of seconds", field="wait_seconds")
        if request.group:
            check_name(request.group, "group")
        if request.HasField("floor_bytes"):
            if not request.group:
                raise InvalidRequest("a floor is a group's", field="group")
            self._host.set_floor(request.group, request.floor_bytes)
        options = WarmOptions(request.group or None, request.aged, request.pin, request.proven)
        results = await self._warmer.warm(digests, options, request.wait_seconds)
        return pb.WarmResponse(artifacts=[_warmed(digest, results) for digest in digests])

    async def unpin(self, request: pb.UnpinRequest, context: Context) -> pb.UnpinResponse:
        for digest in _digests(request.artifacts):
            self._host.unpin(digest)
        return pb.UnpinResponse()

    async def usage(self, request: pb.UsageRequest, context: Context) -> pb.UsageResponse:
        found = ((digest, self._host.uses(digest)) for digest in _digests(request.artifacts))
        used = [
            pb.Used(artifact=digest, requests=uses[0], idle_seconds=uses[1])
            for digest, uses in found
            if uses is not None
        ]
        return pb.UsageResponse(resident=used)

    async def hot_list(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        """A page in a turn of the event loop, and turns for others between: there may be very many models."""
        request = parsed(pb.HotListRequest, await anext(requests, b""))
        left = request.most or sys.maxsize
        for entries in self._host.hot(_A_PAGE):
            page = entries[:left]
            yield pb.HotListPage(
                artifacts=b"".join([entry.digest for entry in page]),
                owners=[entry.owner for entry in page],
                requests=[entry.uses for entry in page],
            ).SerializeToString()
            left -= len(page)
            if not left:
                return
            await asyncio.sleep(_PAUSE)


def _digests(artifacts: Sequence[bytes]) -> list[bytes]:
    if len(artifacts) > MOST_ARTIFACTS:
        raise InvalidRequest(f"there may be {MOST_ARTIFACTS} artifacts", field="artifacts")
    return [check_digest(artifact) for artifact in artifacts]


def _warmed(digest: bytes, results: dict[bytes, Exception | None]) -> pb.Warmed:
    if digest not in results:
        return pb.Warmed(artifact=digest, state=pb.Warmed.LOADING)
    error = results[digest]
    if error is None:
        return pb.Warmed(artifact=digest, state=pb.Warmed.RESIDENT)
    return pb.Warmed(artifact=digest, state=pb.Warmed.FAILED, status=item_status(error))
