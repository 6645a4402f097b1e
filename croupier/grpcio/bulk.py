"""Publishes many models by one call after the other, until each has its outcome.

    items ──▶ held, some ahead ──offers──▶ manager ──wanted──▶ chunks ──▶ manager ──▶ outcomes

A manager is asked first, with digests alone, and gets those artifacts that it wants. A call that breaks is
made again, to whichever manager answers, and offers what has no outcome: what was published by then is known.
It gives up when several calls broke one after the other without an outcome between them.

What is held is bounded: so many items, and so many bytes of theirs, are taken and have no outcome.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field

import grpc

from croupier.backoff import Backoff
from croupier.errors import CroupierError, DeadlineExceeded, Unavailable
from croupier.grpcio.ending import Ending, ended_early
from croupier.grpcio.failover import Managers
from croupier.grpcio.outgoing import outgoing
from croupier.transport.status import error_of
from protos.versions.v1 import versions_pb2 as pb

# Of one message.
_OFFERS, _CHUNK_BYTES = 256, 512 * 1024
# Taken from the source, and without an outcome.
_MOST_ITEMS, _MOST_BYTES = 2048, 64 * 2**20
# Who has nothing to send says so, long before a manager takes it for gone.
_ALIVE_SECONDS = 5.0
_ATTEMPTS = 6
_BACKOFF = Backoff(first=0.2, longest=5.0)


@dataclass(frozen=True, slots=True)
class BulkItem:
    """A version to publish; `version` 0 takes the next free number."""

    tenant: str
    name: str
    artifact: bytes = field(repr=False)
    version: int = 0


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """What became of `item`: a version, or the `error` why there is none.

    `known`: the version was there before. `release`: the number of the one that sends all traffic to it; 0 if
    that was not asked for. `revision` is what a request to a router takes as `min_revision` to be answered by
    one that knows of it.
    """

    item: BulkItem
    version: pb.Version | None = None
    known: bool = False
    release: int = 0
    revision: str = ""
    error: CroupierError | None = None


class BulkPublish:
    """One run. `options` are of every call."""

    def __init__(
        self,
        managers: Managers,
        items: Iterable[BulkItem] | AsyncIterable[BulkItem],
        options: pb.PublishManyRequest.Options,
    ) -> None:
        self._managers = managers
        self._source = _each(items)
        self._options = options
        self._numbers = itertools.count(1)
        # Without an outcome; of these, the ones that this call has not offered.
        self._held: dict[int, BulkItem] = {}
        self._bytes = 0
        self._to_offer: deque[int] = deque()
        self._wanted: deque[int] = deque()
        self._calls = 0
        # How many offers this call may have without an outcome; 0: it has not answered.
        self._most = 0
        self._tries: dict[int, int] = {}
        self._passing: Unavailable | None = None
        # Nothing more comes from the source, and why, if something is wrong with it.
        self._is_drained = False
        self._failure: Exception | None = None
        # Set when there may be something to send; when there may be room.
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._rng = random.Random()  # noqa: S311 (spreads attempts)

    async def outcomes(self) -> AsyncGenerator[BulkOutcome, None]:
        """Of every item, in the order in which they come.

        Raises:
            CroupierError: what ends a call and will end the next one too, or ended several.
            Exception: what the source raises, after the outcomes of what it gave before.
        """
        taking = asyncio.create_task(self._take())
        failures = 0
        try:
            while not self._is_done:
                try:
                    async with aclosing(self._call()) as found:
                        async for outcome in found:
                            failures = 0
                            yield outcome
                except (Unavailable, DeadlineExceeded) as error:
                    failures += 1
                    if failures >= _ATTEMPTS:
                        raise
                    retry_after = getattr(error, "retry_after", 0.0)
                    await asyncio.sleep(max(retry_after, _BACKOFF.spread(failures, self._rng)))
        finally:
            taking.cancel()
            await asyncio.wait([taking])
            await self._source.aclose()
        if self._failure is not None:
            raise self._failure

    @property
    def _is_done(self) -> bool:
        return self._is_drained and not self._held

    async def _take(self) -> None:
        """Take items from the source while there is room for them."""
        try:
            async for item in self._source:
                size = len(item.artifact)
                while self._held and (len(self._held) >= _MOST_ITEMS or self._bytes + size > _MOST_BYTES):
                    self._room.clear()
                    await self._room.wait()
                number = next(self._numbers)
                self._held[number] = item
                self._bytes += size
                self._to_offer.append(number)
                self._news.set()
        except Exception as error:  # noqa: BLE001 (whatever it is: who reads outcomes gets it)
            self._failure = error
        self._is_drained = True
        self._news.set()

    async def _call(self) -> AsyncGenerator[BulkOutcome, None]:
        """One call, which offers what has no outcome; ends when everything has one. Raises CroupierError."""
        self._to_offer = deque(self._held)
        self._wanted.clear()
        self._most, self._passing = 0, None
        self._calls += 1
        stub = await self._managers.answering()
        call = stub.PublishMany(self._messages(self._calls), metadata=outgoing())
        ending = Ending(call)
        try:
            async for response in call:
                for outcome in self._heard(response):
                    yield outcome
                if self._passing is not None:
                    raise self._passing
        except grpc.aio.AioRpcError as failure:
            raise await ending.error(failure) from failure
        finally:
            # One that is not read to its end would stay open.
            call.cancel()
        if not self._is_done:
            raise ended_early()

    async def _messages(self, number: int) -> AsyncIterator[pb.PublishManyRequest]:
        """What is sent by the call of that number: grpcio goes on asking for more when it has ended."""
        yield pb.PublishManyRequest(options=self._options)
        while number == self._calls and not self._is_done:
            self._news.clear()
            if self._wanted:
                for message in self._artifacts():
                    yield message
            elif count := min(_OFFERS, len(self._to_offer), self._most - self._offered):
                yield self._offers([self._to_offer.popleft() for _ in range(count)])
            elif not await _is_set(self._news, _ALIVE_SECONDS):
                yield pb.PublishManyRequest()

    @property
    def _offered(self) -> int:
        """How many are offered and have no outcome."""
        return min(len(self._held) - len(self._to_offer), self._most)

    def _offers(self, numbers: Iterable[int]) -> pb.PublishManyRequest:
        request = pb.PublishManyRequest()
        for number in numbers:
            item = self._held[number]
            request.offers.add(
                id=number,
                tenant=item.tenant,
                name=item.name,
                version=item.version,
                artifact=hashlib.sha256(item.artifact).digest(),
                size=len(item.artifact),
            )
        return request

    def _artifacts(self) -> Iterator[pb.PublishManyRequest]:
        """Those that are wanted, small ones together and large ones in pieces."""
        request, size = pb.PublishManyRequest(), 0
        while self._wanted:
            number = self._wanted.popleft()
            artifact = self._held[number].artifact
            for start in range(0, len(artifact), _CHUNK_BYTES):
                piece = artifact[start : start + _CHUNK_BYTES]
                if size and size + len(piece) > _CHUNK_BYTES:
                    yield request
                    request, size = pb.PublishManyRequest(), 0
                request.chunks.add(id=number, data=piece)
                size += len(piece)
        if size:
            yield request

    def _heard(self, response: pb.PublishManyResponse) -> Iterator[BulkOutcome]:
        self._most = response.most_offers or self._most
        self._wanted.extend(number for number in response.wanted if number in self._held)
        for told in response.outcomes:
            if told.id in self._held and (found := self._outcome(told, response.revision)) is not None:
                item = self._held.pop(told.id)
                self._bytes -= len(item.artifact)
                self._room.set()
                yield found
        self._news.set()

    def _outcome(self, told: pb.PublishManyResponse.Outcome, revision: str) -> BulkOutcome | None:
        """What was told of an item; None if it is to be offered again."""
        item = self._held[told.id]
        if told.HasField("version"):
            return BulkOutcome(item, told.version, told.known, told.release, revision)
        failure = told.failure
        error = error_of(failure.status, failure.message, reason=failure.reason)
        tries = self._tries.get(told.id, 0) + 1
        if isinstance(error, Unavailable) and tries < _ATTEMPTS:
            self._tries[told.id], self._passing = tries, error
            return None
        return BulkOutcome(item, error=error)


async def _is_set(event: asyncio.Event, timeout: float) -> bool:
    try:
        async with asyncio.timeout(timeout):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def _each(items: Iterable[BulkItem] | AsyncIterable[BulkItem]) -> AsyncGenerator[BulkItem, None]:
    if isinstance(items, AsyncGenerator):
        async with aclosing(items):
            async for item in items:
                yield item
        return
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
        return
    for item in items:
        yield item
        # Whoever sends has a turn, too.
        await asyncio.sleep(0)
