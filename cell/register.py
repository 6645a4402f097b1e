"""Keeps the cell registered: who it is, whether it drains, how full it is, once a second.

    join ──▶ report, report, …  until the stream breaks, the manager falls silent, or the cell stops
      ▲                │
      └── back-off ◀───┘        jittered and growing; the first answer after a join resets it

Registration is how routers find a cell, not what it lives by: a cell that cannot register goes on
serving whoever knows its address. So nothing here ever fails the process.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from cell.host import HostLoad
from cell.quarantine import Quarantine
from croupier import protocol
from croupier.errors import Conflict, CroupierError
from croupier.telemetry.metrics import Counter, Gauge
from protos.versions.v1 import versions_pb2 as pb

_log = logging.getLogger(__name__)

_REGISTERED = Gauge("croupier_cell_registered", "1 while the version manager answers the reports")
_JOINS = Counter("croupier_cell_joins_total", "Attempts to register")

ACTIVE = "active"
DRAINING = "draining"

# Of the quarantined artifacts, so many are reported: the latest.
_MOST_QUARANTINED = 64


class Manager(Protocol):
    """The part of `VersionManagerClient` that a cell uses."""

    def join(self, reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Who registers: `address` is the host:port that routers connect to."""

    id: str
    zone: str
    address: str
    weight: float


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between reports; the shortest and longest back-off; silence that ends a stream."""

    report: float = 1.0
    least_backoff: float = 0.1
    most_backoff: float = 5.0
    silence: float = 10.0


class Registration:
    """Registers one cell for as long as `run` runs; `lift` is told what the manager wants served again."""

    def __init__(
        self,
        manager: Manager,
        identity: Identity,
        load: Callable[[], HostLoad],
        *,
        pace: Pace = Pace(),
        quarantine: Quarantine | None = None,
        lift: Callable[[bytes], object] = lambda digest: None,
        rng: random.Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._manager = manager
        self._identity = identity
        self._load = load
        self._pace = pace
        self._quarantine = quarantine or Quarantine()
        self._lift = lift
        self._rng = rng
        self._sleep = sleep
        self._state = ACTIVE
        # Set when the next report should not wait for its second.
        self._hurry = asyncio.Event()
        # States of the reports that the stream which stands has sent and not had answered.
        self._unanswered: list[str] = []
        self._drain_known = asyncio.Event()

    async def run(self) -> None:
        """Register, again and again, until cancelled."""
        failures = 0
        while True:
            _JOINS.inc()
            if await self._stay_joined():
                failures = 0
            _REGISTERED.set(0)
            await self._sleep(self._backoff(failures))
            failures += 1

    async def drain(self, timeout: float) -> bool:
        """Report that this cell drains; whether the manager answered that within `timeout` seconds."""
        self._state = DRAINING
        self._hurry.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._drain_known.wait(), timeout)
        return self._drain_known.is_set()

    def _backoff(self, failures: int) -> float:
        """Full jitter, so that the cells of a fleet do not come back in step."""
        longest = min(self._pace.most_backoff, self._pace.least_backoff * 2.0 ** min(failures, 30))
        return self._rng.uniform(self._pace.least_backoff / 2, longest)

    async def _stay_joined(self) -> bool:
        """One stream, until it breaks; whether that was a success, which resets the back-off.

        It was if the manager ever answered, unless another process has joined as this cell: two of one
        id throw each other out, and must not do so without a pause.
        """
        answered = False
        self._unanswered = []
        try:
            async for answer in self._answers():
                if not answered:
                    _log.info("registered as %s", self._identity.id)
                answered = True
                _REGISTERED.set(1)
                self._note_answer()
                for digest in answer.lift:
                    self._lift(digest)
        except Conflict as error:
            _log.error("another process joined as %s: %s", self._identity.id, error)
            return False
        except CroupierError as error:
            _log.warning("not registered: %s", error)
        except TimeoutError:
            _log.warning("not registered: the version manager is silent")
        return answered

    async def _answers(self) -> AsyncIterator[pb.JoinResponse]:
        """The manager's answers; raises TimeoutError when it is silent for too long."""
        answers = aiter(self._manager.join(self._reports()))
        silence = self._pace.silence
        while True:
            try:
                async with asyncio.timeout(silence):
                    answer = await anext(answers)
            except StopAsyncIteration:
                return
            if answer.lease_seconds > 0:
                silence = answer.lease_seconds
            yield answer

    async def _reports(self) -> AsyncIterator[pb.JoinRequest]:
        unanswered = self._unanswered
        # grpcio asks for one report more after the server has ended the stream: the next one has begun then.
        while unanswered is self._unanswered:
            self._hurry.clear()
            unanswered.append(self._state)
            yield pb.JoinRequest(cell=self._cell())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), self._pace.report)

    def _note_answer(self) -> None:
        if self._unanswered and self._unanswered.pop(0) == DRAINING:
            self._drain_known.set()

    def _cell(self) -> pb.Cell:
        load = self._load()
        return pb.Cell(
            id=self._identity.id,
            zone=self._identity.zone,
            address=self._identity.address,
            weight=self._identity.weight,
            state=self._state,
            protocol=protocol.CURRENT,
            load=pb.Load(
                capacity_bytes=load.capacity_bytes,
                used_bytes=load.used_bytes,
                resident=load.resident,
                loading=load.loading,
                oldest_seconds=load.oldest_seconds,
                requests=load.requests,
                hits=load.hits,
                quarantined=[
                    pb.Quarantined(artifact=entry.digest, since=entry.when, why=entry.why, phase=entry.phase)
                    for entry in self._quarantine.entries[-_MOST_QUARANTINED:]
                ],
                quarantined_total=len(self._quarantine),
            ),
        )
