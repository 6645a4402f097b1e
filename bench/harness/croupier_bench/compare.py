"""Two results: for each figure how much it differs, and whether that is more than chance (`resampling`).

What was asked must be the same but for where it was sent to and by how many processes, or a difference says
nothing of what answered; a run that does not count, or was stopped, is not compared unless that is wanted.
Two searches are compared by the rates they found, which lie between what held and what did not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from croupier_bench import resampling, words
from croupier_bench.cells import ByCell
from croupier_bench.quantiles import Buckets, Floats
from croupier_bench.report.verdict import wrong
from croupier_bench.resampling import Interval
from croupier_bench.result import Result

if TYPE_CHECKING:
    from rich.console import RenderableType

BETTER, WORSE, SAME = "better", "worse", "no difference seen"

_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
_LATENCIES = ("mean", *_SHARES)
# Of the cells that answered, those with the most.
_MOST_CELLS = 16
# As a service level calls it, where a second calls it otherwise.
_NAMES = {"failed": "errors"}
# Answers beyond a quantile, of each run, without which it says little.
_LEAST_BEYOND = 10
# Ranks are drawn of answers, which are so many that nothing is widened.
_ANSWERS = (inf, inf)
# What may differ between runs that are compared.
_FREE = {"load.workers"}
# Of an event: where the deployment is that it happens to.
_PLACES = {"manager", "pid_file", "folder"}


class Incomparable(ValueError):
    """Two results of different scenarios, or that do not count. The caller's."""


@dataclass(frozen=True, slots=True)
class Figure:
    """In `unit`; `low` to `high` holds the true ratio with a chance of 0.95; None where none is known."""

    name: str
    unit: str
    before: float
    after: float
    ratio: float | None
    low: float | None
    high: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """`notes` say what was left out, and what is to be thought of."""

    before: str
    after: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...]

    def is_worse(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that became worse; `any`: of all. Raises ValueError for what was not compared."""
        known = {figure.name: figure for figure in self.figures}
        wanted = list(names)
        if "any" in wanted:
            wanted = list(known)
        if unknown := [name for name in wanted if name not in known]:
            raise ValueError(f"{', '.join(unknown)} was not compared; {', '.join(known)} were")
        return [name for name in wanted if known[name].verdict == WORSE]

    def to_json(self) -> dict[str, Any]:
        """Infinity is no JSON: it becomes null."""
        figures = [
            {name: None if isinstance(value, float) and not isfinite(value) else value for name, value in one}
            for one in (asdict(figure).items() for figure in self.figures)
        ]
        return {"before": self.before, "after": self.after, "figures": figures, "notes": list(self.notes)}

    def table(self) -> RenderableType:
        """For a terminal, with the notes below it."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        told = Table(box=None, pad_edge=False)
        for name in ("", "before", "after", "ratio", "95 % interval", ""):
            told.add_column(name, justify="left" if name == "" else "right")
        colors = {BETTER: "green", WORSE: "red", SAME: ""}
        for figure in self.figures:
            told.add_row(*map(Text, _told(figure)), Text(figure.verdict, colors[figure.verdict]))
        return Group(told, *map(Text, self.notes))


def compare(before: Result, after: Result, *, anyway: bool = False, seed: int = 1) -> Comparison:
    """What became of `before`. `anyway`: compare even what cannot be, and say so. Raises Incomparable."""
    against = list(_against(before, after))
    if against and not anyway:
        raise Incomparable("; ".join(against))
    names = (_name(before), _name(after))
    notes = [f"compared all the same: {reason}" for reason in against]
    if before.steps and after.steps:
        figures = tuple(_searched(before, after))
        notes.append("Latencies at two rates say nothing of each other: only the rates are compared.")
        return Comparison(*names, figures, tuple(notes))
    pair = _Pair.of(before, after, seed)
    figures = (*pair.counted(), *pair.latencies())
    return Comparison(*names, figures, (*notes, *pair.notes(), _caution(figures)))


def _caution(figures: Sequence[Figure]) -> str:
    return (
        f"Of {len(figures)} figures one may differ by chance. What differs between runs as wholes (the"
        " machine, the day) is in no interval: repeat both before believing a small difference."
    )


def _against(before: Result, after: Result) -> Iterator[str]:
    """Why these should not be compared."""
    for key in ("load", "class", "event"):
        found = (_flat(result.scenario.get(key), key) for result in (before, after))
        one, other = found
        for name in sorted({*one, *other} - _FREE):
            if name.rpartition(".")[2] not in _PLACES and one.get(name) != other.get(name):
                told = (words.printable(side.get(name, "not there"), 60) for side in (one, other))
                yield f"{words.printable(name)} differs: {' and '.join(told)}"
    for which, result in (("first", before), ("second", after)):
        if not result.valid:
            reasons = words.printable(", ".join(result.why_invalid))
            yield f"the {which} does not count: {reasons}"
        if result.stopped:
            yield f"the {which} was stopped early: {words.printable(result.stopped)}"
    if bool(before.steps) != bool(after.steps):
        yield "one is a search and the other is not"


def _flat(value: Any, name: str) -> dict[str, Any]:
    """What is nested, by names with dots."""
    if isinstance(value, Mapping):
        inner = [_flat(one, f"{name}.{key}") for key, one in value.items()]
    elif isinstance(value, list | tuple):
        inner = [_flat(one, f"{name}.{number}") for number, one in enumerate(value, start=1)]
    else:
        return {} if value is None else {name: value}
    return {key: one for found in inner for key, one in found.items()}


def _name(result: Result) -> str:
    about = result.about
    told = [result.name, about.get("date"), about.get("commit")]
    return words.printable(" ".join(str(one) for one in told if one))


def _cells(before: ByCell, after: ByCell) -> str:
    """How much of the answers each cell had that both name; "" without any, as where they are tokens."""
    both = sorted(before.keys() & after.keys(), key=lambda name: -before[name]["answered"])
    if not both:
        return ""
    first, second = (sum(one["answered"] for one in side.values()) for side in (before, after))
    told = [
        f"{words.printable(name, 40)} {words.share(before[name]['answered'], first)}"
        f" → {words.share(after[name]['answered'], second)}"
        for name in both[:_MOST_CELLS]
    ]
    more = [f"and {len(both) - _MOST_CELLS} more"] if len(both) > _MOST_CELLS else []
    return f"Of the answers, by cell: {', '.join([*told, *more])}."


@dataclass(frozen=True, slots=True)
class _Run:
    """One of the two: sums and histograms of its blocks, and draws of them unless it was short."""

    result: Result
    buckets: Buckets
    sums: dict[str, Floats]
    weights: Floats | None
    has_histograms: bool

    @classmethod
    def of(cls, result: Result, random: np.random.Generator) -> _Run:
        rows = result.series
        block = resampling.blocks(len(rows))
        sums = {
            name: resampling.summed(np.array([getattr(row, name) for row in rows], float), block)
            for name in ("seconds", "due", "answered", "failed", "wrong")
        }
        has_histograms = bool(rows) and all(row.histogram for row in rows if row.answered)
        buckets = Buckets.of([row.histogram for row in rows] if has_histograms else [result.histogram])
        if has_histograms:
            buckets = Buckets(resampling.summed(buckets.counts, block), buckets.low, buckets.high)
        count = len(sums["seconds"])
        weights = resampling.weights(random, count) if count >= resampling.LEAST_BLOCKS else None
        return cls(result, buckets, sums, weights, has_histograms)

    @property
    def size(self) -> int:
        """How many blocks are drawn from."""
        return 0 if self.weights is None else self.weights.shape[1]

    @property
    def counts(self) -> Floats:
        """Of the whole run, by bucket."""
        counts: Floats = self.buckets.counts.sum(axis=0)
        return counts

    def drawn_shares(self, part: str, of: str) -> Floats:
        """`part` over `of` in each draw, of which one with none at all has half of one: none is not never."""
        assert self.weights is not None
        with np.errstate(divide="ignore"):
            found = (self.weights @ self.sums[part] + 0.5) / (self.weights @ self.sums[of])
        return np.asarray(found, dtype=np.float64)

    def latencies(self, counts: Floats) -> Floats:
        """The figures of `_LATENCIES` of a histogram."""
        quantiles = self.buckets.quantiles(counts, list(_SHARES.values()))
        return np.concatenate(([self.buckets.mean(counts)], quantiles))

    def drawn_latencies(self) -> Floats:
        """The same of each draw, a row a figure."""
        assert self.weights is not None
        return np.array([self.latencies(weights @ self.buckets.counts) for weights in self.weights]).T


@dataclass(frozen=True, slots=True)
class _Pair:
    before: _Run
    after: _Run
    random: np.random.Generator

    @classmethod
    def of(cls, before: Result, after: Result, seed: int) -> _Pair:
        random = np.random.default_rng(seed)
        return cls(_Run.of(before, random), _Run.of(after, random), random)

    @property
    def runs(self) -> tuple[_Run, _Run]:
        return self.before, self.after

    @property
    def has_blocks(self) -> bool:
        return all(run.weights is not None for run in self.runs)

    @property
    def resamples_latencies(self) -> bool:
        return self.has_blocks and all(run.has_histograms for run in self.runs)

    def notes(self) -> Iterator[str]:
        if not self.resamples_latencies:
            yield (
                "Too few seconds to draw from, or none with histograms: intervals of latencies take answers"
                " to be independent, and are too narrow if slow ones come together."
            )
        left = [words.quantile(name) for name in _SHARES if not self._is_enough(name)]
        if left:
            yield f"Too few answers for {', '.join(left)}."
        if told := _cells(*(run.result.by_cell for run in self.runs)):
            yield told

    def counted(self) -> Iterator[Figure]:
        """What was answered, failed and was wrong."""
        first, second = (run.result for run in self.runs)
        if first.answered and second.answered:
            pair = [(float(one.answered), one.answered / one.rate.answered) for one in (first, second)]
            yield self._of_counts("answered", "a second", pair, "seconds", more_is_better=True)
        ended = [(float(one.failed), float(one.answered + one.failed)) for one in (first, second)]
        if all(of for _, of in ended):
            yield self._of_counts("failed", "share", ended, "due")
        looked_at = [(float(wrong(one)), float(one.answered - one.unverified)) for one in (first, second)]
        if all(of for _, of in looked_at):
            yield self._of_counts("wrong", "share", looked_at, "answered")

    def latencies(self) -> Iterator[Figure]:
        """By blocks, and for quantiles at least as wide as answers would have it that are independent."""
        seen = [run.latencies(run.counts) for run in self.runs]
        drawn = [run.drawn_latencies() for run in self.runs] if self.resamples_latencies else None
        for row, name in enumerate(_LATENCIES):
            if not self._is_enough(name):
                continue
            pair = (float(seen[0][row]), float(seen[1][row]))
            found = [self._by_ranks(pair, _SHARES[name])] if name in _SHARES else []
            if drawn is not None:
                found.append(resampling.of_draws(pair, (drawn[0][row], drawn[1][row]), self._sizes))
            if found:
                yield _figure(name, "ms", pair, found[0].wider(found[-1]))

    def _of_counts(
        self,
        name: str,
        unit: str,
        counts: Sequence[tuple[float, float]],
        of: str,
        *,
        more_is_better: bool = False,
    ) -> Figure:
        """A share, or a rate, by what is counted; and by its blocks, if there is any in both."""
        seen = (counts[0][0] / counts[0][1], counts[1][0] / counts[1][1])
        if not any(seen):
            return Figure(_NAMES.get(name, name), unit, *seen, None, None, None, SAME)
        found = resampling.of_counts(self.random, (counts[0], counts[1]))
        if self.has_blocks and all(seen):
            drawn = [run.drawn_shares(name, of) for run in self.runs]
            found = found.wider(resampling.of_draws(seen, (drawn[0], drawn[1]), self._sizes))
        return _figure(_NAMES.get(name, name), unit, seen, found, more_is_better=more_is_better)

    @property
    def _sizes(self) -> tuple[float, float]:
        return self.before.size, self.after.size

    def _by_ranks(self, seen: tuple[float, float], share: float) -> Interval:
        drawn = [
            run.buckets.quantiles(run.counts, resampling.ranks(self.random, float(run.counts.sum()), share))
            for run in self.runs
        ]
        return resampling.of_draws(seen, (drawn[0], drawn[1]), _ANSWERS)

    def _is_enough(self, name: str) -> bool:
        least = float(min(run.counts.sum() for run in self.runs))
        return least * (1 - _SHARES.get(name, 0.0)) >= _LEAST_BEYOND


def _figure(
    name: str, unit: str, seen: tuple[float, float], found: Interval, *, more_is_better: bool = False
) -> Figure:
    return Figure(name, unit, *seen, found.ratio, found.low, found.high, _verdict(found, more_is_better))


def _verdict(found: Interval, more_is_better: bool) -> str:
    if found.low <= 1 <= found.high:
        return SAME
    return BETTER if (found.low > 1) == more_is_better else WORSE


def _searched(before: Result, after: Result) -> Iterator[Figure]:
    """The highest rates that held, and between what they lie."""
    (held, above), (held_after, above_after) = (_bracket(result.steps) for result in (before, after))
    if held and held_after:
        found = Interval(held_after / held, held_after / above, above_after / held)
        verdict = _verdict(found, more_is_better=True)
        yield Figure(
            "highest_rate", "a second", held, held_after, found.ratio, found.low, found.high, verdict
        )
    elif held or held_after:
        verdict = BETTER if held_after else WORSE
        yield Figure("highest_rate", "a second", held, held_after, None, None, None, verdict)


def _bracket(steps: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """The highest rate that held below all that did not, and the next that did not."""
    above = min((step["rate"] for step in steps if not step["holds"]), default=float("inf"))
    return max((step["rate"] for step in steps if step["holds"] and step["rate"] < above), default=0.0), above


def _told(figure: Figure) -> list[str]:
    def value(one: float) -> str:
        return words.share(one, 1.0) if figure.unit == "share" else f"{words.figure(one)} {figure.unit}"

    interval = words.NOTHING
    if figure.low is not None and figure.high is not None:
        high = "any" if not isfinite(figure.high) else f"{figure.high:.3f}"
        interval = f"{figure.low:.3f} to {high}"
    ratio = words.NOTHING if figure.ratio is None or not isfinite(figure.ratio) else f"{figure.ratio:.3f}"
    name = words.quantile(figure.name).replace("_", " ")
    return [name, value(figure.before), value(figure.after), ratio, interval]
