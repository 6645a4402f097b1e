"""How many requests a router may have in flight, by how late its own loop is.

    stalls: how late a beat of the loop came ──▶ Pressure ──▶ limit ──▶ buckets: whoever finds no room is
                                                                        refused, lower priorities first

A router whose loop has more to do than it can is late with every answer, and cells look late to it that are
not. What it lets in is then what it has to do; so it lets in less, until turns of its loop are short again.
One long turn says nothing: a collection, a swap of the catalog, a moment without a processor. It is every
beat of a while that has to be late (`croupier/codel.py`).

While they are, the limit is a part of what was in flight, and a smaller one each time. Afterwards it rises
step by step to what the router may have in any case.

Pure: times are arguments, in seconds on a monotonic clock.
"""

from __future__ import annotations

from croupier.codel import Codel
from croupier.telemetry.metrics import LoopGauge

# A beat as late as this is felt by callers; and one that comes in time so often is enough.
TARGET, INTERVAL = 0.025, 0.2
# No fewer: so many are no work.
LEAST = 64
# Of what was in flight, and of the limit, after each interval.
_LESS, _MORE = 0.7, 1.1

_LIMIT = LoopGauge(
    "croupier_router_in_flight_limit", "Requests that the router may have in flight: fewer while it is late"
)


class Pressure:
    """`most` is what may be in flight while the loop is in time."""

    def __init__(self, most: int) -> None:
        self.most = self.limit = most
        _LIMIT.value = most
        self._codel = Codel(TARGET, INTERVAL)
        self._due = 0.0
        self._peak = 0

    def beat(self, late: float, in_flight: int, now: float) -> int:
        """The limit after a beat of the loop that came `late`; so many requests are in flight."""
        self._codel.waited(late, now)
        self._peak = max(self._peak, in_flight)
        if now < self._due:
            return self.limit
        self._due = now + INTERVAL
        if self._codel.is_standing:
            self.limit = min(self.limit, max(LEAST, int(_LESS * min(self.limit, self._peak))))
        elif self.limit < self.most:
            self.limit = min(self.most, int(_MORE * self.limit) + 1)
        self._peak = in_flight
        _LIMIT.value = self.limit
        return self.limit
