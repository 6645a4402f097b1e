"""The latest requests that failed or were slow, for whoever asks why: a few of each of a few tenants.

Whose requests fail by the thousand fills no more than its own places, and pushes out nobody's; who hangs up
has not failed. What is kept is what the log would say: never what was asked or answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from croupier.bounded import Bounded
from croupier.codes import Code
from croupier.request_ids import Named
from router.units import Unit

# Of each of so many tenants, those that were in trouble last.
MOST_TENANTS = 16
MOST_OF_TENANT = 3
_MOST_CELLS = 4
# Between two of a tenant's that failed alike: in a flood, one is as good as another.
_PAUSE = 0.25
_WELL = frozenset((Code.OK.name, Code.CANCELLED.name))


@dataclass(frozen=True, slots=True)
class Ended:
    """One request; `at` is when it ended, `cells` were tried, with `attempts` at most for an item."""

    request_id: str
    tenant: str
    model: str
    method: str
    code: str
    reason: str
    seconds: float
    cells: tuple[str, ...]
    attempts: int
    at: float


class Latest:
    """Slow are requests of `slow_seconds` and more, 0 for none; `clock` is monotonic, in seconds."""

    def __init__(self, slow_seconds: float, *, clock: Callable[[], float]) -> None:
        # Only what takes so long has to be told, or has failed.
        self.from_seconds = self._slow_seconds = slow_seconds or inf
        self._clock = clock
        self._tenants: Bounded[str, deque[Ended]] = Bounded(MOST_TENANTS)

    def ended(
        self,
        caller: Named,
        method: str,
        code: str,
        seconds: float,
        units: Sequence[Unit],
        tenant: Callable[[], str],
        reason: str = "",
    ) -> None:
        """A request has ended, with an error of `reason` or well, after `units` were tried for it."""
        if code in _WELL and seconds < self._slow_seconds:
            return
        # Of a stranger nobody asks why.
        if not (named := tenant()):
            return
        now, kept = self._clock(), self._tenants.get(named)
        if kept is None:
            kept = deque(maxlen=MOST_OF_TENANT)
        elif seconds < self._slow_seconds and now - kept[-1].at < _PAUSE and kept[-1].code == code:
            return
        target = next((unit.target for unit in units if unit.target is not None), None)
        tried = dict.fromkeys(cell for unit in units for cell in unit.cells[: unit.tried])
        kept.append(
            Ended(
                str(caller.request_id),
                named,
                "" if target is None else target.model,
                method,
                code,
                reason,
                seconds,
                tuple(tried)[:_MOST_CELLS],
                max((unit.tried for unit in units), default=0),
                now,
            )
        )
        self._tenants[named] = kept

    def all(self) -> list[Ended]:
        """The latest first."""
        return sorted((one for kept in self._tenants.values() for one in kept), key=lambda one: -one.at)
