"""Prometheus metrics: declared beside the code that counts, served here.

A metric's name begins with `croupier_`; labels are of bounded cardinality (never a tenant, a
model or a digest).

`LoopCounter` and `LoopHistogram` are for what is counted with every request. They are plain numbers that
one thread writes, and are read when they are scraped, where `Counter` and `Histogram` take several
times longer for the lock that lets any thread write.
"""

from __future__ import annotations

import logging
import socket
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from croupier.settings import InvalidSettings
from croupier.telemetry import page

_log = logging.getLogger(__name__)

__all__ = ["Counter", "Gauge", "Histogram", "LoopCounter", "LoopHistogram", "serve"]


class LoopCounter(Collector):
    """A counter that one thread writes: `counter.values[labels] += 1`, with the labels' values in order."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str] = ()) -> None:
        self.values: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self._about = (name, documentation, None, labels)
        REGISTRY.register(self)

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(*self._about)
        # Copying is one step for other threads.
        for labels, value in self.values.copy().items():
            family.add_metric(labels, value)
        yield family


class LoopHistogram(Collector):
    """A histogram that one thread writes. `buckets`: their upper bounds, rising."""

    def __init__(self, name: str, documentation: str, buckets: Sequence[float]) -> None:
        self._bounds = tuple(buckets)
        self._counts = [0] * (len(buckets) + 1)
        self._sum = 0.0
        self._about = (name, documentation)
        REGISTRY.register(self)

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(*self._about)
        names: list[str] = [
            floatToGoString(bound)  # type: ignore[no-untyped-call]
            for bound in (*self._bounds, float("inf"))
        ]
        counts = accumulate(self._counts.copy())
        family.add_metric((), list(zip(names, counts, strict=True)), self._sum)
        yield family


def serve(listen: str) -> int:
    """Serve `/metrics` on `host:port` from a thread of its own; returns the port, 0 for none.

    Raises:
        InvalidSettings: the address cannot be bound.
    """
    if not listen:
        return 0
    host, _, port = listen.rpartition(":")
    try:
        if not 0 <= int(port) < 2**16:
            raise ValueError("there is no such port")
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        listening = socket.create_server((host.strip("[]"), int(port)), family=family)
    except (OSError, ValueError) as error:
        raise InvalidSettings(f"cannot serve metrics on {listen}: {error}") from error
    page.serve(listening)
    bound = int(listening.getsockname()[1])
    _log.info("metrics on http://%s:%d/metrics", host, bound)
    return bound
