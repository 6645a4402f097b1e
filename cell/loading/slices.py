"""Work of the event loop for loading, a slice at a time, so that calls to hot models go in between. Pure.

Whatever a load needs on the event loop (its place in the queue, room, eviction, its waiters' answers) is
added here as a small piece of work. A slice does pieces until `most` seconds are over, and then waits for
another turn of the loop, in which the sockets were looked at and hot calls answered. So a storm of a thousand
cold models takes as long as it takes, and delays hot calls by no more than a slice and one piece.

Nor does it delay by more those who wait here themselves: whose piece is next, says who was served least
(`croupier/fairness.py`). What is no caller's, the ends of loads, is as one of them; each has its pieces done
in their order.

`cost` is what a piece makes others do later in the same turn, a task that is woken, say: it counts as spent.
What should be done once for all that a slice has finished is said by `then`, and happens at its end.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from croupier.fairness import Ranks, Who

_log = logging.getLogger(__name__)

MOST_SECONDS = 0.0003
# Whose pieces are that are no caller's: owners are above 0.
OURS: Who = (0, -1)


class Slices:
    """`wait` has a function called in a later turn of the loop; `clock` is in seconds."""

    def __init__(
        self,
        clock: Callable[[], float],
        wait: Callable[[Callable[[], None]], None],
        *,
        most: float = MOST_SECONDS,
    ) -> None:
        self._clock = clock
        self._wait = wait
        self._most = most
        self._ranks = Ranks()
        self._pieces: dict[Who, deque[tuple[Callable[[], None], float]]] = {}
        self._count = 0
        self._endings: list[Callable[[], None]] = []
        self._is_waiting = False

    def __len__(self) -> int:
        return self._count

    def add(self, piece: Callable[[], None], cost: float = 0.0, who: Who = OURS) -> None:
        """Have `piece` done in a slice to come, behind all that were added before for `who`."""
        pieces = self._pieces.get(who)
        if pieces is None:
            pieces = self._pieces[who] = deque()
            self._ranks.join(*who)
        pieces.append((piece, cost))
        self._count += 1
        if not self._is_waiting:
            self._is_waiting = True
            self._wait(self._run)

    def then(self, ending: Callable[[], None]) -> None:
        """Have `ending` called at the end of each slice."""
        self._endings.append(ending)

    def _run(self) -> None:
        self._is_waiting = False
        began = self._clock()
        until = began + self._most
        for _ in range(self._count):
            if (who := self._ranks.next()) is None:
                break
            piece, cost = self._take(who)
            self._do(piece)
            now = self._clock()
            self._ranks.charge(*who, now - began + cost)
            until -= cost
            if now >= until:
                break
            began = now
        for ending in self._endings:
            self._do(ending)
        if self._count and not self._is_waiting:
            self._is_waiting = True
            self._wait(self._run)

    def _take(self, who: Who) -> tuple[Callable[[], None], float]:
        """The next piece of `who`, whose turn it is."""
        self._ranks.turn(who[0])
        pieces = self._pieces[who]
        taken = pieces.popleft()
        self._count -= 1
        if not pieces:
            del self._pieces[who]
            self._ranks.leave(*who)
        return taken

    def _do(self, piece: Callable[[], None]) -> None:
        try:
            piece()
        except Exception:  # noqa: BLE001 (a bug of ours; the pieces behind it are other callers')
            _log.exception("a piece of loading failed")
