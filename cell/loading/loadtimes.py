"""How long loads take, as measured: a moving average for each place that artifacts come from. Pure.

How many took how long is counted as well, for whoever looks at many cells. In the averages, a new measurement
counts one eighth, as in TCP's round-trip times: a store that turns slow is known to
be after some ten loads, and one odd load changes little.
"""

from __future__ import annotations

from croupier.latencies import BUCKETS, bucket_of

_WEIGHT = 1 / 8

DISK = "disk"
STORE = "store"


class LoadTimes:
    """Seconds by source. A source that was never measured takes no time: who knows nothing refuses nobody."""

    def __init__(self) -> None:
        self._means: dict[str, float] = {}
        # Loads from anywhere, by the buckets of `latencies`.
        self.counts = [0] * BUCKETS

    def note(self, source: str, seconds: float) -> None:
        self.counts[bucket_of(seconds)] += 1
        mean = self._means.get(source, seconds)
        self._means[source] = mean + _WEIGHT * (seconds - mean)

    def expected(self, source: str) -> float:
        """Seconds that a load from `source` takes."""
        return self._means.get(source, 0.0)
