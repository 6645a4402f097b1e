import numpy as np
import pytest

from bench.openloop import Moments
from bench.system.stalls import SENDER, UNKNOWN, Noted, causes, is_calm, noted, stalls


def moments(pairs: list[tuple[float, float]], gaps: list[tuple[float, float]] | None = None) -> Moments:
    """Due and latency of each request."""
    due, latencies = np.array(pairs).T
    return Moments(due, latencies, np.zeros(len(due)), np.array(gaps or []).reshape(-1, 2))


QUICK = [(n / 100, 0.0002) for n in range(100)]


def with_long(*long: tuple[float, float]) -> list[tuple[float, float]]:
    return sorted([*QUICK, *long])


def test_what_is_quick_is_no_stall_and_what_failed_has_no_length() -> None:
    assert stalls(moments([*QUICK, (1.0, np.inf)])) == []


def test_long_ones_one_after_another_are_one_stall() -> None:
    found = stalls(moments(with_long((0.501, 0.005), (0.503, 0.003), (0.5055, 0.0012), (0.8, 0.002))))
    assert [(one.begin, one.seconds, one.cause) for one in found] == [
        (0.501, 0.005, UNKNOWN),
        (0.8, 0.002, UNKNOWN),
    ]


def test_what_was_due_in_a_stall_of_the_machine_is_not_calm() -> None:
    seen = moments(with_long((0.501, 0.025), (0.801, 0.015)))
    found = stalls(seen, [Noted(0.82, 0.015, "collection", "generation 2")])
    assert {one.cause for one in found} == {UNKNOWN, "collection"}
    assert seen.due[~is_calm(seen, found)].tolist() == [0.501, 0.51, 0.52]


def test_a_sender_that_had_no_processor_is_told_apart() -> None:
    long = with_long((0.501, 0.005), (0.8, 0.002))
    assert causes(stalls(moments(long, [(0.5055, 0.004)]))) == {SENDER: 1, UNKNOWN: 1}
    # A turn that explains little of it explains nothing.
    assert causes(stalls(moments(long, [(0.503, 0.001)]))) == {UNKNOWN: 2}
    assert causes(stalls(moments(long, [(0.9, 0.1)]))) == {SENDER: 1, UNKNOWN: 1}


@pytest.mark.parametrize(
    ("at", "cause"),
    [(0.506, "collection"), (0.516, "collection"), (0.53, UNKNOWN), (0.5005, UNKNOWN)],
)
def test_what_the_router_noted_just_then_is_the_cause(at: float, cause: str) -> None:
    """It notes a stall at the next beat."""
    said = [Noted(at, 0.004, "collection", "generation 2")]
    [stall] = stalls(moments(with_long((0.501, 0.005))), said)
    assert (stall.cause, stall.is_ours) == (cause, cause == "collection")


def test_no_processor_for_the_router_is_not_its_fault() -> None:
    said = [Noted(0.506, 0.004, "scheduler", ""), Noted(0.507, 0.001, "loop", "here")]
    [stall] = stalls(moments(with_long((0.501, 0.005))), said)
    assert (stall.cause, stall.is_ours) == ("scheduler", False)


def test_entries_of_the_router_are_told_by_our_clock() -> None:
    entry = {"at": 1_000.5, "kind": "loop", "seconds": 0.002, "thread_seconds": 0.002, "where": "x.py:1 f"}
    assert noted([entry], -1_000.0) == [Noted(0.5, 0.002, "loop", "x.py:1 f")]
