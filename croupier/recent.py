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
from dataclasses import dataclass
from typing import Generic, TypeVar

from croupier.bounded import Bounded

SECONDS = 10

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Noted:
    """How often, and in how many of the seconds."""

    count: int = 0
    seconds: int = 0


class _Counts:
    """Of the seconds up to `last`, the newest first: a router has to look at hundreds in a millisecond."""

    __slots__ = ("counts", "last")

    def __init__(self, second: int) -> None:
        self.last = second
        self.counts = [0]

    def note(self, second: int) -> None:
        if second > self.last:
            self.counts[:0] = [0] * min(SECONDS, second - self.last)
            del self.counts[SECONDS:]
            self.last = second
        self.counts[0] += 1

    def told(self, second: int) -> Noted:
        counts = self.counts[: max(0, SECONDS - (second - self.last))]
        return Noted(sum(counts), len(counts) - counts.count(0))


class Recent(Generic[K]):
    """Of at most `most` keys: with one more, that which began a second longest ago is forgotten."""

    def __init__(self, most: int) -> None:
        self._keys: Bounded[K, _Counts] = Bounded(most)

    def note(self, key: K, now: float) -> None:
        """It has happened once more."""
        second, counts = int(now), self._keys.get(key)
        if counts is None or counts.last != second:
            counts = self._keys[key] = counts or _Counts(second)
        counts.note(second)

    def forget(self, key: K) -> None:
        self._keys.pop(key, None)

    def of(self, key: K, now: float) -> Noted:
        counts = self._keys.get(key)
        return Noted() if counts is None else counts.told(int(now))

    def all(self, now: float) -> dict[K, Noted]:
        """Of every key that was noted lately."""
        second = int(now)
        found = {key: counts.told(second) for key, counts in self._keys.items()}
        return {key: noted for key, noted in found.items() if noted.count}


@dataclass(slots=True)
class _Second:
    number: int
    count: int = 0
    total: float = 0.0
    most: float = 0.0


@dataclass(frozen=True, slots=True)
class Took:
    """How many, and their seconds."""

    count: int = 0
    mean: float = 0.0
    slowest: float = 0.0


class Times:
    def __init__(self) -> None:
        self._seconds: deque[_Second] = deque(maxlen=SECONDS)

    def note(self, seconds: float, now: float) -> None:
        """It took so long."""
        number = int(now)
        if not self._seconds or self._seconds[-1].number != number:
            self._seconds.append(_Second(number))
        second = self._seconds[-1]
        second.count += 1
        second.total += seconds
        second.most = max(second.most, seconds)

    def told(self, now: float) -> Took:
        lately = [second for second in self._seconds if second.number > now - SECONDS]
        count = sum(second.count for second in lately)
        if not count:
            return Took()
        return Took(count, sum(s.total for s in lately) / count, max(s.most for s in lately))


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
