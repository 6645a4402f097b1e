"""`python -m bench policies`: hit rates of eviction policies, the cell's among them, on traces of requests.

The cell's own `Residency` is asked, with leases and reservations as for a real load; only the models
are not there. The first third of a trace warms up and does not count.

    resident_share  of the bytes of all models
    hit_rate        of the requests
    byte_hit_rate   of the requests, each weighed by its model's bytes: what was not loaded again
    theory          LRU's hit rates by Che's approximation, which fits independent requests
    find_ns         CPU time of a hit, over 10,000 models in random order

Source of the approximation: Che, Tung and Wang, "Hierarchical Web Caching Systems", 2002.
"""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import mean

import numpy as np

from bench import report, traces
from bench.eviction import POLICIES
from bench.traces import TRACES, Array
from cell.residency.residency import ModelTooLarge, Residency

SHARES = (0.01, 0.05, 0.1, 0.2)
_FINDS = 50_000
_FOUND = 10_000


@dataclass(frozen=True, slots=True)
class Row:
    trace: str
    policy: str
    resident_share: float
    hit_rate: float
    byte_hit_rate: float


def run(*, models: int, requests: int, json: Path | None) -> list[Row]:
    """Every policy at every share on every trace, in as many processes as there are cores."""
    rows: list[Row] = []
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        jobs = {
            (trace, policy): pool.submit(_replay, trace, policy, models, requests)
            for trace in TRACES
            for policy in POLICIES
        }
        for (trace, policy), job in jobs.items():
            report.step(f"{trace}: {policy}")
            rows += job.result()
    zipfs = {trace: float(trace.removeprefix("zipf-")) for trace in TRACES if trace.startswith("zipf-")}
    theory = {trace: _theory(models, exponent) for trace, exponent in zipfs.items()}
    found = {policy: _find_ns(policy) for policy in POLICIES}
    _tell(rows, theory, found)
    result = {"models": models, "requests": requests, "rows": [asdict(row) for row in rows]}
    report.write_json(json, {**result, "theory": theory, "find_ns": found})
    return rows


def _tell(rows: list[Row], theory: dict[str, list[float]], find_ns: dict[str, float]) -> None:
    shares = [f"{share:.0%}" for share in SHARES]
    lines = []
    for trace in TRACES:
        for policy in POLICIES:
            mine = [row for row in rows if (row.trace, row.policy) == (trace, policy)]
            rates = [row.hit_rate for row in mine] + [row.byte_hit_rate for row in mine]
            lines.append([trace, policy, *(f"{rate:.1%}" for rate in rates)])
        if trace in theory:
            rates = theory[trace]
            lines.append([trace, "(lru in theory)", *(f"{rate:.1%}" for rate in rates), *[""] * len(SHARES)])
    head = ["trace", "policy", *shares, *(f"{share} bytes" for share in shares)]
    report.grid("hit rates by the share of all bytes that is resident", head, lines)
    report.table("beside lru", [(policy, _sum_up(rows, policy, find_ns[policy])) for policy in POLICIES])


def _sum_up(rows: list[Row], policy: str, find_ns: float) -> str:
    """Points more than LRU: in the mean, and where it is worst off."""
    lru = {(row.trace, row.resident_share): row for row in rows if row.policy == "lru"}
    mine = [(row, lru[row.trace, row.resident_share]) for row in rows if row.policy == policy]
    more = [100 * (row.hit_rate - other.hit_rate) for row, other in mine]
    bytewise = [100 * (row.byte_hit_rate - other.byte_hit_rate) for row, other in mine]
    return (
        f"{mean(more):+.1f} points, at worst {min(more):+.1f}; "
        f"{mean(bytewise):+.1f} by bytes, at worst {min(bytewise):+.1f}; {find_ns:.0f} ns a hit"
    )


def _theory(models: int, exponent: float) -> list[float]:
    """LRU's hit rates at `SHARES`: a model is resident if it was asked for within the last `age` requests."""
    chances, size = traces.popularity(models, exponent), float(traces.sizes(models).mean())
    rates = []
    for share in SHARES:
        low, high = 0.0, 1e12
        for _ in range(60):
            age = (low + high) / 2
            resident = size * float((1 - np.exp(-chances * age)).sum())
            low, high = (age, high) if resident < share * size * models else (low, age)
        rates.append(float((chances * (1 - np.exp(-chances * low))).sum()))
    return rates


def _find_ns(policy: str) -> float:
    residency: Residency[int] = Residency(_FOUND, POLICIES[policy]())
    keys = _digests(_FOUND)
    for key in keys:
        _load(residency, key, 1, 0.0)
    asked = [keys[number] for number in np.random.default_rng(1).integers(_FOUND, size=_FINDS)]
    rounds = []
    for _ in range(3):
        began = time.process_time()
        for key in asked:
            residency.find(key, 0.0)
        rounds.append(time.process_time() - began)
    return min(rounds) / _FINDS * 1e9


# From here on everything runs in a process of its own.


def _replay(trace: str, policy: str, models: int, requests: int) -> list[Row]:
    size = traces.sizes(models)
    asked = TRACES[trace](models, requests)
    keys = _digests(models)
    counted = asked[requests // 3 :]
    rows = []
    for share in SHARES:
        residency: Residency[int] = Residency(int(size.sum() * share), POLICIES[policy]())
        hits = _hits(residency, asked, keys, size.tolist())[requests // 3 :]
        weights = size[counted]
        byte_hit_rate = float(weights[hits].sum() / weights.sum())
        rows.append(Row(trace, policy, share, float(hits.mean()), byte_hit_rate))
    return rows


def _hits(residency: Residency[int], asked: Array, keys: list[bytes], size: list[int]) -> Array:
    """For each request whether its model was resident; if not, it is loaded."""
    hits = np.zeros(len(asked), dtype=bool)
    for place, number in enumerate(asked.tolist()):
        key, now = keys[number], place * 2e-5
        if residency.find(key, now) is not None:
            hits[place] = True
        else:
            _load(residency, key, size[number], now)
    return hits


def _load(residency: Residency[int], key: bytes, size: int, now: float) -> None:
    try:
        residency.reserve(key, residency.plan(size))
    except ModelTooLarge:
        return
    lease, _ = residency.admit(key, size, size, now)
    lease.release()


def _digests(models: int) -> list[bytes]:
    return [hashlib.sha256(number.to_bytes(8, "little")).digest() for number in range(models)]
