"""A result that nobody measured."""

from __future__ import annotations

import numpy as np

from croupier_bench.histogram import Histogram
from croupier_bench.result import Loads, OfWorker, Rates, Result, Second, figures


def made() -> Result:
    """Two seconds of 100 requests, all of them answered."""
    histogram = Histogram()
    histogram.record(np.linspace(0.001, 0.002, 200))
    half = Histogram()
    half.record(np.linspace(0.001, 0.002, 100))
    rows = [
        Second(
            t=float(at), due=100, sent=100, answered=100, p50=1.5, p99=2.0, max=2.0, histogram=half.pairs()
        )
        for at in range(2)
    ]
    return Result(
        name="made",
        seed=1,
        about={"date": "2026-11-28", "machine": {}, "versions": {}, "command": "run"},
        scenario={"name": "made", "load": {"rate": 100.0}},
        valid=True,
        why_invalid=[],
        stopped=None,
        planned=200,
        sent=200,
        answered=200,
        errors={},
        wrong={},
        unverified=200,
        rate=Rates(100.0, 100.0, 100.0),
        latency_ms=figures(histogram),
        failed_latency_ms=figures(Histogram()),
        lateness_ms={"p50": 0.01, "p99": 0.02, "max": 0.1},
        since_sent_ms=figures(histogram),
        histogram=histogram.to_json(),
        series=rows,
        load=Loads([OfWorker(0.5, 0.02, 200)]),
    )
