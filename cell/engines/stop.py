"""How a scoring call is told to end before it is done.

Native code that runs cannot be interrupted from outside; an engine whose code can be told to end says how, by
`bind`, and what is told then ends with `Stopped`. What does not end when it is told is for the watchdog
(`crash/slots.pyx`), which ends the process.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from croupier.errors import DeadlineExceeded


class Stopped(DeadlineExceeded):
    """A model ran for as long as its callers or this cell allow. The publisher's, or the caller's."""

    reason = "RUN_STOPPED"


class Stop:
    """One call, from `began` until `until` at the most, on the caller's clock.

    `ask` may come from another thread at any moment, before `bind` or after the end.
    """

    __slots__ = ("_end", "began", "is_asked", "until")

    def __init__(self, began: float = 0.0, until: float = math.inf) -> None:
        self.began = began
        self.until = until
        self.is_asked = False
        self._end: Callable[[], None] | None = None

    def bind(self, end: Callable[[], None]) -> None:
        """Have `end` called when somebody asks, or now if somebody has."""
        # Whichever thread comes second sees what the first one stored.
        self._end = end
        if self.is_asked:
            end()

    def ask(self) -> None:
        self.is_asked = True
        if self._end is not None:
            self._end()
