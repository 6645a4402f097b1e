"""How long to wait before trying again: longer after each failure in a row, up to a most.

    Backoff(first=0.1, longest=5.0)      after(1) = 0.1, after(2) = 0.2, after(3) = 0.4, … 5.0

`after` is for who tries again alone. Where many may have failed together, `spread` draws a time from half of
the first to all of that (full jitter): they do not come back in step. Pure: the generator is passed in.
The SDK has a rule of its own, which follows what servers ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

# Doubled so often, whatever is longest has been reached; and a float still holds it.
_MOST_DOUBLINGS = 60


class Draws(Protocol):
    """What is needed of a `random.Random`."""

    def uniform(self, a: float, b: float, /) -> float: ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds: the first pause, which doubles with each failure up to the longest."""

    first: float
    longest: float

    def after(self, failures: int) -> float:
        """The pause after so many failures in a row; 0 after none."""
        if failures < 1:
            return 0.0
        return min(self.longest, self.first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))

    def spread(self, failures: int, rng: Draws) -> float:
        """A pause between half of the first one and `after(failures)`; 0 after none."""
        return rng.uniform(self.first / 2, self.after(failures)) if failures > 0 else 0.0


class Pauses:
    """The spread pauses of somebody who tries again until it works, and begins anew then."""

    def __init__(self, backoff: Backoff, rng: Draws) -> None:
        self._backoff = backoff
        self._rng = rng
        self._failures = 0

    def next(self) -> float:
        """The pause after one more failure."""
        self._failures += 1
        return self._backoff.spread(self._failures, self._rng)

    def reset(self) -> None:
        """It has worked."""
        self._failures = 0
