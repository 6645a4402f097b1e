"""Has a shard map take over: raises its ramp by steps, holds it if it does harm, ends it once it is whole.

Every manager does that: whoever is first writes the pointer, and the others see it. What is due is reckoned
from when a manager saw the pointer as it stands, by its own clock, so that clocks that are apart hurry
nothing; a manager that starts begins with a whole step's wait. So a ramp takes a little longer than it was
told, and stands while no manager runs, or the map is frozen. One that meets a ramp under way takes no step of
it until it has seen what it can judge it by (`ramp_bounds`).

The first step is taken once cells hold what they will be asked for (`handovers`), as far as that can be had
in time: a map that is to deal to all at once is a ramp of one step.

Only a generation that was ramped ends the one before it; one that came at once looks back until the next.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from croupier.errors import CroupierError
from croupier.telemetry.metrics import Counter, Gauge
from version_manager.cells.registry import Registry
from version_manager.handovers import Handovers
from version_manager.map.keys import Keys
from version_manager.map.mirror import Mirror
from version_manager.map.records import Active
from version_manager.ramp_bounds import Bounds, Judge
from version_manager.ramp_tally import Tally
from version_manager.rates import Rates
from version_manager.writes.ramping import SWITCH_SECONDS, Ramping, step_seconds

_log = logging.getLogger(__name__)
_RAMP = Gauge(
    "croupier_version_manager_ramp_basis_points",
    "The tenants that the active generation deals to, of 10,000",
)
_PAUSED = Gauge("croupier_version_manager_ramp_paused", "1 while the ramp of the active generation is held")
_PAUSES = Counter(
    "croupier_version_manager_ramp_pauses_total", "Ramps that this manager held, since they did harm"
)

_LOOK_SECONDS = 1.0
# While a ramp waits for cells, and between two looks.
_WAITING_SECONDS = 0.1
_PACE_SECONDS = 0.02


class Ramper:
    """`settle_seconds`: how long the previous generation is looked back to once the ramp is whole."""

    def __init__(
        self,
        mirror: Mirror,
        keys: Keys,
        ramping: Ramping,
        registry: Registry,
        rates: Rates,
        bounds: Bounds,
        settle_seconds: float,
        handovers: Handovers,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mirror = mirror
        self._key = keys.active
        self._ramping = ramping
        self._tally = Tally(registry)
        self._rates = rates
        self._judge = Judge(bounds)
        self._settle_seconds = settle_seconds
        self._handovers = handovers
        self._clock = clock
        self._seen = 0
        self._seen_at = clock()

    async def run(self) -> None:
        """Do what is due, until cancelled."""
        while True:
            try:
                await self.turn()
            except CroupierError as error:
                _log.warning("the ramp of the shard map stands: %s", error)
            pointer = self._mirror.map.pointer
            is_waiting = pointer is not None and pointer.is_ramping and not pointer.ramp
            await self._mirror_moves(_WAITING_SECONDS if is_waiting else _LOOK_SECONDS)

    async def _mirror_moves(self, seconds: float) -> None:
        """Or after so many seconds: what is to deal at once does not wait for the next look."""
        moved = self._mirror.next_move()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await moved.wait()
        await asyncio.sleep(_PACE_SECONDS)

    async def turn(self) -> None:
        """Look, and do what is due now. Raises CroupierError: it could not be done, and still is."""
        now, pointer = self._clock(), self._mirror.map.pointer
        sample = self._tally.sample(*self._rates.all_failed())
        if pointer is None:
            # So that the first generation is seen to begin.
            self._judge.look(now, sample, 0, is_rising=False)
            return
        revision = self._look(now)
        _RAMP.set(pointer.ramp)
        _PAUSED.set(bool(pointer.paused) and pointer.is_ramping)
        is_rising = pointer.is_ramping and not pointer.paused and pointer.seconds > 0
        why = self._judge.look(now, sample, pointer.active, is_rising=is_rising)
        # What somebody wrote over it is not written over in passing.
        if not self._mirror.is_frozen and self._key not in self._mirror.bad_keys:
            await self._act(pointer, revision, now - self._seen_at, is_rising, why)
            # What this manager wrote, it has seen.
            self._look(now)

    def _look(self, now: float) -> int:
        """Note since when the pointer stands as it does; returns its revision."""
        revision = self._mirror.mod_revision(self._key)
        if revision != self._seen:
            self._seen, self._seen_at = revision, now
        return revision

    def _may_rise(self, pointer: Active, waited: float) -> bool:
        """Whether a step is due. The first waits until cells have loaded what they will be asked for."""
        # Nothing would be judged after its only step.
        is_switch = pointer.seconds <= SWITCH_SECONDS
        if not (is_switch or self._judge.has_baseline):
            return False
        is_due = waited >= step_seconds(pointer)
        if pointer.ramp:
            return is_due
        is_warm = self._handovers.of_ramp(pointer).is_done or waited >= self._handovers.seconds
        return is_warm and (is_due or is_switch)

    async def _act(self, pointer: Active, revision: int, waited: float, is_rising: bool, why: str) -> None:
        if why:
            if await self._ramping.hold(pointer, revision, why):
                _log.error("the ramp of generation %d is held: %s", pointer.active, why)
                _PAUSES.inc()
        elif is_rising:
            if self._may_rise(pointer, waited):
                await self._ramping.step(pointer, revision)
        elif (
            _has_taken_over(pointer)
            and waited >= self._settle_seconds
            and await self._ramping.end(pointer, revision)
        ):
            _log.info("generation %d has taken over from %d", pointer.active, pointer.previous)


def _has_taken_over(pointer: Active) -> bool:
    """By a ramp."""
    return not pointer.is_ramping and bool(pointer.previous) and pointer.seconds > 0
