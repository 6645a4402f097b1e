"""When the log is written: as soon as there is enough, or what there is has become old.

A store that does not take it is asked again, ever more slowly; meanwhile the spool fills, and routers drop
what does not fit. No request waits for any of this.

Whoever has a whole file's worth to write again as soon as one was written is late: `hurry` is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from random import Random

from croupier.backoff import Backoff
from croupier.errors import CroupierError
from logger.batches import Log

_log = logging.getLogger(__name__)

_BACKOFF = Backoff(0.2, 10.0)


class Follower:
    """Writes `log` when it is time. `why_not` says why nothing is written now, "" while all is well.

    `hurry` is told of each write before it begins: whether it is late.
    """

    def __init__(
        self,
        log: Log,
        *,
        flush_seconds: float,
        poll_seconds: float,
        clock: Callable[[], float],
        rng: Random,
        hurry: Callable[[bool], None] = lambda is_late: None,
    ) -> None:
        self._log = log
        self._flush, self._poll = flush_seconds, poll_seconds
        self._clock, self._rng = clock, rng
        self._hurry = hurry
        self._since: float | None = None
        self._was_full = False
        self._stop = asyncio.Event()
        self.why_not = ""

    async def run(self) -> None:
        """Until it is told to `stop`, between two steps."""
        failures = 0
        while not self._stop.is_set():
            await self.turn()
            failures = failures + 1 if self.why_not else 0
            pause = _BACKOFF.spread(failures, self._rng) if failures else self._poll
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)

    def stop(self) -> None:
        self._stop.set()

    async def turn(self, *, at_once: bool = False) -> bool:
        """Look, and write if it is time; whether anything was written."""
        try:
            if self._log.progress.batch is None:
                await asyncio.to_thread(self._log.gather)
                if not at_once and not self._is_time():
                    self._was_full = False
                    await asyncio.to_thread(self._log.sweep)
                    return False
            self._hurry(self._was_full and self._log.is_full)
            self._was_full = self._log.is_full
            await self._log.write()
        except Exception as error:  # noqa: BLE001 - after a bug too it is tried again, as a restart would
            if not self.why_not:
                is_bug = not isinstance(error, CroupierError | OSError)
                _log.error("nothing is written: %s", error, exc_info=error if is_bug else None)
            self.why_not = f"nothing is written: {error}"
            return False
        if self.why_not:
            _log.info("the log is written again")
        self.why_not, self._since = "", None
        return True

    def _is_time(self) -> bool:
        if not self._log.gathered.ranges:
            return False
        now = self._clock()
        self._since = now if self._since is None else self._since
        return self._log.is_full or now - self._since >= self._flush
