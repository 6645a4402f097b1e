from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from croupier.debug_tokens import token
from croupier.transport.http2.counted_call import Counts
from croupier_bench.cells import Names
from croupier_bench.gathering import Gathered, Report
from croupier_bench.histogram import Histogram
from croupier_bench.result import Happened


class Fake:
    """A worker whose requests are told by hand: (kind, due, latency), a negative kind for one that failed."""

    def __init__(self) -> None:
        self.counts = Counts([False, False], timeout=1.0)
        self.counts.start = 0.0
        self.sent = [0, 0]

    def report(self, at: float, *asked: tuple[int, float, float], **more: Any) -> Report:
        due: Counter[int] = Counter()
        errors: Counter[tuple[int, str]] = Counter()
        for kind, moment, latency in asked:
            due[int(moment)] += 1
            self.counts.send(moment, moment + 0.0001)
            self.sent[max(kind, 0)] += 1
            if kind < 0:
                self.counts.fail(moment, moment + latency)
                errors[0, "UNAVAILABLE"] += 1
            else:
                self.counts.answer(kind, moment, moment + 0.0001, moment + latency)
        told: dict[str, Any] = {
            "at": at,
            "counted": self.counts.harvest(),
            "due": dict(due),
            "errors": errors,
            "wrong": Counter(),
            "seen": 0,
            "cells": Counter(),
            "sent_by_class": [*self.sent],
            "cpu_share": 0.25,
            "cpu_seconds": 0.5,
        }
        return Report(**told | more)


def gathered(workers: int = 1, seconds: float = 10.0, **more: float) -> Gathered:
    return Gathered(["small", "large"], workers, seconds, 1.0, **more)


def test_what_workers_have_seen_adds_up() -> None:
    found, workers = gathered(2), [Fake(), Fake()]
    found.add(0, workers[0].report(1.0, (0, 0.1, 0.010), (1, 0.2, 0.020)))
    found.add(1, workers[1].report(1.0, (0, 0.3, 0.030), (-1, 1.5, 1.0)))
    assert (found.due, found.sent, found.answered, found.failed.count) == (4, 4, 3, 1)
    assert found.latency.max == pytest.approx(0.030)
    assert found.since.max == pytest.approx(0.0299)
    assert found.late.max == pytest.approx(0.0001)
    classes = found.classes()
    assert {name: (one.sent, one.answered) for name, one in classes.items()} == {
        "small": (3, 2),
        "large": (1, 1),
    }
    assert classes["small"].errors == found.errors_of() == {"UNAVAILABLE": 1}
    assert Histogram.from_json(classes["large"].histogram).count == 1
    assert [(row.t, row.due, row.sent, row.answered, row.failed) for row in found.series()] == [
        (0.0, 3, 3, 3, 0),
        (1.0, 1, 1, 0, 1),
    ]
    assert [(one.sent, one.cpu_share, one.cpu_us_per_request) for one in found.workers()] == [
        (2, 0.25, 250_000.0)
    ] * 2


def test_a_second_has_its_own_figures() -> None:
    found, worker = gathered(), Fake()
    found.add(0, worker.report(1.0, (0, 0.1, 0.010), (0, 1.1, 0.020)))
    found.add(0, worker.report(2.0, (1, 0.2, 0.030)))
    first, second = found.series()
    assert (first.max, second.max) == (pytest.approx(30.0), pytest.approx(20.0))
    assert [count for _, count in first.histogram] == [1, 1]
    assert second.late_p99 == pytest.approx(0.1, rel=0.02)


def test_memory_does_not_grow_with_a_run() -> None:
    found, worker = gathered(), Fake()
    for second in range(200):
        found.add(0, worker.report(second + 1.0, (0, second + 0.5, 0.010)))
    assert len(found._open) <= 5
    rows = found.series()
    assert [row.t for row in rows] == [float(second) for second in range(200)]
    assert {row.answered for row in rows} == {1}


def test_a_second_is_open_until_every_worker_is_past_it() -> None:
    found, workers = gathered(2), [Fake(), Fake()]
    for second in range(20):
        found.add(0, workers[0].report(second + 1.0, (0, second + 0.5, 0.010)))
    found.add(1, workers[1].report(1.0, (0, 0.7, 0.010)))
    assert found.series()[0].answered == 2


def test_very_long_runs_have_no_histograms_by_second() -> None:
    found = gathered(seconds=7200.0)
    found.add(0, Fake().report(1.0, (0, 0.1, 0.010)))
    assert found.series()[0].histogram == []


def test_the_last_second_may_be_a_part_of_one() -> None:
    found = gathered(seconds=1.5)
    found.add(0, Fake().report(2.0, (0, 0.1, 0.010), (0, 1.1, 0.010)))
    assert [row.seconds for row in found.series()] == [1.0, 0.5]


def test_the_last_seconds_are_those_of_a_window() -> None:
    found, worker = gathered(remembers=5.0), Fake()
    for second in range(10):
        latency = 0.1 if second < 5 else 0.01
        found.add(0, worker.report(second + 1.0, (0, second + 0.5, latency), (-1, second + 0.6, 0.5)))
    answered, failed, p99 = found.recent(3.0, 10.0)
    assert answered == failed == 4
    assert p99 == pytest.approx(0.01, rel=1e-3)
    assert np.isnan(found.recent(3.0, 100.0)[2])


def test_wrong_answers_are_counted_by_second_and_class() -> None:
    found = gathered()
    wrong: Counter[tuple[int, int, str]] = Counter({(0, 1, "another version"): 2})
    found.add(0, Fake().report(1.0, (1, 0.1, 0.010), (1, 0.2, 0.010), wrong=wrong, seen=2))
    assert found.wrong_of() == found.classes()["large"].wrong == {"another version": 2}
    assert found.wrong_of(0) == {}
    assert (found.series()[0].wrong, found.seen) == (2, 2)


def test_progress_says_how_it_goes() -> None:
    found, worker = gathered(), Fake()
    for second in range(200):
        found.add(0, worker.report(second + 1.0, (0, second + 0.5, 0.010)))
    events = [Happened(1.0, "release", ok=True)]
    progress = found.progress(7.0, events)
    assert (progress.seconds, progress.planned_seconds, progress.events) == (7.0, 10.0, events)
    assert (progress.due, progress.answered, progress.failed, progress.wrong) == (200, 200, 0, 0)
    assert progress.rows[-1].t == 199.0
    assert len(progress.rows) == 120
    assert progress.by_class["small"].histogram == {}
    assert progress.cpu_share == 0.25


def test_cells_of_all_workers_add_up_and_are_named_once_it_is_known_how() -> None:
    found, said = gathered(2), token(7, "acme", 1, "cell-0")
    found.add(0, Fake().report(1.0, cells=Counter({("acme", said, False): 2})))
    found.add(1, Fake().report(1.0, cells=Counter({("acme", said, False): 1, ("acme", said, True): 1})))
    assert found.by_cell() == found.progress(1.0, []).by_cell == {said: {"answered": 4, "resident_hits": 3}}
    found.cell_names = Names(7, {1: ["cell-0"]})
    assert found.by_cell() == {"cell-0": {"answered": 4, "resident_hits": 3}}
