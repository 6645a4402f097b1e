"""That a router whose spans are measured makes as many as it is told."""

from __future__ import annotations

from random import Random

import pytest

from bench.traced_router import unbound
from croupier.telemetry import traces
from croupier.telemetry.traces import Tracer


def test_as_many_traces_begin_as_the_ratio_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "MOST_PER_SECOND", traces.MOST_PER_SECOND)

    def begun() -> int:
        tracer = Tracer(1.0, lambda span: None, rng=Random(1), now=lambda: 1)
        return sum(tracer.root("/a/b") is not None for _ in range(2_000))

    assert begun() < 2_000
    unbound()
    assert begun() == 2_000
