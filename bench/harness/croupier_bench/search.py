"""The highest rate at which a service level holds.

Rates are doubled, or halved, until one holds and one does not; then the gap is halved until it is small. What
one run says of a rate is noise as well as the rate, so a step decides by evidence and not by a bare quantile:

    p99 ≤ L      that no more than 1 of 100 requests take longer than L. How many did is counted, second by
                 second, and compared with what would be expected if exactly 1 of 100 did: the step is sure
                 once so few, or so many, would come by chance less than once in twenty times.
    errors ≤ E   the same, of requests that failed. These count as slow ones too.

Slow requests come together, in a stall say, and tell less than as many that come alone: the chance is widened
by how much more the seconds differ than they would by chance (the dispersion of quasi-likelihood: McCullagh
and Nelder, chapter 4.5). A step that is not sure is repeated, and all its runs count together. If
repeating does not tell, the bare figures decide, and the step says that it is not sure. The best rate is run
once more at the end: of many steps the one that was lucky would be found otherwise.

A run in which the load itself was late is no evidence against the rate: it is repeated once, then the search
ends and says so. But latency counts from when a request was due, so that a late load can only make it look
worse: a service level that holds in such a run holds, as long as nearly all was sent.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from croupier_bench.histogram import indices
from croupier_bench.result import Judged, Result
from croupier_bench.scenario import Scenario, ScenarioError

# Of the normal distribution: one side, once in twenty.
_UNLIKELY = 1.645
# Of what was planned; less of it is a gentler load than was asked for.
_NEARLY_ALL = 0.99
# Digits of a rate that anyone would tell others.
_DIGITS = 3
# A mean has no share of requests behind it; one run is enough if it is so far off.
_FAR = 1.2
# Fewer say nothing of how they differ; then so much is taken for granted.
_FEW_SECONDS, _UNKNOWN = 5, 10.0
# Below the rate that the search began with.
_HALVINGS = 10

_SHARES = {"p50_ms": 0.5, "p90_ms": 0.1, "p99_ms": 0.01, "p999_ms": 0.001}


class Run(Protocol):
    """One run of a scenario, as `run.run` does it."""

    def __call__(self, scenario: Scenario, *, verify_share: float = 0.0) -> Result: ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of a search: `most` is a rate that is not passed, `precision` how near it comes: 0.05 is a twentieth.

    `repeats` bounds the runs of a step; after one that did not hold there are `settle` seconds of quiet.
    """

    most: float = math.inf
    precision: float = 0.05
    repeats: int = 3
    settle: float = 1.0


@dataclass(slots=True)
class Step:
    """What was seen of a rate, in one run or several."""

    rate: float
    runs: list[Result] = field(default_factory=list)
    holds: bool = False
    is_sure: bool = False
    over: dict[str, list[int]] = field(default_factory=dict)
    why_invalid: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        middle = _middle(self.runs)
        return {
            "rate": self.rate,
            "valid": not self.why_invalid,
            "why_invalid": self.why_invalid,
            "holds": self.holds,
            "sure": self.is_sure,
            "runs": len(self.runs),
            "seconds": sum(_seconds(run) for run in self.runs),
            "sent": sum(run.sent for run in self.runs),
            "over": self.over,
            "latency_ms": dict(middle.latency_ms),
            "cpu_share": _cpu_share(self.runs),
        }


def search(
    scenario: Scenario,
    slo: Mapping[str, float],
    run: Run,
    bounds: Bounds = Bounds(),
    *,
    verify_share: float = 0.0,
    tell: Callable[[Step], None] = lambda step: None,
    pause: Callable[[float], None] = time.sleep,
) -> Result:
    """A run at the highest rate at which `slo` holds, or at the lowest that was tried if it holds nowhere.

    `slo` is by name (`p99_ms`, `errors`, …), as `asked` of a result has it. `tell` hears of each step. The
    result has all `steps`; it is not valid if the load was the bottleneck before the service was. Events
    are not played: each step would play them again.

    Raises:
        ScenarioError: there is no rate to be searched, or nothing asked of it.
    """
    if not slo:
        raise ScenarioError("slo", "a search needs a service level: --slo p99=10ms,errors=0.01%")
    if scenario.load.mode != "open":
        raise ScenarioError("load.mode", "a search is for a rate: open")
    if scenario.load.shape.kind == "steps":
        raise ScenarioError("load.shape.kind", "steps has its own rates: a search wants another kind")
    quiet = replace(scenario, events=())

    def once(rate: float) -> Result:
        return run(quiet.with_(rate=rate), verify_share=verify_share)

    return _Search(once, slo, bounds, tell, pause).found(scenario.load.rate)


class _Ended(Exception):
    """The load was the bottleneck, or an answer was wrong: more steps would tell nothing."""


class _Search:
    """`steps` are by rate; what was decided of one may change, once it was repeated."""

    def __init__(
        self,
        once: Callable[[float], Result],
        slo: Mapping[str, float],
        bounds: Bounds,
        tell: Callable[[Step], None],
        pause: Callable[[float], None],
    ) -> None:
        self._once, self._slo, self._bounds, self._tell, self._pause = once, slo, bounds, tell, pause
        self._steps: dict[float, Step] = {}
        self._ended: Step | None = None

    def found(self, begin: float) -> Result:
        try:
            self._bracket(_readable(min(begin, self._bounds.most)))
            self._narrow()
        except _Ended:
            pass
        return self._result()

    def _bracket(self, rate: float) -> None:
        least = rate / 2**_HALVINGS
        while self._low is None or (self._high is None and rate <= self._bounds.most):
            self._try(rate)
            if self._low is None:
                rate = _readable(rate / 2)
                if rate < least:
                    return
            elif rate >= self._bounds.most:
                return
            else:
                rate = _readable(min(rate * 2, self._bounds.most))

    def _narrow(self) -> None:
        while (low := self._low) is not None:
            middle = self._between(low)
            if middle is not None:
                self._try(middle)
            elif len(self._steps[low].runs) < min(2, self._bounds.repeats):
                # If it does not hold after all, a lower one is the best.
                self._try(low)
            else:
                return

    def _between(self, low: float) -> float | None:
        """The next rate above `low`; None if it is near enough."""
        high = self._high
        if high is None or high <= low * (1 + self._bounds.precision):
            return None
        middle = _readable(math.sqrt(low * high))
        return middle if low < middle < high else None

    @property
    def _high(self) -> float | None:
        return min((rate for rate, step in self._steps.items() if not step.holds), default=None)

    @property
    def _low(self) -> float | None:
        """The highest that holds, below the lowest that does not."""
        high = self._high
        held = (rate for rate, step in self._steps.items() if step.holds and (high is None or rate < high))
        return max(held, default=None)

    def _try(self, rate: float) -> None:
        """A run at `rate`, and more until it is sure.

        Raises:
            _Ended
        """
        step = self._steps.setdefault(rate, Step(rate))
        budget = max(self._bounds.repeats, len(step.runs) + 1)
        late = 0
        while len(step.runs) < budget:
            run = self._once(rate)
            if run.wrong:
                self._end(step, run)
            if not run.valid and not _holds_all_the_same(run, self._slo):
                late += 1
                if late == 1:
                    continue
                step.why_invalid = list(run.why_invalid)
                self._end(step, run)
            step.runs.append(run)
            step.holds, step.is_sure, step.over = judge(step.runs, self._slo)
            if step.is_sure:
                break
        self._tell(step)
        if not step.holds:
            self._pause(self._bounds.settle)

    def _end(self, step: Step, run: Result) -> None:
        step.runs.append(run)
        step.holds, step.is_sure, step.over = judge(step.runs, self._slo)
        step.holds = step.holds and not step.why_invalid
        self._ended = step
        self._tell(step)
        raise _Ended

    def _result(self) -> Result:
        low = self._low
        ended = self._ended
        if ended is not None and ended.runs[-1].wrong:
            best, run = ended, ended.runs[-1]
        else:
            best = self._steps[low if low is not None else min(self._steps)]
            run = _middle(best.runs)
        steps = [self._steps[rate].to_json() for rate in sorted(self._steps)]
        slo = Judged(dict(self._slo), best.holds, run.slo.seen)
        why = [] if ended is None else [f"at {ended.rate:g}/s: {why}" for why in ended.why_invalid]
        return replace(run, steps=steps, slo=slo, valid=not why, why_invalid=why)


def judge(runs: Sequence[Result], slo: Mapping[str, float]) -> tuple[bool, bool, dict[str, list[int]]]:
    """Whether `slo` holds, by all of `runs`; whether that is sure; how many were over, of how many."""
    if any(run.stopped for run in runs):
        return False, True, {}
    found = [_one(runs, name, limit) for name, limit in slo.items()]
    over = {name: counted for name, (_, counted) in zip(slo, found, strict=True) if counted}
    said = [verdict for verdict, _ in found]
    if any(one.is_sure and not one.holds for one in said):
        return False, True, over
    return all(one.holds for one in said), all(one.is_sure for one in said), over


@dataclass(frozen=True, slots=True)
class Verdict:
    holds: bool
    is_sure: bool


def _one(runs: Sequence[Result], name: str, limit: float) -> tuple[Verdict, list[int]]:
    if name == "mean_ms":
        return _of_means([run.latency_ms.get("mean") for run in runs], limit), []
    if name == "errors":
        counts, share = [one for run in runs for one in _failed(run)], limit
    else:
        counts, share = [one for run in runs for one in _slow(run, limit / 1000)], _SHARES[name]
    return of_counts(counts, share), [sum(over for over, _ in counts), sum(of for _, of in counts)]


def of_counts(counts: Iterable[tuple[int, int]], share: float) -> Verdict:
    """Whether no more than `share` are over a limit; `counts` are (over, of) of seconds.

    The score test of a share, with the correction for whole numbers, widened by the dispersion.
    """
    pairs = np.array([pair for pair in counts if pair[1]], np.float64).reshape(-1, 2)
    over, of = pairs.sum(axis=0).tolist() if len(pairs) else (0.0, 0.0)
    if not of:
        return Verdict(holds=False, is_sure=True)
    if not 0 < share < 1:
        return Verdict(over <= share * of, is_sure=True)
    apart = over - share * of
    spread = math.sqrt(dispersion(pairs) * share * (1 - share) * of)
    return Verdict(apart <= 0, max(0.0, abs(apart) - 0.5) > _UNLIKELY * spread)


def dispersion(pairs: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """How much more the seconds differ than they would if each request was slow by itself; at least 1.

    Few seconds do not tell: one stall may be all of them.
    """
    if len(pairs) < _FEW_SECONDS:
        return _UNKNOWN
    over, of = pairs[:, 0], pairs[:, 1]
    share = over.sum() / of.sum()
    if not 0 < share < 1:
        return 1.0
    squares = (over - share * of) ** 2 / (share * (1 - share) * of)
    return max(1.0, float(squares.sum()) / (len(pairs) - 1))


def _of_means(means: Sequence[float | None], limit: float) -> Verdict:
    """Sure if all are on one side of the limit, and several or far from it."""
    known = [mean for mean in means if mean is not None]
    if not known:
        return Verdict(holds=False, is_sure=True)
    mean = sum(known) / len(known)
    is_far = not limit / _FAR < mean < limit * _FAR
    agree = len({one <= limit for one in known}) == 1
    return Verdict(mean <= limit, agree and (len(known) > 1 or is_far))


def _failed(run: Result) -> Iterator[tuple[int, int]]:
    for row in run.series:
        yield row.failed, row.answered + row.failed


def _slow(run: Result, limit: float) -> Iterator[tuple[int, int]]:
    """Second by second; what failed was not answered in time either."""
    # Where the limit lies within a bucket, what is in it counts as in time.
    first = int(indices(limit)) + 1
    if any(row.answered and not row.histogram for row in run.series):
        # A very long run has one for all.
        yield _above(run.histogram["counts"], first) + run.failed, run.answered + run.failed
        return
    for row in run.series:
        yield _above(row.histogram, first) + row.failed, row.answered + row.failed


def _above(pairs: Iterable[Sequence[int]], first: int) -> int:
    return sum(count for index, count in pairs if index >= first)


def _holds_all_the_same(run: Result, slo: Mapping[str, float]) -> bool:
    holds, _, _ = judge([run], slo)
    return holds and run.sent >= _NEARLY_ALL * run.planned


def _middle(runs: Sequence[Result]) -> Result:
    """The run whose p99 is the middle one."""
    by_tail = sorted(runs, key=lambda run: run.latency_ms.get("p99") or math.inf)
    return by_tail[len(by_tail) // 2]


def _seconds(run: Result) -> float:
    return sum(row.seconds for row in run.series)


def _cpu_share(runs: Sequence[Result]) -> float | None:
    return max((one.cpu_share for run in runs for one in run.load.workers), default=None)


def _readable(rate: float) -> float:
    return float(f"{rate:.{_DIGITS}g}")
