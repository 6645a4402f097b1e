import math
from typing import Any

import pytest

from bench import rows
from bench.rows import Closed, Latency, Quantiles, Row

LATENCY = Latency(
    1000.0, Quantiles(0.3, 1.5, 2.0, late_p99_ms=0.05), Quantiles(0.1, 0.5, 2.5, late_p99_ms=0.04)
)


def row(
    who: str, cpu_us: float, *, cells: int = 4, payload: int = 64, tls: bool = False, **others: Any
) -> Row:
    return Row(who, f"{who} 1.2", cells, payload, tls, 1000, 0, 5000.0, cpu_us, **others)


def test_cpu_time_is_shared_by_the_requests_that_were_answered() -> None:
    assert pytest.approx(Closed(120_000, 20_000, 50_000.0, cpu_seconds=1.0).cpu_us_per_request) == 10.0
    assert math.isnan(Closed(10, 10, 0.0, cpu_seconds=1.0).cpu_us_per_request)


def test_a_row_has_medians_and_sums() -> None:
    seen = [Closed(100, 0, 10.0, 1.0), Closed(100, 3, 30.0, 9.7), Closed(100, 1, 20.0, 1.98)]
    found = Row.of("nginx", "nginx/1.2", 4, 64, False, seen)
    assert (found.requests, found.failures, found.rps) == (300, 4, 20.0)
    assert pytest.approx(found.cpu_us_per_request) == 20_000.0


def test_added_latency_is_the_difference_of_quantiles() -> None:
    found = row("envoy", 30.0, latency=LATENCY).as_json()
    added = [found[name] for name in ("added_p50_ms", "added_p99_ms", "added_p999_ms")]
    assert pytest.approx(added) == [0.2, 1.0, -0.5]


def test_json_has_the_agreed_keys() -> None:
    found = row("envoy", 30.0).as_json()
    assert found == {
        "who": "envoy",
        "version": "envoy 1.2",
        "cells": 4,
        "payload": 64,
        "tls": False,
        "requests": 1000,
        "failures": 0,
        "rps": 5000.0,
        "cpu_us_per_request": 30.0,
        "added_p50_ms": None,
        "added_p99_ms": None,
        "added_p999_ms": None,
    }
    many = row("croupier", 32.0, items=32, variant=rows.SPREAD).as_json()
    assert {name: value for name, value in many.items() if name not in found} == {
        "items": 32,
        "variant": "spread",
        "predictions_per_cpu_s": 1e6,
    }


def test_ratios_are_ours_to_theirs_in_work_per_cpu_second() -> None:
    seen = [
        row("croupier", 10.0, rotating_cpu_us_per_request=20.0),
        row("envoy", 30.0, rotating_cpu_us_per_request=30.0),
        row("haproxy", 8.0, rotating_cpu_us_per_request=math.nan),
        row("haproxy-debian", 16.0),
        row("nginx", math.nan),
        row("envoy", 90.0, payload=1024),
        row("croupier", 10.0, cells=64),
        row("haproxy", 5.0, cells=64),
        row("croupier", 20.0, payload=1024),
        row("croupier", 16.0, payload=1600, items=32, variant=rows.ONE_MODEL),
        row("croupier", 32.0, payload=1600, items=32, variant=rows.SPREAD),
        row("croupier", 64.0, payload=1600, items=32, variant=rows.STREAM),
    ]
    # 1,000,000 predictions a CPU-second of the slower variant, 125,000 requests of HAProxy.
    small, many, large = rows.ratios(seen)
    assert (small.cells, small.payload, small.tls) == (4, 64, False)
    expected = {
        "envoy": 3.0,
        "haproxy": 0.8,
        "haproxy-debian": 1.6,
        "multi_item_to_haproxy": 8.0,
        "stream_to_haproxy": 4.0,
    }
    assert expected == pytest.approx(small.hot)
    assert small.rotating == {"envoy": 1.5}
    # As many cells as the peer has upstreams, or it is no comparison.
    assert (many.cells, many.hot) == (64, {"haproxy": 0.5})
    assert (large.payload, large.hot) == (1024, {"envoy": 4.5})


def test_a_verdict_for_each_bar_that_was_measured() -> None:
    assert rows.verdicts({"envoy": 2.5, "nginx": 1.1, "haproxy": 1.9, "haproxy-debian": 0.9}) == [
        "envoy: 2.50, bar 2.5: holds",
        "nginx: 1.10, bar 1.2: not met",
        "haproxy: 0.90, aim 1: not reached",
    ]


def test_a_row_for_people_fits_its_head() -> None:
    for one in (row("croupier", 10.0), row("envoy", 30.0, tls=True, latency=LATENCY)):
        assert len(rows.HEAD) == len(rows.told(one))
