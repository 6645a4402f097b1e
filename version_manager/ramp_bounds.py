"""Whether a ramp does harm: what was seen since it began, against what was seen before it.

    errors   the share of requests that fail, as routers count them
    hits     the share of requests whose model was in the cell's memory
    loads    the 99th percentile of how long loads take, as cells count them

Each has a bound, and is judged over all of the ramp and over its last minute, so that neither a quiet
beginning nor a long one hides what goes wrong; and only by so many requests or loads at least, since silence
decides nothing.

A manager that begins to look while a ramp is under way knows of nothing before it: it compares with the first
whole minute that it sees. Until then it has no baseline, and takes no step; it judges no hits, and compares
errors and loads with none at all. Pure.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from croupier.latencies import BUCKETS, quantile

_MINUTE = 60.0
# Of fewer loads, the 99th percentile is the slowest one; and how many times as slow is too slow.
_LEAST_LOADS = 100
_LOAD_FACTOR = 3.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What was counted up to now, of all routers and all cells.

    `asked` are the cells' requests, `loads` how many loads fell into each bucket of `latencies`.
    """

    requests: int = 0
    failed: int = 0
    asked: int = 0
    hits: int = 0
    loads: tuple[int, ...] = (0,) * BUCKETS


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much worse it may become: shares of requests, and seconds that a load may take in any case."""

    errors: float = 0.01
    hits: float = 0.1
    load_seconds: float = 2.0
    least_requests: int = 1000


class Judge:
    """Looks at a sample now and then; times are of one monotonic clock, in seconds."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        # The samples of the last minute, and the one that is just older.
        self._samples: deque[tuple[float, Sample]] = deque()
        # Of the ramp that is judged: its generation, whether it rises, what was before it, and since when.
        self._generation: int | None = None
        self._is_rising = False
        self._before: tuple[Sample, Sample] | None = None
        self._began = Sample()
        self._began_at = 0.0

    @property
    def has_baseline(self) -> bool:
        """Whether it is known what was before the ramp."""
        return self._before is not None

    def look(self, now: float, sample: Sample, generation: int, *, is_rising: bool) -> str:
        """Why the ramp of `generation` is to be held; empty: it may go on, or does not rise.

        One that is gone on with is judged by what follows, and still compared with what was before it.
        """
        self._samples.append((now, sample))
        while len(self._samples) > 1 and self._samples[1][0] <= now - _MINUTE:
            self._samples.popleft()
        began_now = self._generation not in (None, generation)
        oldest_at, oldest = self._samples[0]
        if began_now or (self._before is None and oldest_at <= now - _MINUTE):
            self._before = oldest, sample
        if generation != self._generation:
            self._generation, self._is_rising = generation, False
        if not is_rising:
            self._is_rising = False
            return ""
        if not self._is_rising:
            self._is_rising, self._began, self._began_at = True, sample, now
        return self._fault(sample)

    def _fault(self, now: Sample) -> str:
        at, lately = self._samples[0]
        spans = [self._began, lately] if at > self._began_at else [self._began]
        for since in spans:
            if fault := self._errors(since, now) or self._hits(since, now) or self._loads(since, now):
                return fault
        return ""

    def _errors(self, since: Sample, now: Sample) -> str:
        share, before = self._failing(since, now), self._failing(*self._before) if self._before else 0.0
        if share <= before + self._bounds.errors:
            return ""
        return f"{_percent(share)} of the requests fail, and {_percent(before)} did before"

    def _failing(self, since: Sample, now: Sample) -> float:
        return self._share(now.failed - since.failed, now.requests - since.requests, unknown=0.0)

    def _hits(self, since: Sample, now: Sample) -> str:
        if self._before is None:
            return ""
        # What is not known is well now, and was bad before.
        share, before = self._hitting(since, now, unknown=1.0), self._hitting(*self._before, unknown=0.0)
        if share >= before - self._bounds.hits:
            return ""
        return (
            f"{_percent(share)} of the requests find their model in memory, and {_percent(before)} did before"
        )

    def _hitting(self, since: Sample, now: Sample, *, unknown: float) -> float:
        return self._share(now.hits - since.hits, now.asked - since.asked, unknown=unknown)

    def _loads(self, since: Sample, now: Sample) -> str:
        took, before = _load_p99(since, now), _load_p99(*self._before) if self._before else 0.0
        if took <= max(self._bounds.load_seconds, _LOAD_FACTOR * before):
            return ""
        return f"99 % of the loads take up to {took:.1f} s, and up to {before:.1f} s before"

    def _share(self, part: int, whole: int, *, unknown: float) -> float:
        """The share; `unknown` if there are too few requests to say it."""
        return part / whole if whole >= max(1, self._bounds.least_requests) else unknown


def _load_p99(since: Sample, now: Sample) -> float:
    """How long 99 of 100 loads took at most, in seconds; 0 where there were too few to say."""
    counts = [count - then for count, then in zip(now.loads, since.loads, strict=True)]
    return quantile(counts, 0.99) or 0.0 if sum(counts) >= _LEAST_LOADS else 0.0


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
