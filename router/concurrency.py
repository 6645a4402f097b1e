"""How many calls a cell may have in flight: as many as it answers without a queue that is too long.

    loads.look ──▶ Limit.after ──▶ limit ──▶ balance: whoever finds no room is refused at once

Nothing limits a cell until its answers are late: what waited least of most tenants' requests waited for
longer than it should (`loads.pyx`), or the cell said that it is overloaded. Then it may have as many as it
answers in the time that an answer may take (Little's law): that is known at once, whatever has queued before.
It gets more while somebody is refused and answers are in time, the more `room` there is: what answers may
take over what they take. The root of it, since an answer tells of the past: the whole would swing for ever.
Once all of that was over for a while, nothing limits it.

**Nobody waits in a router.** Who is refused hears of it in no time. Who is let in waits at the cell alone,
where owners share by what they cost, over all routers. So there is one queue that takes time, and it is
short: no work is done for callers that have given up.

**Who is refused**: first what has a lower priority, then whoever has as many calls in flight as are left, so
that one tenant can take half of a cell, two take a third each, and who has none finds a place (dynamic
thresholds, Choudhury and Hahne, 1998). A few it may have while there is any room: who waits for an answer
asks for no more meanwhile, and who is refused may come again at once. What has no room at its cell goes to a
next one of the hand only if nothing limits that: models stay in one memory, above all when there is too much
to do.

A router that is itself too busy sees all its answers late, and lets in less for the same reason: to refuse
costs it a part of what a call does.

Pure: times are arguments, in seconds on a monotonic clock. Compare Netflix's concurrency-limits, and Swift
(Kumar et al., SIGCOMM 2020), which aims at a delay, too.
"""

from __future__ import annotations

from math import sqrt

from croupier.errors import Unavailable
from croupier.priorities import NAMES, OVERLOADED
from croupier.telemetry.metrics import LoopCounter, LoopGauge

_REFUSED = LoopCounter(
    "croupier_router_shed_total",
    "Predictions refused since their cells had too much to do, by priority",
    ["priority"],
    [(name,) for name in NAMES],
)
_LIMITED = LoopGauge("croupier_router_limited_cells", "Cells whose calls in flight are limited now")

# Times of what it was, after a period.
_MOST_LESS, _MOST_MORE = 0.5, 1.5
# Room so small tells a queue from chance at once, and so do so many times of what fits; else two periods in a
# row do.
_CERTAIN, _FAR_TOO_MANY = 0.5, 4.0
# No less may be in flight: so many are no load, and a cell may be late for want of a processor. With fewer,
# hardly any go into one batch, and a tenant that is alone there has half of it. Only where callers give up
# meanwhile, so many are a queue: then it is half of that.
LEAST, LEAST_OF_SLOW = 16.0, 8.0
# Without anybody refused or late, until nothing limits it any more.
CALM_SECONDS = 1.0
_RETRY_AFTER = 0.1
NO_LIMIT = 0.0


class CellsBusy(Unavailable):
    """The cells that may be asked have as much to do as they can. Ours, passing."""

    reason = OVERLOADED

    def __init__(self) -> None:
        super().__init__("the cells of this tenant have too much to do", retry_after=_RETRY_AFTER)


class Limit:
    """One cell's."""

    def __init__(self) -> None:
        self._busy_at = 0.0
        self._was_late = False
        self._least = LEAST

    def after(
        self,
        limit: float,
        room: float,
        fit: float,
        most: int,
        refused: int,
        now: float,
        is_wasting: bool = False,
    ) -> float:
        """The limit after a period in which `limit` was; 0.0 for none.

        `room`: what answers may take over what they took, 0.0 if there were none. `fit`: how many it
        answers in the former. `most` were in flight, and `refused` were not let in. It `is_wasting` what it
        does if callers do not wait for it.
        """
        is_late = 0.0 < room < 1.0
        if is_late or refused:
            self._busy_at = now
        is_certain = self._was_late or room < _CERTAIN or most > _FAR_TOO_MANY * max(fit, LEAST_OF_SLOW)
        self._was_late = is_late
        if is_late and (limit or is_certain):
            # What was not in use is no measure.
            before = min(limit, 2.0 * most) if limit else float(most)
            if is_wasting:
                self._least = LEAST_OF_SLOW
            changed = max(self._least, min(before, max(fit, before * _MOST_LESS)))
        elif not limit or now - self._busy_at >= CALM_SECONDS:
            changed, self._least = NO_LIMIT, LEAST
        elif refused and room:
            changed = limit * min(_MOST_MORE, sqrt(room))
        else:
            changed = limit
        _LIMITED.value += bool(changed) - bool(limit)
        return changed

    def forget(self, limit: float) -> None:
        """The cell is gone, while `limit` was its limit."""
        _LIMITED.value -= bool(limit)


def refusal(priority: int) -> CellsBusy:
    """Note that a prediction is refused, and say so."""
    _REFUSED.values[NAMES[priority],] += 1
    return CellsBusy()
