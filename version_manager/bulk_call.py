"""A call that publishes many models, from its first message to its last answer.

    read ──offers──▶ look ──done already───────────────────────────────▶ answers
      │                ├───known, to be released──────────┐                 ▲
      │                └───wanted, once there is room──▶ answers            │
      └──chunks────────────▶ whole ───────────────────────┴──▶ publish ─────┘

What a call has a manager hold is bounded: offers whose outcome was not taken, and bytes of artifacts that are
wanted, which all calls have together and get in the order of asking. Whoever was told that an artifact is
wanted has to send it in its time; an empty message says that somebody is still there.

What is wrong with one model is the outcome of that one. What no publisher of ours would send ends the call.
"""

from __future__ import annotations

import asyncio
import io
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from croupier.access import OtherTenant
from croupier.artifacts.format import HEADER_SIZE, InvalidArtifact
from croupier.errors import CroupierError, InvalidRequest, TooLarge
from croupier.telemetry.metrics import Counter
from croupier.transport.status import code_of, cut_text
from protos.versions.v1 import versions_pb2 as pb
from version_manager.map.audit import Actor
from version_manager.model import wire
from version_manager.uploads import UploadsFull, UploadTooSlow
from version_manager.writes.bulk import BulkPublisher, Order, Outcome, Pending, Published
from version_manager.writes.limits import Why
from version_manager.writes.publisher import Upload, check_upload

_MODELS = Counter(
    "croupier_version_manager_bulk_models_total",
    "Models of calls that publish many, by what became of them",
    ["outcome"],
)
for _outcome in ("published", "known", "failed"):
    _MODELS.labels(_outcome)

# Of what is done with: nobody holds long names either.
_NOTHING = Pending(Upload("", "", 0, b"", b""), False)
_RETRY_AFTER = 1.0
# Offers that are looked at together, and artifacts that are stored together.
_LOOKED_AT, _TOGETHER, _TOGETHER_BYTES = 64, 512, 8 * 2**20
# Whoever stores waits for a disk, while others check and write to etcd.
_PUBLISHING = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkLimits:
    """Sizes in bytes, times in seconds. `max_bytes` is for one artifact, `total_bytes` for all calls."""

    max_bytes: int = 2**28
    total_bytes: int = 2**28
    calls: int = 8
    # Of a call, without an outcome that was taken.
    offers: int = 2048
    # Between two messages; and until all of an artifact is there that is wanted.
    idle_seconds: float = 20.0
    artifact_seconds: float = 600.0


class Room:
    """So many bytes, given in the order of asking: who wants much is not passed by those who want little."""

    def __init__(self, size: int) -> None:
        self.free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Return once `size` bytes are the caller's. There must be as many in all."""
        if not self._waiting and size <= self.free:
            self.free -= size
            return
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, given))
        try:
            await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():
                self.give(size)
            else:
                given.cancel()
                self.give(0)
            raise

    def give(self, size: int) -> None:
        self.free += size
        while self._waiting and (self._waiting[0][1].cancelled() or self._waiting[0][0] <= self.free):
            wanted, given = self._waiting.popleft()
            if not given.cancelled():
                self.free -= wanted
                given.set_result(None)


class BulkCalls:
    """The calls of one manager, within `limits`."""

    def __init__(self, bulk: BulkPublisher, limits: BulkLimits) -> None:
        self._bulk = bulk
        self._limits = limits
        self.room = Room(limits.total_bytes)
        self.count = 0

    async def answers(
        self, requests: AsyncIterator[pb.PublishManyRequest], actor: Actor, tenants: frozenset[str]
    ) -> AsyncGenerator[pb.PublishManyResponse, None]:
        """Serve one call of somebody who may publish for `tenants`; empty: for all.

        Raises:
            InvalidRequest: not what a publisher sends.
            UploadsFull: there are as many calls as may be at a time.
            UploadTooSlow: it does not go on, or what is wanted does not come in its time.
            MapFrozen: nothing can be written.
        """
        if self.count >= self._limits.calls:
            raise UploadsFull("as many publish many models as may at a time", retry_after=_RETRY_AFTER)
        self.count += 1
        try:
            call = _Call(self._bulk, requests, self._limits, self.room, tenants)
            yield pb.PublishManyResponse(most_offers=self._limits.offers, most_bytes=self._limits.max_bytes)
            await call.begin(actor)
            try:
                while (answer := await call.answer()) is not None:
                    yield answer
            finally:
                await call.end()
        finally:
            self.count -= 1


@dataclass(slots=True)
class _Held:
    """An offer whose outcome was not taken. `room` is what it has of the bytes that there are."""

    pending: Pending
    size: int
    room: int = 0
    data: io.BytesIO = field(default_factory=io.BytesIO)

    @property
    def upload(self) -> Upload:
        return self.pending.upload

    @property
    def model(self) -> tuple[str, str]:
        return self.upload.tenant, self.upload.name


class _Call:
    def __init__(
        self,
        bulk: BulkPublisher,
        requests: AsyncIterator[pb.PublishManyRequest],
        limits: BulkLimits,
        room: Room,
        tenants: frozenset[str],
    ) -> None:
        self._bulk = bulk
        self._requests = requests
        self._limits = limits
        self._room = room
        self._tenants = tenants
        self._order = Order(Actor("", ""))
        self._held: dict[int, _Held] = {}
        # Under way, by whom: two of one model would be two versions of it in one transaction.
        self._models: dict[tuple[str, str], int] = {}
        self._offered: asyncio.Queue[int] = asyncio.Queue()
        self._whole: asyncio.Queue[int] = asyncio.Queue()
        # Until when the artifacts have to be here that the caller was told to send, the first one first.
        self._awaited: dict[int, float] = {}
        self._wanted: list[int] = []
        self._outcomes: list[tuple[int, Outcome]] = []
        self._is_ended = False
        # Set when there may be something to answer.
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self, actor: Actor) -> None:
        """Read what is wanted of the call, and begin with it."""
        first = await self._next()
        if first is None or not first.HasField("options") or first.offers or first.chunks:
            raise InvalidRequest("the first message has the options, and nothing else", field="options")
        options = first.options
        self._order = Order(actor, Why(options.reason, options.author), options.release)
        self._order.why.check()
        self._spawn(self._read())
        self._spawn(self._look())
        for _ in range(_PUBLISHING):
            self._spawn(self._publish())

    async def answer(self) -> pb.PublishManyResponse | None:
        """What there is to say next; None: that was all. Raises what ends the call."""
        while not (self._wanted or self._outcomes):
            for task in self._tasks:
                if task.done() and (error := task.exception()) is not None:
                    raise error
            if self._is_ended and not self._held:
                return None
            self._news.clear()
            await self._news.wait()
        wanted, self._wanted = self._wanted, []
        outcomes, self._outcomes = self._outcomes, []
        for number, _ in outcomes:
            del self._held[number]
        revision = self._bulk.revision() if outcomes else ""
        told = [_told(number, outcome) for number, outcome in outcomes]
        return pb.PublishManyResponse(wanted=wanted, outcomes=told, revision=revision)

    async def end(self) -> None:
        """Stop what is under way, and give back what it had."""
        for task in self._tasks:
            task.cancel()
        # What went wrong with more than one of them is told of the first.
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for held in self._held.values():
            self._room.give(held.room)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._news.set())
        self._tasks.append(task)

    async def _read(self) -> None:
        while (request := await self._next()) is not None:
            if request.HasField("options"):
                raise InvalidRequest("only the first message has options", field="options")
            for offer in request.offers:
                self._offer(offer)
            for chunk in request.chunks:
                self._add(chunk)
        self._is_ended = True
        self._check_all_came()

    async def _next(self) -> pb.PublishManyRequest | None:
        until = asyncio.get_running_loop().time() + self._limits.idle_seconds
        try:
            async with asyncio.timeout_at(min(until, next(iter(self._awaited.values()), until))):
                return await anext(self._requests, None)
        except TimeoutError:
            raise UploadTooSlow("what is published does not come in its time") from None

    def _offer(self, offer: pb.PublishManyRequest.Offer) -> None:
        if len(self._held) >= self._limits.offers:
            raise InvalidRequest("more offers have no outcome than may be", field="offers")
        if offer.id in self._held:
            raise InvalidRequest("an offer of this id has no outcome yet", field="id")
        upload = Upload(offer.tenant, offer.name, offer.version, offer.artifact, b"")
        held = self._held[offer.id] = _Held(Pending(upload, True), offer.size)
        try:
            self._check(held)
        except CroupierError as error:
            self._settle(offer.id, error.without_frames())
        else:
            self._models[held.model] = offer.id
            self._offered.put_nowait(offer.id)

    def _check(self, held: _Held) -> None:
        check_upload(held.upload)
        if self._tenants and held.upload.tenant not in self._tenants:
            raise OtherTenant("the certificate is for other tenants")
        if held.model in self._models:
            raise InvalidRequest("another offer of this model has no outcome yet", field="name")
        if held.size > self._limits.max_bytes:
            raise TooLarge(
                f"an artifact may have {self._limits.max_bytes} bytes; this one announces {held.size}"
            )
        if held.size < HEADER_SIZE:
            raise InvalidArtifact(f"no artifact has as few as {held.size} bytes")

    def _add(self, chunk: pb.PublishManyRequest.Chunk) -> None:
        if chunk.id not in self._awaited:
            raise InvalidRequest("a chunk is of no artifact that is wanted", field="chunks")
        held = self._held[chunk.id]
        size = held.data.tell() + len(chunk.data)
        if size > held.size:
            raise InvalidRequest("more bytes arrive than the offer announces", field="size")
        # What comes in one piece is not copied.
        whole = chunk.data if size == len(chunk.data) else None
        if whole is None or size < held.size:
            held.data.write(chunk.data)
        if size == held.size:
            del self._awaited[chunk.id]
            data = held.data.getvalue() if whole is None else whole
            held.data = io.BytesIO()
            held.pending = replace(held.pending, upload=replace(held.upload, data=data))
            self._whole.put_nowait(chunk.id)

    async def _look(self) -> None:
        while True:
            numbers = await self._next_of(self._offered, _LOOKED_AT)
            found = await self._bulk.look(self._order, [self._held[number].upload for number in numbers])
            for number, one in zip(numbers, found, strict=True):
                if not isinstance(one, Pending):
                    self._settle(number, one)
                    continue
                self._held[number].pending = one
                if one.is_wanted:
                    await self._want(number)
                else:
                    self._whole.put_nowait(number)

    async def _want(self, number: int) -> None:
        held = self._held[number]
        await self._room.take(held.size)
        held.room = held.size
        self._awaited[number] = asyncio.get_running_loop().time() + self._limits.artifact_seconds
        self._wanted.append(number)
        self._news.set()
        self._check_all_came()

    def _check_all_came(self) -> None:
        if self._is_ended and self._awaited:
            raise InvalidRequest("the call ends before all came that is wanted", field="chunks")

    async def _publish(self) -> None:
        while True:
            numbers = await self._next_of(self._whole, _TOGETHER)
            found = await self._bulk.publish(self._order, [self._held[number].pending for number in numbers])
            for number, outcome in zip(numbers, found, strict=True):
                self._settle(number, outcome)

    async def _next_of(self, queue: asyncio.Queue[int], most: int) -> list[int]:
        """What waits in `queue`, when there is something: so many, and so many bytes, at most."""
        numbers = [await queue.get()]
        size = len(self._held[numbers[0]].upload.data)
        while len(numbers) < most and size < _TOGETHER_BYTES and not queue.empty():
            numbers.append(queue.get_nowait())
            size += len(self._held[numbers[-1]].upload.data)
        return numbers

    def _settle(self, number: int, outcome: Outcome) -> None:
        held = self._held[number]
        model, held.pending = held.model, _NOTHING
        self._room.give(held.room)
        held.room = 0
        if self._models.get(model) == number:
            del self._models[model]
        self._outcomes.append((number, outcome))
        self._news.set()


def _told(number: int, outcome: Outcome) -> pb.PublishManyResponse.Outcome:
    told = pb.PublishManyResponse.Outcome(id=number)
    if isinstance(outcome, Published):
        _MODELS.labels("known" if outcome.is_known else "published").inc()
        told.version.CopyFrom(wire.version_to_pb(outcome.version))
        told.known, told.release = outcome.is_known, outcome.release
    else:
        _MODELS.labels("failed").inc()
        told.failure.status, told.failure.reason = code_of(outcome), outcome.reason
        told.failure.message = cut_text(outcome.message)
    return told
