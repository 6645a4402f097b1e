"""The service `croupier.cell.v1.Cell`: artifacts that are loaded before anybody asks for them, and who asks.

A few loads of a call run at a time, in the background of the host; a caller that does not wait for all of
them is told what is still loading, and the rest goes on. How much may wait so is bounded.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cell.codec.messages import on_bytes
from cell.loading.host import Host
from croupier.errors import InvalidRequest, Unavailable
from croupier.items import item_status
from croupier.names import check_digest, check_name
from croupier.transport.context import Context
from croupier.transport.serving import Server
from protos.cell.v1 import cell_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["Cell"].full_name

MOST_ARTIFACTS = 10_000
_MOST_WAITING = 100_000
_AT_A_TIME = 8
_RETRY_AFTER = 1.0


@dataclass(frozen=True, slots=True)
class Wish:
    """How to load: `group` is whose floor it counts for, `aged` and `pin` as `Residency` has them."""

    group: str | None = None
    aged: bool = False
    pin: bool = False


class Warmer:
    """Loads lists of artifacts in the background of `host`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._workers: set[asyncio.Task[None]] = set()
        # Artifacts whose loads have not ended.
        self._waiting = 0

    async def warm(
        self, digests: Sequence[bytes], wish: Wish, seconds: float
    ) -> dict[bytes, Exception | None]:
        """Load `digests`; after `seconds`, or when all have ended, what came of each. What is absent goes on.

        Raises:
            Unavailable: too much is loading so.
        """
        wanted = list(dict.fromkeys(digests))
        if self._waiting + len(wanted) > _MOST_WAITING:
            raise Unavailable("too many artifacts are being warmed", retry_after=_RETRY_AFTER)
        self._waiting += len(wanted)
        results: dict[bytes, Exception | None] = {}
        left = iter(wanted)
        workers = [
            asyncio.create_task(self._work(left, wish, results), name="warm")
            for _ in range(min(_AT_A_TIME, len(wanted)))
        ]
        for worker in workers:
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        if workers:
            await asyncio.wait(workers, timeout=seconds)
        return dict(results)

    async def close(self) -> None:
        """Give up what is not loaded."""
        workers = list(self._workers)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, left: Iterator[bytes], wish: Wish, results: dict[bytes, Exception | None]) -> None:
        for digest in left:
            try:
                await self._host.warm(digest, group=wish.group, aged=wish.aged)
                if wish.pin:
                    self._host.pin(digest)
                results[digest] = None
            except Exception as error:  # noqa: BLE001 (it is this artifact's result)
                results[digest] = error
            finally:
                self._waiting -= 1


class WarmHandlers:
    """The methods of the service."""

    def __init__(self, host: Host, warmer: Warmer) -> None:
        self._host = host
        self._warmer = warmer

    def add_to(self, server: Server) -> list[str]:
        """Register the service; returns its name."""
        server.add_unary(f"/{SERVICE}/Warm", on_bytes(pb.WarmRequest, self.warm))
        server.add_unary(f"/{SERVICE}/Unpin", on_bytes(pb.UnpinRequest, self.unpin))
        server.add_unary(f"/{SERVICE}/Usage", on_bytes(pb.UsageRequest, self.usage))
        return [SERVICE]

    async def warm(self, request: pb.WarmRequest, context: Context) -> pb.WarmResponse:
        digests = _digests(request.artifacts)
        if not 0 <= request.wait_seconds < math.inf:
            raise InvalidRequest("wait_seconds is a number of seconds", field="wait_seconds")
        if request.group:
            check_name(request.group, "group")
        if request.HasField("floor_bytes"):
            if not request.group:
                raise InvalidRequest("a floor is a group's", field="group")
            self._host.set_floor(request.group, request.floor_bytes)
        wish = Wish(request.group or None, request.aged, request.pin)
        results = await self._warmer.warm(digests, wish, request.wait_seconds)
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
