"""Keeps the cell registered: who it is, whether it drains, how full it is, once a second.

    join ──▶ report, report, …  until the stream breaks, the manager falls silent, or the cell stops
      ▲                │
      └── back-off ◀───┘        jittered and growing; the first answer after a join resets it

Of several version managers, one has the cell registered (two would take its record from each other), the
first by lot, so that a fleet spreads over them. To the others it only reports, so each knows the load of
every cell. When the one fails, one that answers reports becomes it at once, before the record's lease ends:
nobody sees a gap.

Registration is how routers find a cell, not what it lives by: a cell that cannot register goes on
serving whoever knows its address. So nothing here ever fails the process.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from cell.codec.fence import Fence
from cell.crash.quarantine import Quarantine
from cell.loading.host import HostReport
from croupier import protocol
from croupier.backoff import Backoff
from croupier.errors import Conflict, CroupierError
from croupier.telemetry.metrics import Counter, Gauge
from protos.versions.v1 import versions_pb2 as pb

_log = logging.getLogger(__name__)

_REGISTERED = Gauge("croupier_cell_registered", "1 while the version manager answers the reports")
_JOINS = Counter("croupier_cell_joins_total", "Attempts to register")

ACTIVE = "active"
DRAINING = "draining"
# What a cell tells beside its state: it is active, but about to go; and it drains, but only until it is warm.
LEAVING = "leaving"
WARMING = "warming"
_STATES = {LEAVING: ACTIVE, WARMING: DRAINING}

# Of the quarantined artifacts, so many are reported: the latest.
_MOST_QUARANTINED = 64


_Answers = AsyncIterator[pb.JoinResponse]
_Open = Callable[[AsyncIterator[pb.JoinRequest]], _Answers]


class Manager(Protocol):
    """The part of `VersionManagerClient` that a cell uses."""

    def join(self, reports: AsyncIterator[pb.JoinRequest]) -> _Answers: ...

    def report(self, reports: AsyncIterator[pb.JoinRequest]) -> _Answers: ...


class _End(Enum):
    """How a stream ended: after answers, without any, or because another process has joined as this cell."""

    ANSWERED = auto()
    UNANSWERED = auto()
    SUPERSEDED = auto()


class _Peer:
    """One version manager, and the stream to it."""

    def __init__(self, manager: Manager) -> None:
        self.manager = manager
        # Set while this is the one that has the cell registered.
        self.is_home = asyncio.Event()
        self.answers = False
        # Set when the next report should not wait for its second.
        self.hurry = asyncio.Event()
        # What the reports said that the stream which stands has sent and not had answered.
        self.unanswered: list[str] = []


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The cell as routers find it: `address` is the host:port that they connect to."""

    id: str
    zone: str
    address: str
    weight: float


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between reports, also while one waits; until the next stream is tried; of silence, its end."""

    report: float = 1.0
    hurried: float = 0.1
    backoff: Backoff = Backoff(first=0.1, longest=5.0)
    silence: float = 10.0


class Registration:
    """Registers one cell for as long as `run` runs; `lift` is told what a manager wants served again.

    `part` tells what runs the cell, `work` what it is at; `fence` is told which shard map deals.
    """

    def __init__(
        self,
        managers: Sequence[Manager],
        endpoint: Endpoint,
        report: Callable[[], HostReport],
        *,
        pace: Pace = Pace(),
        quarantine: Quarantine | None = None,
        lift: Callable[[bytes], object] = lambda digest: None,
        rng: random.Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        part: Callable[[], pb.Part | None] = lambda: None,
        work: Callable[[], pb.Work | None] = lambda: None,
        fence: Fence | None = None,
        is_warming: bool = False,
    ) -> None:
        self._fence = fence or Fence()
        self._part = part
        self._work = work
        self._peers = [_Peer(manager) for manager in managers]
        self._endpoint = endpoint
        self._report = report
        self._pace = pace
        self._quarantine = quarantine or Quarantine()
        self._lift = lift
        self._rng = rng
        self._sleep = sleep
        # What it says of itself.
        self._phase = WARMING if is_warming else ACTIVE
        self._drain_known = asyncio.Event()
        # What is loaded since this cell leaves, or warms, is loaded; or no manager sees to that.
        self._handed_over = asyncio.Event()
        rng.choice(self._peers).is_home.set()

    async def run(self) -> None:
        """Register, again and again, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for peer in self._peers:
                group.create_task(self._keep(peer))

    @property
    def is_registered(self) -> bool:
        """Whether the version manager that has the cell answers its reports."""
        return any(peer.is_home.is_set() and peer.answers for peer in self._peers)

    @property
    def is_warming(self) -> bool:
        """Whether it has come back, and is asked last until what was hot is loaded."""
        return self._phase == WARMING

    async def drain(self, timeout: float) -> bool:
        """Report that this cell drains; whether the manager answered that within `timeout` seconds."""
        self._say(DRAINING)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._drain_known.wait(), timeout)
        return self._drain_known.is_set()

    async def leave(self, timeout: float) -> None:
        """Report that this cell is about to drain, and wait until others hold what is hot here.

        It is asked as before meanwhile. At most `timeout` seconds, and none where no manager would see to it.
        """
        if self._phase == ACTIVE and self.is_registered:
            self._handed_over.clear()
            self._say(LEAVING)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._handed_over.wait(), timeout)

    async def handed_over(self) -> None:
        """Wait until this cell, which is warming, has loaded what others held for it."""
        await self._handed_over.wait()

    def activate(self) -> None:
        """Report that this cell is warm."""
        if self.is_warming:
            self._say(ACTIVE)

    def _say(self, phase: str) -> None:
        self._phase = phase
        for peer in self._peers:
            peer.hurry.set()

    async def _keep(self, peer: _Peer) -> None:
        """A stream to `peer`, again and again."""
        failures = 0
        while True:
            if peer.is_home.is_set():
                end = await self._stay_joined(peer)
            else:
                end = await self._report_until_home(peer)
                if peer.is_home.is_set():
                    failures = 0
                    continue
            if end is _End.ANSWERED:
                failures = 0
            failures += 1
            await self._sleep(self._pace.backoff.spread(failures, self._rng))

    async def _stay_joined(self, peer: _Peer) -> _End:
        """Be registered by `peer` until that fails; then another one has its turn."""
        _JOINS.inc()
        end = await self._stream(peer, peer.manager.join)
        _REGISTERED.set(0)
        others = [other for other in self._peers if other is not peer]
        # Two processes of one id throw each other out at every manager, and must not do so without a pause.
        if others and end is not _End.SUPERSEDED:
            peer.is_home.clear()
            self._rng.choice([other for other in others if other.answers] or others).is_home.set()
        return end

    async def _report_until_home(self, peer: _Peer) -> _End:
        reporting = asyncio.create_task(self._stream(peer, peer.manager.report))
        turn = asyncio.create_task(peer.is_home.wait())
        try:
            await asyncio.wait((reporting, turn), return_when=asyncio.FIRST_COMPLETED)
            return reporting.result() if reporting.done() else _End.ANSWERED
        finally:
            reporting.cancel()
            turn.cancel()
            await asyncio.gather(reporting, turn, return_exceptions=True)

    async def _stream(self, peer: _Peer, open_stream: _Open) -> _End:
        """One stream, until it breaks."""
        peer.unanswered = []
        end = _End.UNANSWERED
        try:
            async for answer in self._answers(peer, open_stream):
                if end is _End.UNANSWERED:
                    words = "registered as %s" if peer.is_home.is_set() else "%s reports to another manager"
                    _log.info(words, self._endpoint.id)
                end = _End.ANSWERED
                peer.answers = True
                self._note_answer(peer, answer)
                self._fence.hear(peer, answer.generation, answer.previous_generation)
                for digest in answer.lift:
                    self._lift(digest)
        except Conflict as error:
            _log.error("another process joined as %s: %s", self._endpoint.id, error)
            return _End.SUPERSEDED
        except CroupierError as error:
            self._say_broken(peer, str(error))
        except TimeoutError:
            self._say_broken(peer, "the version manager is silent")
        finally:
            peer.answers = False
            self._fence.forget(peer)
        return end

    def _say_broken(self, peer: _Peer, why: str) -> None:
        if peer.is_home.is_set():
            _log.warning("not registered: %s", why)
        elif peer.answers:
            # Said once, though it is tried again and again.
            _log.warning("a further version manager is not told any more: %s", why)

    async def _answers(self, peer: _Peer, open_stream: _Open) -> _Answers:
        """The manager's answers; raises TimeoutError when it is silent for too long."""
        answers = aiter(open_stream(self._reports(peer)))
        silence = self._longest_silence(self._pace.silence)
        while True:
            try:
                async with asyncio.timeout(silence):
                    answer = await anext(answers)
            except StopAsyncIteration:
                return
            if answer.lease_seconds > 0:
                silence = self._longest_silence(answer.lease_seconds)
            yield answer

    def _longest_silence(self, lease_seconds: float) -> float:
        """Seconds of silence that end a stream: so few that, where there is another manager, the cell is
        there before the lease of its record ends; but no fewer than lie between some reports.
        """
        if len(self._peers) == 1:
            return lease_seconds
        return max(lease_seconds / 2, min(lease_seconds, 2 * self._pace.report))

    async def _reports(self, peer: _Peer) -> AsyncIterator[pb.JoinRequest]:
        unanswered = peer.unanswered
        # grpcio asks for one report more after the server has ended the stream: the next one has begun then.
        while unanswered is peer.unanswered:
            peer.hurry.clear()
            unanswered.append(self._phase)
            yield pb.JoinRequest(cell=self._cell(), part=self._part())
            is_hurried = self._phase in _STATES and not self._handed_over.is_set()
            with suppress(TimeoutError):
                pause = self._pace.hurried if is_hurried else self._pace.report
                await asyncio.wait_for(peer.hurry.wait(), pause)

    def _note_answer(self, peer: _Peer, answer: pb.JoinResponse) -> None:
        phase = peer.unanswered.pop(0) if peer.unanswered else ""
        if not peer.is_home.is_set():
            return
        _REGISTERED.set(1)
        if phase == DRAINING:
            self._drain_known.set()
        # A manager of the release before says nothing of it.
        if phase == self._phase and phase in _STATES and answer.handover != pb.HANDOVER_RUNNING:
            self._handed_over.set()

    def _cell(self) -> pb.Cell:
        report = self._report()
        return pb.Cell(
            id=self._endpoint.id,
            zone=self._endpoint.zone,
            address=self._endpoint.address,
            weight=self._endpoint.weight,
            state=_STATES.get(self._phase, self._phase),
            warming=self._phase == WARMING,
            leaving=self._phase == LEAVING,
            protocol=protocol.CURRENT,
            load=pb.Load(
                capacity_bytes=report.capacity_bytes,
                used_bytes=report.used_bytes,
                resident=report.resident,
                loading=report.loading,
                oldest_seconds=report.oldest_seconds,
                requests=report.requests,
                hits=report.hits,
                quarantined=[
                    pb.Quarantined(artifact=each.digest, since=each.when, why=each.why, phase=each.phase)
                    for each in self._quarantine.condemned[-_MOST_QUARANTINED:]
                ],
                quarantined_total=len(self._quarantine),
                work=self._work(),
            ),
        )
