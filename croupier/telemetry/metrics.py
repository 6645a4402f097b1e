"""Prometheus metrics: declared beside the code that counts, served here.

A metric's name begins with `croupier_`; labels are of bounded cardinality (never a tenant, a
model or a digest).

`LoopCounter`, `LoopGauge` and `LoopHistogram` are for what is counted with every request or load. They are
plain numbers that one thread writes, and are read when they are scraped, where `Counter` and `Histogram`
take several times longer for the lock that lets any thread write.
"""

from __future__ import annotations

import logging
import socket
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from croupier.settings import InvalidSettings
from croupier.telemetry import page

_log = logging.getLogger(__name__)

__all__ = ["Counter", "Gauge", "Histogram", "LoopCounter", "LoopGauge", "LoopHistogram", "serve"]


class LoopCounter(Collector):
    """A counter that one thread writes: `counter.values[labels] += 1`, with the labels' values in order.

    Those `known` are on the page from the start, as 0.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        known: Iterable[tuple[str, ...]] = (),
    ) -> None:
        self.values: defaultdict[tuple[str, ...], int] = defaultdict(int, dict.fromkeys(known, 0))
        if not labels:
            self.values[()] = 0
        self._about = (name, documentation, None, labels)
        REGISTRY.register(self)

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(*self._about)
        # Copying is one step for other threads.
        for labels, value in self.values.copy().items():
            family.add_metric(labels, value)
        yield family


class LoopGauge(Collector):
    """A gauge that one thread writes: `gauge.value = 3`."""

    def __init__(self, name: str, documentation: str) -> None:
        self.value = 0.0
        self._about = (name, documentation)
        REGISTRY.register(self)

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(*self._about, value=self.value)


class LoopHistogram(Collector):
    """A histogram that one thread writes: `histogram.labels(value).observe(0.1)`, without labels as well.

    `buckets`: their upper bounds, rising.
    """

    def __init__(
        self, name: str, documentation: str, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> None:
        self._bounds = tuple(buckets)
        self._about = (name, documentation, None, None, labels)
        self._series: dict[tuple[str, ...], Series] = {}
        REGISTRY.register(self)

    def labels(self, *values: str) -> Series:
        """The values seen where the labels are these, to be kept by whoever observes often."""
        return self._series.setdefault(values, Series(self._bounds))

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(*self._about)
        names: list[str] = [
            floatToGoString(bound)  # type: ignore[no-untyped-call]
            for bound in (*self._bounds, float("inf"))
        ]
        for values, series in self._series.copy().items():
            counts = accumulate(series.counts.copy())
            family.add_metric(values, list(zip(names, counts, strict=True)), series.sum)
        yield family


class Series:
    """How many values were seen up to each of `bounds` and beyond, and their sum."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value


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
