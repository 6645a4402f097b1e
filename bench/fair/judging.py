"""Figures of what was seen. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np

from bench.fair.noting import Ends, name_of
from bench.openloop import Floats
from croupier.codes import Code

# As `calling.SessionCaller` counts what was wrong.
_STATUS = re.compile(r"status (\d+): ")
# Those of a refusal: nothing was done, and the caller is told so.
REFUSALS = (Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE)
# Of what callers see in a moment, the part in which it is as before.
_BIN_SECONDS = 0.5


def p99_ms(seconds: Floats) -> float:
    right = seconds[np.isfinite(seconds)]
    return float(np.quantile(right, 0.99)) * 1e3 if len(right) else float("nan")


@dataclass(frozen=True, slots=True)
class Ratio:
    """Of the 99th percentiles, in milliseconds: those of quiet turns, and of the turns between them.

    There is one quiet turn more than others: before, between and after them.
    """

    quiet: Sequence[float]
    during: Sequence[float]

    @property
    def median(self) -> float:
        """Of each turn over the mean of the quiet ones beside it."""
        beside = pairwise(self.quiet)
        pairs = zip(beside, self.during, strict=True)
        return median(2 * during / (before + after) for (before, after), during in pairs)

    @property
    def spread(self) -> tuple[float, float]:
        """Of quiet over quiet, least and most: what a ratio is when nothing has changed."""
        ratios = [after / before for before, after in pairwise(self.quiet)]
        return min(ratios), max(ratios)


def codes(problems: Counter[str]) -> Counter[str]:
    """Problems by the name of their code."""
    found: Counter[str] = Counter()
    for problem, count in problems.items():
        status = _STATUS.match(problem)
        found[name_of(int(status[1])) if status else problem] += count
    return found


def goodput(ends: Ends, begin: float, end: float, deadline: float) -> float:
    """Requests a second, of those due from `begin` to `end`, that were answered within `deadline`."""
    is_due = (ends.due >= begin) & (ends.due < end)
    return float((ends.answered_within(deadline) & is_due).sum() / (end - begin))


def reject_p99_ms(ends: Ends, begin: float, end: float) -> float:
    """From when requests were sent until they were refused."""
    return p99_ms(ends.since_sent[_refused(ends, begin, end)])


@dataclass(frozen=True, slots=True)
class Said:
    """So many were refused with the same words, within `p99_ms`."""

    count: int
    p99_ms: float


def refusals(ends: Ends, begin: float, end: float) -> dict[str, Said]:
    """By what was said: that tells whether the router refused, or a cell."""
    is_refused = _refused(ends, begin, end)
    found = {}
    for words in np.unique(ends.words[is_refused]):
        seconds = ends.since_sent[is_refused & (ends.words == words)]
        found[str(words)] = Said(len(seconds), p99_ms(seconds))
    return found


def _refused(ends: Ends, begin: float, end: float) -> np.typing.NDArray[np.bool_]:
    return np.isin(ends.codes, REFUSALS) & _within(ends, begin, end)


def recovery_seconds(ends: Ends, quiet: tuple[float, float], end: float, deadline: float) -> float:
    """From `end` of an overload until all is as in the `quiet` time before it, and stays so.

    That is: all requests of half a second are answered, and their 99th percentile is no higher than twice the
    highest of a quiet half second. Infinite where that is never so.
    """
    allowed = 2 * max(
        (p99_ms(ends.seconds[_within(ends, *one)]) for one in _bins(*quiet)), default=float("nan")
    )
    recovered = float("inf")
    for begin, until in reversed(_bins(end, float(ends.due[-1]))):
        part = _within(ends, begin, until)
        is_good = bool(ends.answered_within(deadline)[part].all())
        if not is_good or p99_ms(ends.seconds[part]) > allowed:
            break
        recovered = begin - end
    return recovered


def _within(ends: Ends, begin: float, end: float) -> np.typing.NDArray[np.bool_]:
    return (ends.due >= begin) & (ends.due < end)


def _bins(begin: float, end: float) -> list[tuple[float, float]]:
    """Whole ones."""
    count = int((end - begin) / _BIN_SECONDS + 1e-9)
    return [(begin + n * _BIN_SECONDS, begin + (n + 1) * _BIN_SECONDS) for n in range(count)]
