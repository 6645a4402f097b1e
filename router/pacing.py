"""How soon a refusal is told: at once, but to a tenant that is refused very often, one after the other.

Who is refused and comes again at once, whatever it was told of when to come, is refused as often as the
router can do that: a refusal costs a good part of what a request does, and everybody else waits for it. Such
a caller waits for each answer before it asks again. So what is told it later costs less: above `RATE`
refusals a second, a tenant's are that far apart.

It does nothing to those who are refused in the usual way, nor to callers who do not wait for answers: theirs
are as many as before. What waits to be told is bounded, in requests and, since one that is held and large is
told at once, in bytes; so is how long it waits. Of what is refused by its length nothing is held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from croupier.bounded import Bounded
from croupier.errors import QuotaExceeded, Unavailable
from croupier.telemetry.metrics import LoopCounter

# Of one tenant's refusals, so many a second are told at once, and at any time as many as in `BURST` seconds.
RATE, BURST = 1000.0, 0.05
LONGEST = 1.0
MOST_HELD = 1024
MOST_BYTES = 2**16
_MOST_TENANTS = 1024

_PACED = LoopCounter(
    "croupier_router_paced_refusals_total", "Refusals that were told later, since their tenant has so many"
)


class Pacing:
    """`held` refusals wait to be told."""

    def __init__(self) -> None:
        self.held = 0
        # By tenant, when the next of its refusals would be told if all were equally far apart.
        self._next: Bounded[str, float] = Bounded(_MOST_TENANTS)

    def tell(self, error: Exception, tenant: str, size: int, now: float, tell: Callable[[], None]) -> None:
        """Call `tell`, which tells `tenant` of an error; if that refuses a request of `size` bytes, in time.

        In seconds on a monotonic clock, it is `now`.
        """
        seconds = 0.0
        if tenant and isinstance(error, (QuotaExceeded, Unavailable)):
            seconds = self._delay(tenant, now)
        if not seconds or self.held >= MOST_HELD or size > MOST_BYTES:
            tell()
            return
        self.held += 1
        _PACED.values[()] += 1
        asyncio.get_running_loop().call_later(seconds, self._tell_held, tell)

    def _tell_held(self, tell: Callable[[], None]) -> None:
        self.held -= 1
        tell()

    def _delay(self, tenant: str, now: float) -> float:
        due = max(self._next.get(tenant, 0.0), now - BURST)
        self._next[tenant] = min(due + 1.0 / RATE, now + LONGEST)
        return max(0.0, due - now)
