"""How the object store does, as a cell sees it: what is being read, and how reading ended lately. Pure.

Whoever reads is told apart by what it is, and has begun only one read at a time.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from croupier.recent import Recent, Times

# Why reads fail: there are few reasons, and some of libraries'.
_MOST_REASONS = 32


@dataclass(frozen=True, slots=True)
class Reading:
    """`done` and `failed` are of the last seconds, `failure` is why the latest failed; the rest is of now."""

    done: int
    failed: int
    failure: str
    mean_seconds: float
    slowest_seconds: float
    under_way: int
    oldest_seconds: float


class StoreReads:
    """Moments are on the caller's monotonic clock, in seconds."""

    def __init__(self) -> None:
        # The one that began first stands first.
        self._under_way: dict[Hashable, float] = {}
        self._times = Times()
        self._failures: Recent[str] = Recent(_MOST_REASONS)
        self._failure = ""

    def begin(self, who: Hashable, now: float) -> None:
        self._under_way[who] = now

    def end(self, who: Hashable, now: float, failure: str = "") -> None:
        """It is read, or failed for that reason. Nothing if it was not begun, or has ended."""
        began = self._under_way.pop(who, None)
        if began is None:
            return
        if failure:
            self._failure = failure
            self._failures.note(failure, now)
        else:
            self._times.note(now - began, now)

    def forget(self, who: Hashable) -> None:
        """Nobody waits for it any more."""
        self._under_way.pop(who, None)

    def told(self, now: float) -> Reading:
        failed = sum(noted.count for noted in self._failures.all(now).values())
        took = self._times.told(now)
        began = next(iter(self._under_way.values()), now)
        return Reading(
            took.count,
            failed,
            self._failure if failed else "",
            took.mean,
            took.slowest,
            len(self._under_way),
            now - began,
        )
