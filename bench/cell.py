"""One cell on one core: unary ModelInfer over 10,000 resident models, and where its time goes.

The cell is a real process on a core of its own; our load, on the other core, asks every model in turn, so
that no model is hot, and compares each answer byte for byte. CPU time is the cell's. Rounds alternate with a
server in Python, the bench of servers' `plain-fastpredict` (grpc.aio, uvloop, LightGBM's C interface), over
100 models, fewer than spoil its caches. What counts is the ratio.

The breakdown repeats the stages of the cell in this process, on the same requests and models, in reads of as
many calls as one brings under this load; what the cell takes beyond them is transport: sockets, HTTP/2,
gRPC framing and the event loop.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import uvloop

from bench import calling, openloop, processes, report
from bench.about import installed
from bench.catalog import MODEL_INFER, Load
from bench.engine_models import Array
from bench.population import Population, answer, asking, rows
from bench.serving import peer
from cell.codec.plain import read_infer
from cell.engines.native import Native
from cell.engines.packed import PackedEngine
from cell.residency.residency import Residency
from cell.scoring.encode import infer_answer
from cell.scoring.score import Scoring
from croupier.artifacts.engines import FOREST
from croupier.artifacts.format import digest_of, view
from croupier.stores.objects import key_of
from croupierctl.stack_process import Process
from protos.inference.v2 import inference_pb2 as pb

_CELL, _PLAIN = "croupier", "grpc.aio + LightGBM's FastPredict"
_ROWS = (1, 64)
# Requests of many rows are fewer.
_FEWER = 5
_PLAIN_MODELS = 100
# And so are those of the plain server, which takes its time.
_PLAIN_FEWER = 5
# Calls that one read brings with 8 connections of 32 streams.
_READ = 32


@dataclass(frozen=True, slots=True)
class Row:
    server: str
    rows_per_request: int
    requests_per_s: float
    rows_per_s: float
    cpu_us_per_request: float
    failures: int


def run(*, models: int, requests: int, rounds: int, json: Path | None) -> bool:
    """Measure, print and write; true unless an answer was wrong."""
    cores = processes.cores()
    population = Population()
    artifacts = [population.artifact(number) for number in range(models)]
    with tempfile.TemporaryDirectory(prefix="croupier-cell-") as name, ExitStack() as stack:
        folder = Path(name)
        loads = {count: _load(artifacts, rows(count)) for count in _ROWS}
        cell = stack.enter_context(_started(_cell(folder, artifacts), cores.proxy))
        plain = stack.enter_context(_started(_plain(folder, population), cores.proxy))
        with processes.pinned(cores.load):
            measured = uvloop.run(_measure(cell, plain, loads, requests, rounds))
            breakdown = _breakdown(artifacts, loads[1], measured[0].cpu_us_per_request)
    _tell(measured, breakdown)
    report.write_json(
        json,
        {
            "models": models,
            "rows": [asdict(row) for row in measured if row.server == _CELL],
            "plain": [asdict(row) for row in measured if row.server == _PLAIN],
            "ratio_to_plain": _ratio(measured),
            "breakdown_us": breakdown,
        },
        installed(("lightgbm", "grpcio", "uvloop")),
    )
    return not any(row.failures for row in measured)


async def _measure(
    cell: Process, plain: Process, loads: dict[int, Load], requests: int, rounds: int
) -> list[Row]:
    found = []
    everything = loads[1]
    report.step(f"loading {len(everything.asks):,} models")
    for process, load in ((cell, everything), (plain, _plain_load(1))):
        await _closed(process, load, len(load.asks), [])
    for count, load in loads.items():
        number = requests if count == 1 else max(1, requests // _FEWER)
        report.step(f"{count} rows a request")
        ours: list[Row] = []
        theirs: list[Row] = []
        for _ in range(rounds):
            await _closed(cell, load, number, ours, count)
            await _closed(plain, _plain_load(count), max(1, number // _PLAIN_FEWER), theirs, count)
        found += [_middle(_CELL, ours), _middle(_PLAIN, theirs)]
    return found


async def _closed(process: Process, load: Load, requests: int, into: list[Row], count: int = 1) -> None:
    async with calling.callers(process.address) as callers:
        await openloop.closed_loop(callers, load, max(1, requests // 10))
        before = processes.cpu_seconds(process.pid)
        loaded = await openloop.closed_loop(callers, load, requests)
        cpu = processes.cpu_seconds(process.pid) - before
    into.append(Row("", count, loaded.rps, loaded.rps * count, cpu / requests * 1e6, loaded.failures))


def _middle(server: str, seen: Sequence[Row]) -> Row:
    def of(name: str) -> float:
        return float(median(getattr(row, name) for row in seen))

    return Row(
        server,
        seen[0].rows_per_request,
        of("requests_per_s"),
        of("rows_per_s"),
        of("cpu_us_per_request"),
        sum(row.failures for row in seen),
    )


def _ratio(measured: Sequence[Row]) -> dict[str, float | None]:
    """How many times less CPU time a request takes than the other server's; None after too short a run."""
    cpu = {(row.server, row.rows_per_request): row.cpu_us_per_request for row in measured}
    return {
        f"{count} rows": cpu[_PLAIN, count] / cpu[_CELL, count] if cpu[_CELL, count] else None
        for count in _ROWS
    }


# Processes


@contextmanager
def _started(process: Process, core: int) -> Iterator[Process]:
    """The process on `core`, ready, while in the block."""
    processes.start_pinned(process, core)
    try:
        process.wait_ready(120.0)
        yield process
    finally:
        process.stop()


def _cell(folder: Path, artifacts: Sequence[bytes]) -> Process:
    store = folder / "objects"
    for artifact in artifacts:
        path = store / key_of(digest_of(artifact))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(artifact)
    argv = peer.ours(
        "cell.app",
        *("--listen", "127.0.0.1:0", "--manager", "", "--log-level", "error"),
        *("--store", f"file://{store}", "--cache-dir", str(folder / "cache")),
    )
    return Process("cell", argv, folder / "cell.log")


def _plain(folder: Path, population: Population) -> Process:
    text = population.booster.model_to_string()
    for number in range(_PLAIN_MODELS):
        (folder / f"m{number}.txt").write_text(text)
    argv = peer.ours("bench.serving.aio_server", "fastpredict", str(folder), "127.0.0.1:0")
    return Process("plain", argv, folder / "plain.log")


# Requests and what is expected of them


def _load(artifacts: Sequence[bytes], asked: Array) -> Load:
    """Each model is asked for the same rows, in the typed form; what it answers is its own."""
    asks, answers = [], []
    for artifact in artifacts:
        request = pb.ModelInferRequest(model_name="m", model_version="1", artifact=digest_of(artifact))
        asks.append((b"", request.SerializeToString()))
        answers.append(answer(artifact, asked))
    return Load(MODEL_INFER.encode(), asks, asking(asked), b"", answers=answers)


def _plain_load(count: int) -> Load:
    asked = rows(count)
    asks = [
        (b"", pb.ModelInferRequest(model_name=f"m{number}").SerializeToString())
        for number in range(_PLAIN_MODELS)
    ]
    return Load(MODEL_INFER.encode(), asks, asking(asked), None)


# Where the time goes


def _breakdown(artifacts: Sequence[bytes], load: Load, whole_us: float) -> dict[str, float]:
    """CPU microseconds of one request by stage."""
    residency: Residency[Native] = Residency(2**40)
    engine = PackedEngine(FOREST)
    for artifact in artifacts:
        digest = digest_of(artifact)
        model = engine.load(view(artifact), digest)
        residency.reserve(digest, residency.plan(model.resident_bytes))
        residency.admit(digest, model, model.resident_bytes, 0.0)[0].release()
    messages = [load.message(number) for number in range(len(artifacts))]
    reads = [messages[at : at + _READ] for at in range(0, len(messages), _READ)]
    spent = dict.fromkeys(("decode", "lookup", "native", "encode"), 0.0)
    for read in reads:
        scoring = Scoring()
        with _timed(spent, "decode"):
            asked = [read_infer(message) for message in read]
        with _timed(spent, "lookup"):
            found = [residency.find(each.artifact, 0.0) for each in asked if each is not None]
        with _timed(spent, "decode"):
            for pair in zip(asked, found, strict=True):
                assert None not in pair
                scoring.add(*pair, 1e12, 2**40)  # type: ignore[arg-type]
        with _timed(spent, "native"):
            scoring.run()
        with _timed(spent, "encode"):
            for place in range(len(scoring)):
                infer_answer(scoring, place)
    stages = {stage: seconds / len(messages) * 1e6 for stage, seconds in spent.items()}
    return {"transport": max(0.0, whole_us - sum(stages.values())), **stages}


@contextmanager
def _timed(spent: dict[str, float], stage: str) -> Iterator[None]:
    began = time.process_time()
    yield
    spent[stage] += time.process_time() - began


def _tell(measured: Sequence[Row], breakdown: dict[str, float]) -> None:
    head = ("server", "rows a request", "requests/s", "rows/s", "CPU µs a request", "failures")
    report.grid(
        "cell",
        head,
        [
            (
                row.server,
                str(row.rows_per_request),
                f"{row.requests_per_s:,.0f}",
                f"{row.rows_per_s:,.0f}",
                f"{row.cpu_us_per_request:.1f}",
                f"{row.failures:,}",
            )
            for row in measured
        ],
    )
    report.step(
        ", ".join(f"{stage} {us:.2f}" for stage, us in breakdown.items()) + " µs a request of one row"
    )
    for rows_, ratio in _ratio(measured).items():
        said = f"{ratio:.1f} times less CPU time than the server in Python" if ratio else "too short a run"
        report.step(f"{rows_}: {said}")
