"""What the workers of a run report, put together: by second, by class, and in all.

A second's histograms are kept until nothing more can come of it; then it is a row of the series. So memory
grows with a run by its rows alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from croupier_bench.cells import ByCell, Names, Said
from croupier_bench.histogram import Histogram
from croupier_bench.result import Happened, OfClass, OfWorker, Progress, Second, figures, ms

# Rows of a run that have their histograms.
_MOST_DETAILED = 3600
# How many rows somebody who watches sees.
_WATCHED = 120
# Seconds after the timeout until nothing more comes of a request.
_SLACK = 2.0

# A second, a row, how many, their sum, the maximum, and pairs: see `Counts.harvest`.
Counted = tuple[int, int, int, float, float, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a worker has seen since its last report, and its processor so far; `at` counts from second 0."""

    at: float
    counted: list[Counted]
    due: dict[int, int]
    errors: Counter[tuple[int, str]]
    wrong: Counter[tuple[int, int, str]]
    seen: int
    cells: Counter[Said] = field(default_factory=Counter)
    # In all.
    sent_by_class: list[int]
    cpu_share: float
    cpu_seconds: float
    is_last: bool = False


@dataclass(slots=True)
class _OneSecond:
    due: int = 0
    sent: int = 0
    answered: int = 0
    failed: int = 0
    wrong: int = 0
    latency: Histogram = field(default_factory=Histogram)
    late: Histogram = field(default_factory=Histogram)


@dataclass(slots=True)
class _OneWorker:
    at: float = 0.0
    sent: int = 0
    sent_by_class: list[int] = field(default_factory=list)
    cpu_share: float = 0.0
    cpu_seconds: float = 0.0
    late: Histogram = field(default_factory=Histogram)


class Gathered:
    """Of a run of so many `seconds`, with classes of these `names`; `recent` needs what it `remembers`."""

    def __init__(
        self, names: Sequence[str], workers: int, seconds: float, timeout: float, remembers: float = 0.0
    ) -> None:
        # Told by tokens, until it is known what these name.
        self.cell_names = Names()
        self._cells: Counter[Said] = Counter()
        self.latency, self.since, self.late, self.failed = (Histogram() for _ in range(4))
        self.by_class = [Histogram() for _ in names]
        self.errors: Counter[tuple[int, str]] = Counter()
        self.wrong: Counter[tuple[int, str]] = Counter()
        self.seen = 0
        self._names = names
        self._seconds = seconds
        self._keeps = max(timeout, remembers) + _SLACK
        self._workers = [_OneWorker() for _ in range(workers)]
        self._open: dict[int, _OneSecond] = {}
        self._rows: dict[int, Second] = {}

    @property
    def answered(self) -> int:
        return self.latency.count

    @property
    def due(self) -> int:
        return self._total("due")

    @property
    def sent(self) -> int:
        return self.late.count

    def add(self, worker: int, report: Report) -> None:
        for counted in report.counted:
            self._count(worker, *counted)
        for second, due in report.due.items():
            self._of(second).due += due
        for (second, kind, word), count in report.wrong.items():
            self.wrong[kind, word] += count
            self._of(second).wrong += count
        self.errors.update(report.errors)
        self.seen += report.seen
        self._cells.update(report.cells)
        own = self._workers[worker]
        own.at, own.sent_by_class = report.at, report.sent_by_class
        own.cpu_share, own.cpu_seconds = report.cpu_share, report.cpu_seconds
        self._close_before(min(one.at for one in self._workers) - self._keeps - 1)

    def _count(
        self, worker: int, second: int, row: int, count: int, total: float, most: float, pairs: bytes
    ) -> None:
        places, counts = np.frombuffer(pairs, np.uint32).reshape(-1, 2).T
        kinds, one = len(self._names), self._of(second)
        if row < kinds:
            one.answered += count
            into = [self.latency, self.by_class[row], one.latency]
        elif row == kinds:
            one.sent += count
            self._workers[worker].sent += count
            into = [self.late, self._workers[worker].late, one.late]
        elif row == kinds + 1:
            into = [self.since]
        else:
            one.failed += count
            into = [self.failed]
        for histogram in into:
            histogram.add(places, counts, total, most)

    def _of(self, second: int) -> _OneSecond:
        return self._open.setdefault(second, _OneSecond())

    def _close_before(self, moment: float) -> None:
        for second in [second for second in self._open if second < moment]:
            self._rows[second] = self._row(second)
            del self._open[second]

    def _row(self, second: int) -> Second:
        one = self._open[second]
        found = figures(one.latency, ("p50", "p99", "max"))
        return Second(
            float(second),
            one.due,
            one.sent,
            one.answered,
            one.failed,
            one.wrong,
            found["p50"],
            found["p99"],
            found["max"],
            ms(one.late.quantile(0.99)),
            round(max(min(1.0, self._seconds - second), 0.0), 6) or 1.0,
            one.latency.pairs() if self._seconds <= _MOST_DETAILED else [],
        )

    def series(self) -> list[Second]:
        """All rows so far, those included of which more is to come."""
        return [self._rows[second] if second in self._rows else self._row(second) for second in self._all()]

    def _all(self) -> list[int]:
        return sorted({*self._rows, *self._open})

    def _total(self, name: str) -> int:
        rows: list[Second | _OneSecond] = [*self._rows.values(), *self._open.values()]
        return sum(getattr(row, name) for row in rows)

    def recent(self, window: float, now: float) -> tuple[int, int, float]:
        """Of requests due in the last `window` seconds: how many were answered, have failed, and the p99."""
        answered = failed = 0
        latency = Histogram()
        for second, one in self._open.items():
            if second >= now - window - 1:
                answered += one.answered
                failed += one.failed
                latency.merge(one.latency)
        return answered, failed, latency.quantile(0.99)

    def errors_of(self, kind: int | None = None) -> dict[str, int]:
        """By code and reason, of one class or of all; the most frequent first."""
        return _by_word(self.errors, kind)

    def wrong_of(self, kind: int | None = None) -> dict[str, int]:
        return _by_word(self.wrong, kind)

    def classes(self, *, detailed: bool = True) -> dict[str, OfClass]:
        """By name; histograms only if it is to be `detailed`."""
        sent = [
            sum(one.sent_by_class[kind] for one in self._workers if one.sent_by_class)
            for kind in range(len(self._names))
        ]
        return {
            name: OfClass(
                sent[kind],
                self.by_class[kind].count,
                self.errors_of(kind),
                self.wrong_of(kind),
                figures(self.by_class[kind]),
                self.by_class[kind].to_json() if detailed else {},
            )
            for kind, name in enumerate(self._names)
        }

    def by_cell(self) -> ByCell:
        """Of the requests that asked which cell answers."""
        return self.cell_names.by_cell(self._cells)

    def workers(self) -> list[OfWorker]:
        return [
            OfWorker(
                round(one.cpu_share, 4),
                ms(one.late.quantile(0.99)),
                one.sent,
                round(one.cpu_seconds / one.sent * 1e6, 3) if one.sent else None,
            )
            for one in self._workers
        ]

    def progress(self, seconds: float, events: Sequence[Happened]) -> Progress:
        rows = [
            self._rows[second] if second in self._rows else self._row(second)
            for second in self._all()[-_WATCHED:]
        ]
        return Progress(
            seconds=seconds,
            planned_seconds=self._seconds,
            rows=rows,
            due=self.due,
            sent=self.sent,
            answered=self.answered,
            failed=self.failed.count,
            wrong=sum(self.wrong.values()),
            latency_ms=figures(self.latency),
            errors=self.errors_of(),
            by_class=self.classes(detailed=False),
            by_cell=self.by_cell(),
            events=events,
            late_p99_ms=ms(self.late.quantile(0.99)),
            cpu_share=max(one.cpu_share for one in self._workers),
        )


def _by_word(counted: Counter[tuple[int, str]], kind: int | None) -> dict[str, int]:
    found: Counter[str] = Counter()
    for (of, word), count in counted.items():
        if kind is None or of == kind:
            found[word] += count
    return dict(found.most_common())
