from __future__ import annotations

import pytest

from croupier_bench.judging import judge, why_invalid
from croupier_bench.result import OfWorker


def why(
    *,
    planned: int = 1000,
    sent: int = 1000,
    p99: float | None = 5.0,
    late: float | None = 0.05,
    share: float = 0.5,
) -> list[str]:
    return why_invalid(
        planned=planned,
        sent=sent,
        latency={"p99": p99},
        lateness={"p99": late},
        workers=[OfWorker(0.1, 0.0, 500), OfWorker(share, 0.0, 500)],
    )


@pytest.mark.parametrize(
    ("late", "p99", "word"),
    [
        (0.49, 5.0, ""),
        (0.51, 5.0, "0.51 ms at p99"),
        (0.09, 0.2, ""),
        (0.11, 0.2, "0.11 ms at p99"),
        (5.0, None, "there is none"),
        (None, None, ""),
    ],
)
def test_a_load_that_was_late_measured_itself(late: float | None, p99: float | None, word: str) -> None:
    found = why(late=late, p99=p99)
    assert [word in sentence for sentence in found] == [True] * bool(word)


def test_what_was_not_sent_was_not_measured() -> None:
    assert why(sent=990) == []
    assert why(sent=989) == ["989 of 1000 planned requests were sent"]


def test_a_full_processor_is_a_bottleneck() -> None:
    assert why(share=0.95) == []
    assert why(share=0.96) == ["the processor of worker 1 was busy for 96% of the time"]


def test_nothing_is_no_run() -> None:
    assert why(planned=0, sent=0, p99=None, late=None) == ["no request was planned"]


def test_a_service_level_holds_if_all_of_it_does() -> None:
    latency = {"p50": 1.0, "p99": 9.0, "p999": 30.0}
    asked = {"p99_ms": 10.0, "errors": 0.01}
    found = judge(asked, latency, 990, 10)
    assert (found.holds, found.seen) == (True, {"p99_ms": 9.0, "errors": 0.01})
    assert not judge(asked, latency, 989, 11).holds
    assert not judge({"p999_ms": 29.0}, latency, 1, 0).holds
    assert judge({}, latency, 0, 0).holds


def test_nothing_known_does_not_hold() -> None:
    assert not judge({"p99_ms": 10.0}, {"p99": None}, 0, 0).holds
    assert not judge({"errors": 1.0}, {}, 0, 0).holds
