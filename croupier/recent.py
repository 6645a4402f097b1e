"""What was lately: in the last ten seconds, in whole seconds, for whoever tells operators of it. Pure.

    Recent    how often something was noted, for each key
    Times     how long something took
    Growth    by how much counters have grown, which cost those who count nothing

Who looks does not change what the next one sees: each version manager is told of the same seconds. Moments
are on the caller's monotonic clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from croupier.bounded import Bounded

SECONDS = 10

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Noted:
    """How often, and in how many of the seconds."""

    count: int = 0
    seconds: int = 0


@dataclass(slots=True)
class _Second:
    number: int
    count: int = 0
    total: float = 0.0
    most: float = 0.0


@dataclass(slots=True)
class _Window:
    seconds: deque[_Second] = field(default_factory=lambda: deque(maxlen=SECONDS))

    def at(self, now: float) -> _Second:
        number = int(now)
        if not self.seconds or self.seconds[-1].number != number:
            self.seconds.append(_Second(number))
        return self.seconds[-1]

    def since(self, now: float) -> list[_Second]:
        return [second for second in self.seconds if second.number > now - SECONDS]


class Recent(Generic[K]):
    """Of at most `most` keys: with one more, that which began a second longest ago is forgotten."""

    def __init__(self, most: int) -> None:
        self._windows: Bounded[K, _Window] = Bounded(most)

    def note(self, key: K, now: float) -> None:
        """It has happened once more."""
        window = self._windows.get(key)
        if window is None or window.seconds[-1].number != int(now):
            window = self._windows[key] = window or _Window()
        window.at(now).count += 1

    def forget(self, key: K) -> None:
        self._windows.pop(key, None)

    def of(self, key: K, now: float) -> Noted:
        window = self._windows.get(key)
        seconds = window.since(now) if window is not None else []
        return Noted(sum(second.count for second in seconds), len(seconds))

    def all(self, now: float) -> dict[K, Noted]:
        """Of every key that was noted lately."""
        found = {key: self.of(key, now) for key in self._windows}
        return {key: noted for key, noted in found.items() if noted.count}


@dataclass(frozen=True, slots=True)
class Took:
    """How many, and their seconds."""

    count: int = 0
    mean: float = 0.0
    slowest: float = 0.0


class Times:
    def __init__(self) -> None:
        self._window = _Window()

    def note(self, seconds: float, now: float) -> None:
        """It took so long."""
        second = self._window.at(now)
        second.count += 1
        second.total += seconds
        second.most = max(second.most, seconds)

    def told(self, now: float) -> Took:
        seconds = self._window.since(now)
        count = sum(second.count for second in seconds)
        if not count:
            return Took()
        return Took(count, sum(s.total for s in seconds) / count, max(s.most for s in seconds))


class Growth:
    """Knows what counters were in the seconds before."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, tuple[int, ...]]] = deque()

    def look(self, now: float, counters: Sequence[int]) -> tuple[float, tuple[int, ...]]:
        """By how much each has grown, and in how many seconds: none before the second look."""
        values = tuple(counters)
        looks = self._looks
        if not looks or int(looks[-1][0]) != int(now):
            looks.append((now, values))
        while looks[0][0] <= now - SECONDS - 1:
            looks.popleft()
        began, first = looks[0]
        return now - began, tuple(new - old for new, old in zip(values, first, strict=True))
