"""`python -m bench engines`: bytes a model and microseconds a row, beside what others need.

Each engine and model has a process of its own. Memory is what loading some copies adds to the process's
proportional set size (PSS). Times are CPU time, the least of some rounds, since this machine has others'
work to do as well; what counts are the ratios of one run.

    kb_per_model   1,000 bytes of PSS a resident model; of fewer copies if all would not fit
    load_us        from the file's bytes in memory to the first answer being possible
    hot_us         one row, always the same model
    rotating_us    one row, a different model each time in random order, so that none is in a cache
    batch64_us     one row of 64 in one call
    wide_…         the same with float64 rows, of whoever takes these; the others ask for float32 rows
"""

from __future__ import annotations

import ctypes
import gc
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from bench import report, transforms
from bench.about import installed
from bench.engine_models import ROWS, SHAPES, rows_of
from bench.engine_peers import LIBRARIES, PEERS, Peer

_BATCH = 64
_ROUNDS = 5
_MB = 1_000_000
# What rotating may take, and loading for it: who is slower is rotated over fewer models.
_ASKING_SECONDS = 1.0
_LOADING_SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`copies` are measured, `models` rotated over, together within `memory_mb`."""

    engines: list[str]
    models: list[str]
    copies: int
    rotated: int
    memory_mb: int


@dataclass(frozen=True, slots=True)
class Row:
    engine: str
    model: str
    kb_per_model: float
    load_us: float
    hot_us: float
    rotating_us: float
    batch64_us: float
    # Over how many models it was rotated.
    rotated: int
    wide_hot_us: float | None = None
    wide_rotating_us: float | None = None
    wide_batch64_us: float | None = None


def run(plan: Plan, json: Path | None) -> None:
    """Measure everything in `plan`."""
    rows: list[Row] = []
    for model in plan.models:
        for engine in plan.engines:
            if PEERS[engine].takes(SHAPES[model]):
                report.step(f"{model}: {engine}")
                rows.append(_apart(engine, model, plan))
    _tell(rows)
    pipeline = transforms.measure()
    report.step(transforms.line(pipeline))
    result = {"rows": [asdict(row) for row in rows], "pipeline": asdict(pipeline)}
    report.write_json(json, result, installed(LIBRARIES))


def _apart(engine: str, model: str, plan: Plan) -> Row:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure, engine, model, plan).result()


def _tell(rows: list[Row]) -> None:
    head = (
        f"{'model':<13}{'engine':<24}{'kB':>8}{'load':>7}{'hot':>8}{'rotating':>9}{'of 64':>7}{'float64':>9}"
    )
    lines = [
        f"{row.model:<13}{row.engine:<24}{row.kb_per_model:>8.1f}{row.load_us:>7.0f}{row.hot_us:>8.2f}"
        f"{row.rotating_us:>9.2f}{row.batch64_us:>7.2f}"
        + ("" if row.wide_hot_us is None else f"{row.wide_hot_us:>9.2f}")
        for row in rows
    ]
    for line in [head, *lines]:
        report.step(line)


# From here on everything runs in a process of its own.


def _measure(engine: str, model: str, plan: Plan) -> Row:
    # Before any library is imported: threads that wait for each other would be measured too.
    os.environ["OMP_NUM_THREADS"] = "1"
    peer, shape = PEERS[engine], SHAPES[model]
    payload = peer.payload(shape)
    rows = rows_of(shape)
    first = peer.load(payload)
    peer.ask(first, rows)
    load_us = _load_us(peer, payload)
    loaded, size = _sized(peer, payload, rows, plan, load_us)
    hot_us = _us_a_row(peer.asker([first] * ROWS, rows), ROWS)
    most = min(plan.memory_mb * _MB / size, _ASKING_SECONDS / hot_us * 1e6, _LOADING_SECONDS / load_us * 1e6)
    count = max(1, min(plan.rotated, int(most)))
    loaded += [peer.load(payload) for _ in range(count - len(loaded))]
    order = np.random.default_rng(1).permutation(min(count, len(loaded)))
    rotated = [loaded[place] for place in order]
    times = _times(peer, first, rotated, rows)
    wide = _times(peer, first, rotated, rows.astype(np.float64)) if peer.is_wide else (None, None, None)
    return Row(engine, model, size / 1_000, load_us, *times, len(order), *wide)


def _times(
    peer: Peer, first: Any, rotated: list[Any], rows: np.ndarray[Any, Any]
) -> tuple[float, float, float]:
    """Microseconds of a row: hot, rotating, and one of 64."""
    batch = rows[:_BATCH].copy()
    batched = _least(lambda: [peer.ask(first, batch) for _ in range(20)])
    return (
        _us_a_row(peer.asker([first] * ROWS, rows), ROWS),
        _us_a_row(peer.asker(rotated, rows), len(rotated)),
        batched / (20 * _BATCH) * 1e6,
    )


def _sized(
    peer: Peer, payload: Any, rows: np.ndarray[Any, Any], plan: Plan, load_us: float
) -> tuple[list[Any], float]:
    """Some models, each asked once, and the bytes that one of them takes."""

    def load(count: int) -> tuple[list[Any], float]:
        before = _pss()
        models = [peer.load(payload) for _ in range(count)]
        for model in models:
            peer.ask(model, rows[:1])
        return models, max(1.0, (_pss() - before) / count)

    _, guessed = load(min(20, plan.copies))
    gc.collect()
    most = min(plan.memory_mb * _MB / guessed, _LOADING_SECONDS / load_us * 1e6)
    copies = min(plan.copies, max(20, int(most)))
    return load(copies)


def _load_us(peer: Peer, payload: Any) -> float:
    times = []
    for _ in range(20):
        began = time.process_time()
        peer.load(payload)
        times.append(time.process_time() - began)
    return float(np.median(times)) * 1e6


def _us_a_row(run: Callable[[], object], count: int) -> float:
    return _least(run) / count * 1e6


def _least(run: Callable[[], object]) -> float:
    """CPU seconds of the fastest of some rounds."""
    times = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return min(times)


def _pss() -> int:
    """Bytes of memory that are this process's, shared pages in proportion."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Pss":
            return int(value.split()[0]) * 1024
    raise RuntimeError("this kernel does not tell PSS")
