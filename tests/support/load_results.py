"""Results of load tests that nobody ran: latencies drawn from a seed, put together as a run would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from croupier_bench.histogram import Histogram
from croupier_bench.result import (
    Happened,
    Judged,
    Loads,
    OfClass,
    OfWorker,
    Progress,
    Rates,
    Result,
    Second,
    figures,
)

Floats = NDArray[np.float64]
# Seconds that requests took that were due at so many.
Latency = Callable[[np.random.Generator, Floats], Floats]

HOSTILE = "</script><img src=x onerror=alert(1)>\u202e\x1b[31m'\"&{\ud800$x$"
SCENARIO: dict[str, Any] = {
    "name": "retail",
    "seed": 1,
    "target": {"addresses": ["127.0.0.1:8500"], "protocol": "croupier"},
    "load": {"mode": "open", "rate": 200.0, "seconds": 30.0, "workers": 1, "shape": {"kind": "steady"}},
    "class": [
        {"name": "small", "weight": 0.9, "models": 1000},
        {"name": "large", "weight": 0.1, "models": 10},
    ],
    "event": [],
}


def usual(random: np.random.Generator, due: Floats) -> Floats:
    """About a millisecond, a few of them many."""
    return random.lognormal(np.log(1e-3), 0.6, len(due))


def stalled(random: np.random.Generator, due: Floats) -> Floats:
    """The same, and all that is due in a stall of 100 ms every second waits for its end."""
    within = due % 1.0
    return usual(random, due) + np.where(within < 0.1, 0.1 - within, 0.0)


def result(
    *,
    seed: int = 1,
    seconds: int = 30,
    rate: float = 200.0,
    latency: Latency = usual,
    failing: Callable[[Floats], Floats] = np.zeros_like,
    wronged: float = 0.0,
    **changes: Any,
) -> Result:
    """A run. `failing`: the chance of a request due at … to fail; `wronged`: of an answer to be wrong."""
    random = np.random.default_rng(seed)
    due = np.sort(random.uniform(0, seconds, random.poisson(rate * seconds)))
    took, failed = latency(random, due), random.random(len(due)) < failing(due)
    is_wrong = ~failed & (random.random(len(due)) < wronged)
    late = random.exponential(2e-5, len(due))
    rows = []
    for second in range(seconds):
        here = np.floor(due) == second
        rows.append(_row(second, took[here], failed[here], is_wrong[here], late[here]))
    large = random.random(len(due)) < 0.1
    by_class = {
        name: _of_class(took[which & ~failed], int(failed[which].sum()), int(is_wrong[which].sum()))
        for name, which in (("small", ~large), ("large", large))
    }
    answered, count = int((~failed).sum()), int(failed.sum())
    cells = random.multinomial(answered, [0.4, 0.3, 0.2, 0.1])
    found = Result(
        name="retail",
        seed=seed,
        about={
            "date": "2026-11-28",
            "commit": "0123abcd",
            "machine": {"cores": 2},
            "versions": {"python": "3.11"},
        },
        scenario=SCENARIO,
        valid=True,
        why_invalid=[],
        stopped=None,
        planned=len(due),
        sent=len(due),
        answered=answered,
        errors={"UNAVAILABLE: NO_CELL": count} if count else {},
        wrong={"another version": int(is_wrong.sum())} if is_wrong.any() else {},
        unverified=0,
        rate=Rates(len(due) / seconds, len(due) / seconds, answered / seconds),
        latency_ms=figures(_histogram(took[~failed])),
        failed_latency_ms=figures(_histogram(took[failed])),
        lateness_ms=figures(_histogram(late), ("p50", "p99", "max")),
        since_sent_ms=figures(_histogram(took[~failed])),
        histogram=_histogram(took[~failed]).to_json(),
        by_class=by_class,
        series=rows,
        by_cell={
            f"cell-{number}": {"answered": int(share), "resident_hits": int(share * 0.97)}
            for number, share in enumerate(cells)
        },
        load=Loads([OfWorker(0.43, 0.05, len(due))]),
    )
    return replace(found, **changes)


def killed(**changes: Any) -> Result:
    """A stall each second, a cell killed at 12 s, errors after that, wrong answers: all that may go wrong."""
    return result(
        rate=1000.0,
        latency=stalled,
        failing=lambda due: np.where((due > 12) & (due < 15), 0.3, 0.0005),
        wronged=0.0004,
        events=[
            Happened(12.0, "kill cell-2", True, "pid 4711"),
            Happened(12.4, "v2 for acme", True),
            Happened(22.5, "drain cell-1", False, "FAILED_PRECONDITION: it is the last of its zone"),
        ],
        slo=Judged({"p99_ms": 10.0, "errors": 0.0001}, False, {"p99_ms": 97.0, "errors": 0.03}),
        **changes,
    )


def searched(**changes: Any) -> Result:
    """A search: latencies rise with the rate, and the load gives up at the highest."""
    rates = (1000.0, 2000.0, 4000.0, 5600.0, 6700.0, 8000.0, 16000.0)
    steps = []
    for number, rate in enumerate(rates):
        p50 = 0.4 / max(1 - rate / 8200, 0.02)
        steps.append(
            {
                "rate": rate,
                "valid": number < 6,
                "holds": p50 < 2.5,
                "sure": number != 4,
                "runs": 2 if number == 4 else 1,
                "latency_ms": {"p50": p50, "p99": 4 * p50, "p999": 9 * p50},
            }
        )
    slo = Judged({"p99_ms": 10.0}, True, {"p99_ms": 8.7})
    return result(rate=6700.0, seconds=8, steps=steps, slo=slo, **changes)


def invalid(**changes: Any) -> Result:
    """A load that was late."""
    why = [
        "p99 of lateness is 3.9 ms, over a tenth of p99 of latency, 5.0 ms",
        "worker 1 used 99 % of a processor",
    ]
    lateness: dict[str, float | None] = {"p50": 0.4, "p99": 3.9, "max": 12.0}
    return result(valid=False, why_invalid=why, lateness_ms=lateness, unverified=5000, **changes)


def hostile() -> Result:
    """Every word of others is made to do harm."""
    scenario = {
        **SCENARIO,
        "name": HOSTILE,
        "target": {"metadata": {"authorization": "Bearer secret"}, HOSTILE: 1},
    }
    found = killed(
        name=HOSTILE,
        errors={f"UNKNOWN: {HOSTILE} {number} {'long' * 200}": number for number in range(1, 40)},
        wrong={HOSTILE: 3},
        by_cell={f"{HOSTILE}{number}": {"answered": 9, "resident_hits": 3} for number in range(70)},
        about={"date": HOSTILE, "commit": HOSTILE, "machine": {HOSTILE: [HOSTILE, HOSTILE]}},
        scenario=scenario,
        valid=False,
        why_invalid=[HOSTILE],
        stopped=HOSTILE,
    )
    return replace(
        found,
        by_class={HOSTILE + "x" * 300: found.by_class["small"], "large": found.by_class["large"]},
        events=[Happened(second / 4, HOSTILE, second % 3 > 0, HOSTILE) for second in range(80)],
    )


def progress(found: Result, seconds: int = 12) -> Progress:
    """What a run that became `found` told after some of its seconds."""
    rows = found.series[:seconds]
    sums = {
        name: sum(getattr(row, name) for row in rows)
        for name in ("due", "sent", "answered", "failed", "wrong")
    }
    return Progress(
        seconds=float(seconds),
        planned_seconds=float(len(found.series)),
        rows=rows,
        latency_ms=found.latency_ms,
        errors=found.errors,
        by_class=found.by_class,
        by_cell=found.by_cell,
        events=[event for event in found.events if event.at <= seconds],
        late_p99_ms=found.lateness_ms["p99"],
        cpu_share=0.43,
        **sums,
    )


def _row(
    second: int, took: Floats, failed: NDArray[np.bool_], wrong: NDArray[np.bool_], late: Floats
) -> Second:
    answered = _histogram(took[~failed])
    told = figures(answered, ("p50", "p99", "max"))
    return Second(
        t=float(second),
        due=len(took),
        sent=len(took),
        answered=answered.count,
        failed=int(failed.sum()),
        wrong=int(wrong.sum()),
        p50=told["p50"],
        p99=told["p99"],
        max=told["max"],
        late_p99=figures(_histogram(late), ("p99",))["p99"],
        histogram=answered.pairs(),
    )


def _of_class(took: Floats, failed: int, wrong: int) -> OfClass:
    found = _histogram(took)
    return OfClass(
        sent=found.count + failed,
        answered=found.count,
        errors={"UNAVAILABLE: NO_CELL": failed} if failed else {},
        wrong={"another version": wrong} if wrong else {},
        latency_ms=figures(found),
        histogram=found.to_json(),
    )


def _histogram(took: Floats) -> Histogram:
    found = Histogram()
    found.record(took)
    return found
