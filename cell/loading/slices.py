"""Work of the event loop for loading, a slice at a time, so that calls to hot models go in between. Pure.

Whatever a load needs on the event loop (its place in the queue, room, eviction, its waiters' answers) is
added here as a small piece of work. A slice does pieces in their order until `most` seconds are over, and
then waits for another turn of the loop, in which the sockets were looked at and hot calls answered. So a
storm of a thousand cold models takes as long as it takes, and delays nobody else by more than a slice and one
piece.

`cost` is what a piece makes others do later in the same turn, a task that is woken, say: it counts as spent.
What should be done once for all that a slice has finished is said by `then`, and happens at its end.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

_log = logging.getLogger(__name__)

MOST_SECONDS = 0.0003


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
        self._pieces: deque[tuple[Callable[[], None], float]] = deque()
        self._endings: list[Callable[[], None]] = []
        self._is_waiting = False

    def __len__(self) -> int:
        return len(self._pieces)

    def add(self, piece: Callable[[], None], cost: float = 0.0) -> None:
        """Have `piece` done in a slice to come, behind all that were added before."""
        self._pieces.append((piece, cost))
        if not self._is_waiting:
            self._is_waiting = True
            self._wait(self._run)

    def then(self, ending: Callable[[], None]) -> None:
        """Have `ending` called at the end of each slice."""
        self._endings.append(ending)

    def _run(self) -> None:
        self._is_waiting = False
        until = self._clock() + self._most
        for _ in range(len(self._pieces)):
            piece, cost = self._pieces.popleft()
            self._do(piece)
            until -= cost
            if self._clock() >= until:
                break
        for ending in self._endings:
            self._do(ending)
        if self._pieces and not self._is_waiting:
            self._is_waiting = True
            self._wait(self._run)

    def _do(self, piece: Callable[[], None]) -> None:
        try:
            piece()
        except Exception:  # noqa: BLE001 (a bug of ours; the pieces behind it are other callers')
            _log.exception("a piece of loading failed")
