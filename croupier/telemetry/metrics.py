"""Prometheus metrics: declared beside the code that counts, served by `page.py`.

A metric's name begins with `croupier_`; labels are of bounded cardinality (never a tenant, a
model or a digest).

`LoopCounter`, `LoopGauge` and `LoopHistogram` are for what is counted with every request or load. They are
plain numbers that one thread writes, and are read when they are scraped, where `Counter` and `Histogram`
take several times longer for the lock that lets any thread write.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from croupier.telemetry.durations import Durations, Series

__all__ = [
    "Counter",
    "Durations",
    "Gauge",
    "Histogram",
    "LoopCounter",
    "LoopGauge",
    "LoopHistogram",
    "ReadCounter",
    "Series",
]

# Seconds, for what takes a fraction of a millisecond and may take a deadline.
SECONDS = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


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


class ReadCounter(Collector):
    """A counter that somebody else keeps, who is asked when it is scraped: `counter.read = lambda: 3`."""

    def __init__(self, name: str, documentation: str) -> None:
        self.read: Callable[[], int] = lambda: 0
        self._about = (name, documentation)
        REGISTRY.register(self)

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(*self._about, value=self.read())


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
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = Series(self._bounds)
        return series

    def durations(self, *values: str) -> Durations:
        """By gRPC code, which is the last label, where the others are these."""
        return Durations(lambda code: self.labels(*values, code))

    def forget(self, *values: str) -> None:
        """Drop the series whose first labels are these: what they were of is gone."""
        for known in [known for known in self._series if known[: len(values)] == values]:
            del self._series[known]

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(*self._about)
        names: list[str] = [
            floatToGoString(bound)  # type: ignore[no-untyped-call]
            for bound in (*self._bounds, float("inf"))
        ]
        for values, series in self._series.copy().items():
            counts = accumulate(series.counts)
            family.add_metric(values, list(zip(names, counts, strict=True)), series.sum)
        yield family
