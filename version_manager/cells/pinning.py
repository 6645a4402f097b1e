"""Has every cell keep what its tenants' records of residency say, over and over.

    map: records · releases · generation · cells ──▶ each cell's shares ──▶ Unpin, Warm (pin, floor)
                              ▲                                                │
        the map moves, a cell joins, a retry or a repetition is due ◀──────────┘

A sweep compares what each cell ought to keep with what it was told since it joined, and tells it the
difference. A cell that joins again writes its record again, so a record of another revision is a cell that
knows nothing. Nothing of this is written down: a manager that starts tells every cell everything, and
all managers of a fleet tell the same. What it cannot know then is which artifacts were pinned before, so it
unpins all other artifacts of the cell's tenants that have a record.

A cell that fails is tried again after 1, 2, 4 … 60 s, or once its shares are others. Cells are told one after
another, and what one was to load when its connection broke is asked of no other for a minute: an artifact
that crashes cells crashes one, and not the hand.

Everything is told again after five minutes, for what a cell lost in some other way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from croupier.backoff import Backoff
from croupier.telemetry.metrics import Counter, Gauge
from croupier.transport.client import Channel
from protos.cell.v1 import cell_pb2 as pb
from sharding.dealer import Dealer
from version_manager.cells.calls import (
    BROKEN,
    CellAway,
    CellCalls,
    CellRefused,
    calling,
    hand_of,
    why_not_resident,
)
from version_manager.map.image import Map
from version_manager.map.keys import Keys
from version_manager.map.mirror import Mirror
from version_manager.model.fleet import Cell, CellState
from version_manager.model.residency import ResidencyRule

_log = logging.getLogger(__name__)

_FAILURES = Counter(
    "croupier_version_manager_residency_failures_total",
    "Times that a cell could not be had to keep what a tenant's record says",
)
_BEHIND = Gauge(
    "croupier_version_manager_residency_behind", "Cells that do not keep yet what tenants' records say"
)

# Sweeps are at least so far apart.
_PACE_SECONDS = 0.5
_REPEAT_SECONDS = 300.0
_BACKOFF = Backoff(first=1.0, longest=60.0)
# How long a cell may take to load what is pinned in one call, and for the call itself.
_WAIT_SECONDS = 5.0
_CALL_SECONDS = 2.0
# For how long no other cell is asked to load what may have ended one.
_SUSPECT_SECONDS = 60.0
_ARTIFACTS_A_CALL = 1000
# Tenants that are planned before the event loop turns.
_TENANTS_A_TURN = 100


@dataclass(frozen=True, slots=True)
class Share:
    """What one cell keeps of one tenant."""

    floor_bytes: int = 0
    artifacts: frozenset[bytes] = frozenset()


Shares = Mapping[str, Share]
_NO_SHARES: Shares = {}


@dataclass(slots=True)
class _Sent:
    """What a cell was told since its record has `revision`."""

    revision: int
    repeat_at: float
    # What it keeps for certain, by tenant, and what it was told last of all.
    kept: dict[str, Share] = field(default_factory=dict)
    tried: Shares = field(default_factory=dict)
    # Tenants that may have a floor there, and artifacts that may be pinned.
    tenants: set[str] = field(default_factory=set)
    pinned: set[bytes] = field(default_factory=set)
    failures: int = 0
    retry_at: float = 0.0


class Pinning:
    """`open_channel` makes a channel to a cell; `clock` gives seconds."""

    def __init__(
        self, mirror: Mirror, keys: Keys, open_channel: Callable[[Cell], Channel], clock: Callable[[], float]
    ) -> None:
        self._mirror = mirror
        self._keys = keys
        self._open = open_channel
        self._clock = clock
        self._sent: dict[str, _Sent] = {}
        self._dealers: list[Dealer] = []
        # Artifacts that may have ended a cell, until when.
        self._suspects: dict[bytes, float] = {}

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            moved = self._mirror.next_move()
            try:
                pause = await self.sweep()
            except Exception:  # noqa: BLE001
                # Whatever it is, it may not end the manager.
                _log.exception("a sweep of the cells failed")
                _FAILURES.inc()
                pause = _BACKOFF.longest
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await moved.wait()
            await asyncio.sleep(_PACE_SECONDS)

    async def sweep(self) -> float:
        """Tell each cell what it does not know yet; returns in how many seconds something is due."""
        served = self._mirror.map
        plan = await self._plan(served)
        active = {cell.id: cell for cell in served.cells.values() if cell.state is CellState.ACTIVE}
        for gone in self._sent.keys() - active.keys():
            del self._sent[gone]
        for cell in active.values():
            sent, shares = self._known(cell), plan.get(cell.id, _NO_SHARES)
            if sent.kept != shares and (sent.retry_at <= self._clock() or sent.tried != shares):
                await self._see_to(cell, sent, shares, served)
        behind = [sent for cell, sent in self._sent.items() if sent.kept != plan.get(cell, _NO_SHARES)]
        _BEHIND.set(len(behind))
        due = [sent.retry_at for sent in behind] + [sent.repeat_at for sent in self._sent.values()]
        return max(0.0, min(due, default=self._clock() + _REPEAT_SECONDS) - self._clock())

    async def _plan(self, served: Map) -> dict[str, dict[str, Share]]:
        """Each cell's shares; a tenant whose record wants nothing has one as well."""
        known = self._dealers
        self._dealers = [
            next((dealer for dealer in known if dealer.generation is one), None) or Dealer(one)
            for one in served.dealing
        ]
        plan: dict[str, dict[str, Share]] = {}
        for number, (tenant, residency) in enumerate(served.residencies.items()):
            if number % _TENANTS_A_TURN == 0:
                await asyncio.sleep(0)
            share = Share(residency.floor_bytes, frozenset(_released(tenant, residency, served)))
            for cell in hand_of(tenant, self._dealers, served):
                plan.setdefault(cell.id, {})[tenant] = share
        return plan

    def _known(self, cell: Cell) -> _Sent:
        revision = self._mirror.mod_revision(self._keys.cell(cell.id))
        sent, now = self._sent.get(cell.id), self._clock()
        if sent is None or sent.revision != revision:
            sent = self._sent[cell.id] = _Sent(revision, now + _REPEAT_SECONDS)
        elif sent.repeat_at <= now:
            sent.repeat_at = now + _REPEAT_SECONDS
            sent.kept.clear()
        return sent

    async def _see_to(self, cell: Cell, sent: _Sent, shares: Shares, served: Map) -> None:
        sent.tried = shares
        try:
            async with calling(self._open, cell) as calls:
                failures = await self._tell(calls, sent, shares, served)
        except (CellAway, CellRefused) as error:
            failures = [error.message]
        if not failures:
            sent.failures = 0
            pins = sum(len(share.artifacts) for share in shares.values())
            _log.info("cell %s keeps %d pinned artifacts for %d tenants", cell.id, pins, len(shares))
            return
        sent.failures += 1
        sent.retry_at = self._clock() + _BACKOFF.after(sent.failures)
        _FAILURES.inc()
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        _log.warning("cell %s does not keep what it should: %s%s", cell.id, failures[0], more)

    async def _tell(self, calls: CellCalls, sent: _Sent, shares: Shares, served: Map) -> list[str]:
        """Tell a cell what differs, what goes first of all; returns what it does not keep.

        Raises:
            CellAway: there is no use in going on.
            CellRefused: it does not unpin.
        """
        await _let_go(calls, sent, shares, served)
        failures = []
        for tenant, share in shares.items():
            if sent.kept.get(tenant) == share:
                continue
            sent.kept.pop(tenant, None)
            sent.tenants.add(tenant)
            sent.pinned |= share.artifacts
            try:
                why = await self._keep(calls, tenant, share)
            except CellRefused as error:
                why = error.message
            if why:
                failures.append(f"tenant {tenant}: {why}")
            else:
                sent.kept[tenant] = share
        return failures

    async def _keep(self, calls: CellCalls, tenant: str, share: Share) -> str:
        """Why a cell does not keep `share`; empty when it does. Raises CellAway, CellRefused."""
        now = self._clock()
        self._suspects = {artifact: end for artifact, end in self._suspects.items() if end > now}
        wanted = sorted(share.artifacts - self._suspects.keys())
        why = "" if len(wanted) == len(share.artifacts) else "a cell ended while it loaded this"
        for some in _chunks(wanted) or [[]]:
            request = pb.WarmRequest(
                artifacts=some,
                group=tenant,
                floor_bytes=share.floor_bytes,
                pin=True,
                wait_seconds=_WAIT_SECONDS,
            )
            try:
                response = await calls.warm(request, _WAIT_SECONDS + _CALL_SECONDS)
            except CellAway as error:
                if error.message == BROKEN:
                    self._suspects |= dict.fromkeys(some, self._clock() + _SUSPECT_SECONDS)
                raise
            why = why_not_resident(response) or why
        return why


async def _let_go(calls: CellCalls, sent: _Sent, shares: Shares, served: Map) -> None:
    """Unpin what is in no share, and take away the floors of tenants without one."""
    keep = {artifact for share in shares.values() for artifact in share.artifacts}
    fresh = shares.keys() - sent.tenants
    stale = (sent.pinned | {artifact for tenant in fresh for artifact in _all(tenant, served)}) - keep
    for some in _chunks(sorted(stale)):
        await calls.unpin(some, _CALL_SECONDS)
    sent.pinned -= stale
    for tenant in sorted(sent.tenants - shares.keys()):
        await calls.warm(pb.WarmRequest(group=tenant, floor_bytes=0), _CALL_SECONDS)
        sent.tenants.discard(tenant)
        sent.kept.pop(tenant, None)


def _released(tenant: str, residency: ResidencyRule, served: Map) -> Iterator[bytes]:
    """The artifacts that releases of the pinned models name."""
    for name in residency.pinned:
        model = served.catalog.find(tenant, name)
        if model is not None and model.release is not None:
            for number in model.release.versions():
                yield model.versions[number].artifact


def _all(tenant: str, served: Map) -> Iterator[bytes]:
    """Every artifact of the tenant."""
    for model in served.catalog.of_tenant(tenant):
        for version in model.versions.values():
            yield version.artifact


def _chunks(artifacts: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [artifacts[at : at + _ARTIFACTS_A_CALL] for at in range(0, len(artifacts), _ARTIFACTS_A_CALL)]
