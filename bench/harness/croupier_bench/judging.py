"""Whether a run counts, and whether it was as good as was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from croupier_bench.result import Figures, Judged, OfWorker

# Of the p99 of latencies, what the p99 of lateness may be, unless that is nothing to speak of.
_LATE_SHARE = 0.1
_LATE_MS = 0.1
_SENT_SHARE = 0.99
_FULL = 0.95


def why_invalid(
    *, planned: int, sent: int, latency: Figures, lateness: Figures, workers: Sequence[OfWorker]
) -> list[str]:
    """Why what was measured is the load itself, in sentences; none if the run counts."""
    found = []
    late, p99 = lateness.get("p99"), latency.get("p99")
    if late is not None and late > _LATE_MS and (p99 is None or late > _LATE_SHARE * p99):
        told = "of which there is none" if p99 is None else f"which is {p99:.3g} ms"
        found.append(
            f"requests left late, by {late:.3g} ms at p99: over a tenth of the p99 of latencies, {told}"
        )
    if sent < _SENT_SHARE * planned:
        found.append(f"{sent} of {planned} planned requests were sent")
    if not planned:
        found.append("no request was planned")
    for number, worker in enumerate(workers):
        if worker.cpu_share > _FULL:
            found.append(f"the processor of worker {number} was busy for {worker.cpu_share:.0%} of the time")
    return found


def judge(asked: Mapping[str, float], latency: Figures, answered: int, failed: int) -> Judged:
    """`asked` has milliseconds by `p99_ms` and the like, and the share of `errors`.

    What nothing is known of does not hold.
    """
    seen: dict[str, float | None] = {}
    for name in asked:
        if name == "errors":
            seen[name] = failed / (answered + failed) if answered + failed else None
        else:
            seen[name] = latency.get(name.removesuffix("_ms"))
    holds = all(value is not None and value <= asked[name] for name, value in seen.items())
    return Judged(dict(asked), holds, seen)
