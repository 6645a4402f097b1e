"""Calls that were too many for one go, by priority and owner, who take turns (`croupier/fairness.py`).

Who is in here waits for a turn of the event loop and for what others had scored less, not for all that stands
before it. While a priority's calls stand (`croupier/codel.py`), the newest are not taken in.

Compiled with the types of `backlog.pxd`, as `croupier/fairness.py` is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from cell.codec.plain import who_at_end
from croupier.codel import Codel
from croupier.fairness import Ranks, Who
from croupier.priorities import PRIORITIES
from croupier.transport.http2.server_call import ServerCall


class Backlog:
    """Calls that wait; the one who takes them says what they cost."""

    def __init__(self, codel: Callable[[], Codel] = Codel) -> None:
        self._ranks = Ranks()
        self._codels = [codel() for _ in range(PRIORITIES)]
        self._calls: dict[Who, deque[ServerCall]] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def put(self, calls: Iterable[ServerCall], now: float) -> list[tuple[int, ServerCall]]:
        """Have calls wait; returns those that are refused, with their priorities."""
        refused = []
        for call in calls:
            who = who_at_end(call.message)
            waiting, codel = self._calls.get(who), self._codels[who[0]]
            if waiting is None:
                waiting = self._calls[who] = deque()
                self._ranks.join(who[0], who[1])
            elif codel.is_standing and now - waiting[0].arrived > codel.target:
                refused.append((who[0], call))
                continue
            waiting.append(call)
        return refused

    def take(self, now: float) -> tuple[Who, ServerCall] | None:
        """Whose turn it is, and its first call that somebody still waits for."""
        while (who := self._ranks.next()) is not None:
            calls = self._calls[who]
            call = calls.popleft()
            if call.is_open:
                self._ranks.turn(who[0])
                self._codels[who[0]].waited(now - call.arrived, now)
            if not calls:
                del self._calls[who]
                self._ranks.leave(who[0], who[1])
                if not self._ranks.count(who[0]):
                    self._codels[who[0]].emptied()
            if call.is_open:
                return who, call
        return None

    def charge(self, who: Who, cost: float) -> None:
        self._ranks.charge(who[0], who[1], cost)
