import urllib.request

from croupier.telemetry.metrics import (
    Counter,
    Gauge,
    Histogram,
    LoopCounter,
    LoopGauge,
    LoopHistogram,
    ReadCounter,
)
from croupier.telemetry.page import serve

COUNTED = Counter("croupier_test_things", "Things", ["kind"])
HELD = Gauge("croupier_test_held", "Held now")
TOOK = Histogram("croupier_test_seconds", "Seconds", buckets=(0.1, 1.0))
SEEN = LoopCounter("croupier_test_seen_total", "Seen", ["kind", "code"])
LEVEL = LoopGauge("croupier_test_level", "Level")
KEPT = ReadCounter("croupier_test_kept_total", "Kept by somebody else")
ADDED = LoopHistogram("croupier_test_added_seconds", "Seconds", buckets=(0.1, 1.0)).labels()
BY_KIND = LoopHistogram("croupier_test_by_kind_seconds", "Seconds", (1.0,), ["kind"])


def read(port: int, host: str = "127.0.0.1") -> str:
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=5) as response:
        text: str = response.read().decode()
        return text


def test_a_page_with_what_was_counted() -> None:
    COUNTED.labels("a").inc(2)
    HELD.set(3)
    TOOK.observe(0.5)
    page = read(serve("127.0.0.1:0"))
    for line in (
        'croupier_test_things_total{kind="a"} 2.0',
        "croupier_test_held 3.0",
        'croupier_test_seconds_bucket{le="0.1"} 0.0',
        'croupier_test_seconds_bucket{le="1.0"} 1.0',
        "process_resident_memory_bytes",
    ):
        assert line in page


def test_what_one_thread_counts_looks_the_same() -> None:
    SEEN.values["a", "OK"] += 2
    for value in (0.05, 0.1, 0.5, 7.0):
        ADDED.observe(value)
    LEVEL.value = 5
    for kind, value in (("a", 0.5), ("b", 2.0), ("a", 3.0)):
        BY_KIND.labels(kind).observe(value)
    page = read(serve("127.0.0.1:0"))
    for line in (
        "# TYPE croupier_test_seen_total counter",
        'croupier_test_seen_total{code="OK",kind="a"} 2.0',
        "# TYPE croupier_test_added_seconds histogram",
        'croupier_test_added_seconds_bucket{le="0.1"} 2.0',
        'croupier_test_added_seconds_bucket{le="1.0"} 3.0',
        'croupier_test_added_seconds_bucket{le="+Inf"} 4.0',
        "croupier_test_added_seconds_count 4.0",
        "croupier_test_added_seconds_sum 7.65",
        "# TYPE croupier_test_level gauge",
        "croupier_test_level 5.0",
        'croupier_test_by_kind_seconds_bucket{kind="a",le="1.0"} 1.0',
        'croupier_test_by_kind_seconds_count{kind="a"} 2.0',
        'croupier_test_by_kind_seconds_sum{kind="b"} 2.0',
    ):
        assert line in page


def test_a_counter_that_somebody_else_keeps_is_read_when_it_is_asked_for() -> None:
    port = serve("127.0.0.1:0")
    assert "croupier_test_kept_total 0.0" in read(port)
    KEPT.read = lambda: 7
    assert "croupier_test_kept_total 7.0" in read(port)
