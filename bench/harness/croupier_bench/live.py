"""How a run goes, while it goes: in a terminal as a view, elsewhere as a line every few seconds.

It is drawn by the process that waits for the workers, of what they tell it anyway, at most twice a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from croupier_bench import words
from croupier_bench.result import Happened, OfClass, Progress

T = TypeVar("T")
Cells = Mapping[str, Mapping[str, int]]
Watch = Callable[[Progress], None]

_VIEW_EVERY, _LINE_EVERY = 0.5, 5.0
# What is told of now is of the last seconds.
_RECENT = 5
_MOST_ROWS = 8
_BARS = "▁▂▃▄▅▆▇█"


@contextmanager
def watching(
    name: str, console: Console | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Watch]:
    """What tells of a run called `name`, to be given to it; by itself it writes to standard error."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(console, clock)
        return
    with Live(console=console, auto_refresh=False, transient=True) as view:
        yield _View(name, view, clock)


class _View:
    def __init__(self, name: str, view: Live, clock: Callable[[], float]) -> None:
        self._name, self._view, self._clock = name, view, clock
        self._next = clock()

    def __call__(self, progress: Progress) -> None:
        if (now := self._clock()) < self._next:
            return
        self._next = now + _VIEW_EVERY
        self._view.update(view(self._name, progress), refresh=True)


class _Lines:
    """Each event has a line of its own, as soon as it is known."""

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console, self._clock = console, clock
        self._next, self._told = clock() + _LINE_EVERY, 0

    def __call__(self, progress: Progress) -> None:
        for event in progress.events[self._told :]:
            self._say(_event(event))
        self._told = len(progress.events)
        if (now := self._clock()) < self._next:
            return
        self._next = now + _LINE_EVERY
        self._say(line(progress))

    def _say(self, told: str) -> None:
        self._console.print(Text(told), soft_wrap=True)


def line(progress: Progress) -> str:
    """How it goes, on one line."""
    recent = _Recent(progress)
    return (
        f"{progress.seconds:5.0f} s  sent {words.figure(recent.rate('sent'))}/s"
        f"  answered {words.figure(recent.rate('answered'))}/s  p50 {words.ms(recent.worst('p50'))}"
        f"  p99 {words.ms(recent.worst('p99'))}  failed {progress.failed:,}  wrong {progress.wrong:,}"
        f"  late p99 {words.ms(progress.late_p99_ms)}"
    )


def view(name: str, progress: Progress) -> RenderableType:
    """All that is known so far."""
    parts: list[RenderableType] = [
        Text(f"{words.printable(name)}  {progress.seconds:.0f} of {progress.planned_seconds:.0f} s", "bold"),
        _figures(progress),
    ]
    if progress.errors:
        parts.append(_counts("failed", progress.errors))
    if len(progress.by_class) > 1:
        parts.append(_classes(progress.by_class))
    if progress.by_cell:
        parts.append(_cells(progress.by_cell))
    parts += [Text(_event(event), "" if event.ok else "red") for event in progress.events[-_MOST_ROWS:]]
    return Group(*parts)


class _Recent:
    """The last seconds together, without the one that is not over."""

    def __init__(self, progress: Progress) -> None:
        over = [row for row in progress.rows if row.t + row.seconds <= progress.seconds]
        self._rows = over[-_RECENT:]

    def rate(self, name: str) -> float | None:
        seconds = sum(row.seconds for row in self._rows)
        return sum(getattr(row, name) for row in self._rows) / seconds if seconds else None

    def worst(self, name: str) -> float | None:
        return max((ms for row in self._rows if (ms := getattr(row, name)) is not None), default=None)


def _figures(progress: Progress) -> Table:
    recent, so_far = _Recent(progress), progress.latency_ms
    table = _table("", f"last {_RECENT} s", "so far", "second by second")
    seconds = max(progress.seconds, 1e-9)
    for name in ("sent", "answered"):
        total = getattr(progress, name)
        told = (f"{words.figure(recent.rate(name))}/s", f"{words.figure(total / seconds)}/s")
        table.add_row(*map(Text, (name, *told, _curve([getattr(row, name) for row in progress.rows]))))
    for name in ("p50", "p99", "max"):
        told = (words.ms(recent.worst(name)), words.ms(so_far.get(name)))
        table.add_row(*map(Text, (name, *told, _curve([getattr(row, name) for row in progress.rows]))))
    for name, count in (("failed", progress.failed), ("wrong", progress.wrong)):
        now = f"{words.figure(recent.rate(name))}/s"
        curve = _curve([getattr(row, name) for row in progress.rows])
        table.add_row(name, now, Text(f"{count:,}", "bold red" if count else ""), curve)
    if progress.by_cell:
        table.add_row("hit rate", "", _hits(progress.by_cell), "")
    busy = "" if progress.cpu_share is None else f"processor {words.share(progress.cpu_share, 1.0)}"
    table.add_row("late, p99", words.ms(recent.worst("late_p99")), words.ms(progress.late_p99_ms), busy)
    return table


def _hits(by_cell: Cells) -> str:
    answered = sum(cell["answered"] for cell in by_cell.values())
    return words.share(sum(cell["resident_hits"] for cell in by_cell.values()), answered)


def _counts(head: str, counts: Mapping[str, int]) -> Table:
    table = _table(head, "requests")
    for kind, count in _most(counts, lambda count: count):
        table.add_row(Text(words.printable(kind, 80)), f"{count:,}")
    return table


def _classes(classes: Mapping[str, OfClass]) -> Table:
    table = _table("class", "answered", "p50", "p99")
    for name, one in _most(classes, lambda one: one.answered):
        told = (words.ms(one.latency_ms.get("p50")), words.ms(one.latency_ms.get("p99")))
        table.add_row(Text(words.printable(name, 40)), f"{one.answered:,}", *told)
    return table


def _cells(cells: Cells) -> Table:
    table = _table("cell", "answered", "resident")
    for name, one in _most(cells, lambda one: one["answered"]):
        hits = words.share(one["resident_hits"], one["answered"])
        table.add_row(Text(words.printable(name, 40)), f"{one['answered']:,}", hits)
    return table


def _most(found: Mapping[str, T], count: Callable[[T], int]) -> list[tuple[str, T]]:
    return sorted(found.items(), key=lambda one: -count(one[1]))[:_MOST_ROWS]


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="left" if name == "second by second" else "right")
    return table


def _event(event: Happened) -> str:
    detail = f": {words.printable(event.detail, 80)}" if event.detail else ""
    failed = "" if event.ok else " FAILED"
    return f"{event.at:5.1f} s  {words.printable(event.label, 80)}{failed}{detail}"


def _curve(values: Sequence[float | None]) -> str:
    """A bar a second, by its share of the highest."""
    most = max((value for value in values if value is not None), default=0)
    if not most:
        return ""
    last = len(_BARS) - 1
    return "".join(" " if value is None else _BARS[round(last * value / most)] for value in values)
