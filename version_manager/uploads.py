"""Artifacts on their way in: how many at a time, how much they hold together, and how long they may take.

An upload holds what its header announces from then on, until it was published: who announces much and sends
little is told off by the clock. One for which there is no room is UNAVAILABLE, and comes again. One that does
not begin as an artifact is refused by its first bytes.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from croupier.artifacts.format import HEADER_SIZE, check_header
from croupier.errors import DeadlineExceeded, InvalidRequest, TooLarge, Unavailable
from croupier.names import check_digest, check_name
from protos.versions.v1 import versions_pb2 as pb
from version_manager.writes.publisher import Upload

_RETRY_AFTER = 1.0


class UploadsFull(Unavailable):
    """As much is uploaded as may be at a time. Ours, passing."""

    reason = "UPLOADS_FULL"


class UploadTooSlow(DeadlineExceeded):
    """The publisher did not send what it announced in its time. The caller's."""

    reason = "UPLOAD_TOO_SLOW"


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """Sizes in bytes, times in seconds; `total_bytes` is for all uploads together."""

    max_bytes: int = 2**28
    total_bytes: int = 2**29
    at_once: int = 16
    # Between two messages, and until the last one.
    idle_seconds: float = 20.0
    total_seconds: float = 600.0


class Uploads:
    """Receives artifacts within `limits`."""

    def __init__(self, limits: UploadLimits) -> None:
        self._limits = limits
        self.held = 0
        self.count = 0

    @asynccontextmanager
    async def receive(self, requests: AsyncIterator[pb.PublishRequest]) -> AsyncIterator[Upload]:
        """The upload that `requests` carry, counted until the block ends.

        Raises:
            InvalidRequest: not what a publisher sends.
            InvalidArtifact: it begins as no artifact does.
            TooLarge: it announces more than one upload may have.
            UploadsFull: there is no room for it now.
            UploadTooSlow: it does not come in its time.
        """
        until = asyncio.get_running_loop().time() + self._limits.total_seconds
        header = await self._header(requests, until)
        with self._room(header.size):
            data = await self._data(requests, header.size, until)
            yield Upload(
                header.tenant,
                header.name,
                header.version,
                header.artifact,
                data,
                release_if_first=header.release_if_first,
            )

    async def _header(
        self, requests: AsyncIterator[pb.PublishRequest], until: float
    ) -> pb.PublishRequest.Header:
        first = await self._next(requests, until)
        if first is None or first.WhichOneof("part") != "header":
            raise InvalidRequest("the first message is the header", field="header")
        header = first.header
        check_name(header.tenant, "tenant")
        check_name(header.name, "name")
        check_digest(header.artifact)
        if header.size > self._limits.max_bytes:
            raise TooLarge(
                f"an artifact may have {self._limits.max_bytes} bytes; this one announces {header.size}"
            )
        return header

    async def _data(self, requests: AsyncIterator[pb.PublishRequest], size: int, until: float) -> bytes:
        # What it returns it does not copy, unlike a bytearray that becomes bytes.
        data = io.BytesIO()
        is_begun = False
        while (request := await self._next(requests, until)) is not None:
            if request.WhichOneof("part") != "chunk":
                raise InvalidRequest("after the header come chunks", field="chunk")
            data.write(request.chunk)
            if data.tell() > size:
                raise InvalidRequest("more bytes arrive than the header announces", field="size")
            if not is_begun and data.tell() >= HEADER_SIZE:
                check_header(data.getvalue()[:HEADER_SIZE], size)
                is_begun = True
        return data.getvalue()

    async def _next(
        self, requests: AsyncIterator[pb.PublishRequest], until: float
    ) -> pb.PublishRequest | None:
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(min(until, now + self._limits.idle_seconds)):
                return await anext(requests, None)
        except TimeoutError:
            raise UploadTooSlow("the upload does not come in its time") from None

    @contextmanager
    def _room(self, size: int) -> Iterator[None]:
        if self.count >= self._limits.at_once or self.held + size > self._limits.total_bytes:
            raise UploadsFull("as much is uploaded as may be at a time", retry_after=_RETRY_AFTER)
        self.count += 1
        self.held += size
        try:
            yield
        finally:
            self.count -= 1
            self.held -= size
