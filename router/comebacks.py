"""When those who were refused are told to come back: one after the other. Pure.

Of a hundred callers of one tenant that are all told when there will be room for one of them, a hundred come
back then, and ninety-nine are refused again. So each is told of the room that is left once those told before
it have come: one costs as long as there is to wait, or what one unit takes to come back, if that is more.

Some who are told do not come, and some come when they like. So nobody is told of a moment that is more than
`LONGEST` after there is room, or more than `TURNS` of those before it; who would be comes at any moment until
then.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, log2

from croupier.bounded import Bounded

LONGEST, TURNS = 2.0, 16
_MOST = 1024
# So many steps for each doubling, and later by up to so much of it.
_STEPS = 8
_SPREAD = 0.1
_LEAST = 0.001


class Comebacks:
    """`random` gives numbers from 0 to 1; moments and waits are in seconds, on one monotonic clock."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        # By tenant and limit, until when what there is was promised.
        self._promised: Bounded[tuple[str, str], float] = Bounded(_MOST)

    def after(self, tenant: str, limit: str, wait: float, unit: float, now: float) -> float:
        """How long from `now` to come back. There is room in `wait`, and for one more in each `unit`."""
        room, each = now + wait, max(wait, unit)
        moment = max(self._promised.get((tenant, limit), 0.0), room)
        longest = max(LONGEST, TURNS * each)
        if moment > room + longest:
            return spread(wait + longest * self._random(), 0.0)
        self._promised[tenant, limit] = moment + each
        return spread(moment - now, self._random())


def spread(wait: float, random: float) -> float:
    """`wait` seconds and up to a fifth more, so that those who were refused together come back apart.

    It is one of few numbers: a status that was made once is found again.
    """
    wait = max(_LEAST, wait * (1.0 + _SPREAD * random))
    return float(2.0 ** (ceil(log2(wait) * _STEPS) / _STEPS))
