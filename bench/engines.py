"""`python -m bench engines`: bytes a model and microseconds a row, beside what others need.

Each engine and model has a process of its own. Memory is what loading some copies adds to the process's
proportional set size (PSS). Times are CPU time, the least of some rounds, since this machine has others'
work to do as well; what counts are the ratios of one run. Of every engine the answers are compared with those
of the library that trained the model.

    prepare_s      of the clock, from the trained model to what is kept of it: packed, written or compiled
    file_kb        1,000 bytes of what is kept
    kb_per_model   1,000 bytes of PSS a resident model
    copies         how many that was measured with: enough to see, fewer if all would not fit or take too long
    load_us        from the file's bytes in memory to the first answer being possible
    hot_us         one row, always the same model
    rotating_us    one row, a different model each time in random order, so that none is in a cache
    batch64_us     one row of 64 in one call
    wide_…         the same with float64 rows, of whoever takes these; the others ask for float32 rows
    max_difference of an answer from the training library's

Who needs longer than `prepare_seconds` to prepare a model is stopped, and stands in `gave_up`.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from bench import report, transforms
from bench.about import installed
from bench.engine_models import ROWS, SHAPES, Shape, rows_of
from bench.engine_peer import Peer
from bench.engine_peers import PEERS

_BATCH = 64
_ROUNDS = 5
_MB = 1_000_000
# What rotating may take, and loading for it: who is slower is rotated over fewer models.
_ASKING_SECONDS = 0.5
_LOADING_SECONDS = 5.0
# Below it, what a process has at hand anyway hides what models take.
_SEEN_BYTES = 16 * _MB
_PR_SET_PDEATHSIG = 1
# Importing a library takes less.
_IMPORTS_SECONDS = 5.0
# Of probabilities, of whoever adds float32 leaves up.
_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Plan:
    """`copies` at least are measured, `models` rotated over, together within `memory_mb`."""

    engines: list[str]
    models: list[str]
    copies: int
    rotated: int
    memory_mb: int
    prepare_seconds: float


@dataclass(frozen=True, slots=True)
class Row:
    engine: str
    model: str
    version: str
    prepare_s: float
    file_kb: float
    max_difference: float
    copies: int
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


@dataclass(frozen=True, slots=True)
class GaveUp:
    engine: str
    model: str
    version: str
    after_s: float


def run(plan: Plan, json: Path | None) -> bool:
    """Measure everything in `plan`, print and write; true unless an engine answered wrongly."""
    chosen = [name for name in plan.engines if PEERS[name].is_installed()]
    for name in plan.engines:
        if name not in chosen:
            report.step(f"{name} is not installed and is left out (make peers)")
    rows: list[Row] = []
    gave_up: list[GaveUp] = []
    for model in plan.models:
        for engine in chosen:
            if PEERS[engine].takes(SHAPES[model]):
                report.step(f"{model}: {engine}")
                found = _apart(engine, model, plan)
                if isinstance(found, Row):
                    rows.append(found)
                else:
                    gave_up.append(found)
    _tell(rows)
    for one in gave_up:
        report.step(f"{one.engine} was stopped, {one.after_s:g} s after it began to prepare {one.model}")
    wrong = [row for row in rows if not row.max_difference <= _TOLERANCE]
    for row in wrong:
        report.step(f"{row.engine} answers up to {row.max_difference:.2g} beside what {row.model} says")
    pipeline = transforms.measure()
    report.step(transforms.line(pipeline))
    result = {
        "rows": [asdict(row) for row in rows],
        "gave_up": [asdict(one) for one in gave_up],
        "pipeline": asdict(pipeline),
    }
    versions = {row.engine: row.version for row in rows if not row.engine.startswith("croupier")}
    versions |= {one.engine: one.version for one in gave_up}
    report.write_json(json, result, versions | installed(["numpy"]))
    return not wrong


def _apart(engine: str, model: str, plan: Plan) -> Row | GaveUp:
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="croupier-engines-") as folder:
        process = context.Process(
            target=_measure_for, args=(theirs, folder, PEERS[engine], engine, model, plan)
        )
        process.start()
        theirs.close()
        try:
            version = ours.recv()
            if not ours.poll(plan.prepare_seconds):
                return GaveUp(engine, model, version, plan.prepare_seconds)
            ours.recv()
            row: Row = ours.recv()
            return row
        except EOFError:
            raise RuntimeError(f"{engine} ended over {model}") from None
        finally:
            _end(process)


def _end(process: BaseProcess) -> None:
    """With all that it has started: it may wait for a compiler."""
    assert process.pid is not None
    # There is none yet of a process that was only just started.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def _tell(rows: list[Row]) -> None:
    head = (
        *("model", "engine", "prepare s", "file kB", "kB a model", "load µs", "hot µs", "rotating", "of 64"),
        "float64 hot",
    )
    lines = [
        [
            row.model,
            row.engine,
            f"{row.prepare_s:.3f}",
            *(f"{value:.1f}" for value in (row.file_kb, row.kb_per_model)),
            f"{row.load_us:.0f}",
            *(f"{value:.2f}" for value in (row.hot_us, row.rotating_us, row.batch64_us)),
            "" if row.wide_hot_us is None else f"{row.wide_hot_us:.2f}",
        ]
        for row in rows
    ]
    report.grid("engines", head, lines)


# From here on everything runs in a process of its own.


def _measure_for(asker: Connection, folder: str, peer: Peer, engine: str, model: str, plan: Plan) -> None:
    """Say the engine's version before it prepares the model, then that it is done, then what was seen."""
    # To be ended together with a compiler, and with whoever asks, however that ends.
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # Before any library is imported: threads that wait for each other would be measured too.
    os.environ["OMP_NUM_THREADS"] = "1"
    tempfile.tempdir = os.environ["TMPDIR"] = folder
    shape = SHAPES[model]
    version = peer.version()
    trained = peer.trained(shape)
    asker.send(version)
    payload, prepare_s = _prepared(peer, trained, shape)
    asker.send(True)
    rows = rows_of(shape)
    first = peer.load(payload)
    difference = float(np.abs(peer.ask(first, rows) - peer.expected(trained, rows)).max())
    load_us = _load_us(peer, payload)
    file_bytes = _bytes_of(payload)
    loaded, size = _sized(peer, payload, file_bytes, rows, plan, load_us)
    copies = len(loaded)
    hot_us = _us_a_row(peer.asker([first] * ROWS, rows), ROWS)
    most = min(plan.memory_mb * _MB / size, _ASKING_SECONDS / hot_us * 1e6, _LOADING_SECONDS / load_us * 1e6)
    count = max(1, min(plan.rotated, int(min(most, peer.most))))
    loaded += [peer.load(payload) for _ in range(count - len(loaded))]
    order = np.random.default_rng(1).permutation(min(count, len(loaded)))
    rotated = [loaded[place] for place in order]
    times = _times(peer, first, rotated, rows)
    wide = _times(peer, first, rotated, rows.astype(np.float64)) if peer.is_wide else (None, None, None)
    about = (engine, model, version, prepare_s, file_bytes / 1_000, difference)
    asker.send(Row(*about, copies, size / 1_000, load_us, *times, len(order), *wide))


def _prepared(peer: Peer, trained: Any, shape: Shape) -> tuple[Any, float]:
    """The payload, and how long it took, without what is imported on the way if that is much of it."""
    for _ in range(2):
        began = time.perf_counter()
        payload = peer.payload(trained, shape)
        seconds = time.perf_counter() - began
        if seconds > _IMPORTS_SECONDS:
            break
    return payload, seconds


def _bytes_of(payload: Any) -> int:
    parts = payload if isinstance(payload, tuple) else (payload,)
    return sum(len(part) for part in parts if isinstance(part, (bytes, str)))


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
    peer: Peer,
    payload: Any,
    file_bytes: int,
    rows: np.ndarray[Any, Any],
    plan: Plan,
    load_us: float,
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
    most = min(plan.memory_mb * _MB / guessed, _LOADING_SECONDS / load_us * 1e6, peer.most)
    copies = min(max(plan.copies, _SEEN_BYTES // file_bytes), max(20, int(most)))
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
