"""How long loads take, as measured: a moving average for each place that artifacts come from. Pure.

A new measurement counts one eighth, as in TCP's round-trip times: a store that turns slow is known to be
after some ten loads, and one odd load changes little.
"""

from __future__ import annotations

_WEIGHT = 1 / 8

DISK = "disk"
STORE = "store"


class LoadTimes:
    """Seconds by source. A source that was never measured takes no time: who knows nothing refuses nobody."""

    def __init__(self) -> None:
        self._means: dict[str, float] = {}

    def note(self, source: str, seconds: float) -> None:
        mean = self._means.get(source, seconds)
        self._means[source] = mean + _WEIGHT * (seconds - mean)

    def expected(self, source: str) -> float:
        """Seconds that a load from `source` takes."""
        return self._means.get(source, 0.0)
