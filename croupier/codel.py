"""Whether a queue stands: even what waited least of it, for a while, waited for long.

A burst fills a queue too, and it empties by itself; one that stands only makes everybody late who is served
(Nichols and Jacobson, Controlling Queue Delay, ACM Queue 2012). While it stands, no more is taken in of those
whose own oldest has waited for longer than the target: the newest are refused, at once, while it costs next
to nothing, and those who were let in are answered in time.

Pure: times are arguments, in seconds on a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass

# Between the shortest wait that a busy loop gives anybody and one that callers mind; and what no burst takes.
TARGET = 0.05
INTERVAL = 0.2


@dataclass(slots=True)
class Codel:
    """Stands once every wait was over `target` for `interval`."""

    target: float = TARGET
    interval: float = INTERVAL
    _above_since: float | None = None
    is_standing: bool = False

    def waited(self, seconds: float, now: float) -> None:
        """Something was taken that had waited for so long."""
        if seconds <= self.target:
            self.emptied()
        elif self._above_since is None:
            self._above_since = now
        elif now - self._above_since >= self.interval:
            self.is_standing = True

    def emptied(self) -> None:
        """Nothing waits any more."""
        self._above_since, self.is_standing = None, False
