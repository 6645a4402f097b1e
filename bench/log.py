"""What the log of predictions costs callers, at a rate; and whether it has what they were answered.

    off      a router whose family logs nothing
    on       all of its requests are logged, and a logger writes them into a folder
    hanging  the same, of a logger whose store takes connections and answers nothing

All three run at once and take turns before the same stub of a cell; in one order and in the next round in
the other. Ratios are of medians over rounds. After each turn the bench waits until all of it is written, so
that no logger works in another's turn. The one that hangs has its spool full before the first turn.

Router, logger and load want more than two cores together. The load has one core; the router has the other,
and the logger what the router leaves of it, since its work gives way by itself (`logger/threads.py`).
`rate` is what the machine holds of the rate that was asked for: requests are sent in time (`late_p99_ms`).

`bursts` appends to a spool alone, three times the rate in clumps, a tenth of a second's at once: whether
segments are made in time. What `logged` looks at is another matter: a real cell, and each answer compared.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import uvloop

from bench import calling, catalog, logged, openloop, processes, report
from bench.calling import SessionCaller
from bench.catalog import Load
from bench.logged import Written
from bench.peers import launch
from bench.peers.launch import Proxy
from bench.population import Population
from bench.upstream import Upstream
from croupier.artifacts.format import view
from croupier.stores.spool_folder import SEGMENT_BYTES, Spool
from croupier.stores.spool_reader import Place, ahead, writers
from croupierctl.stack_process import Process
from logger.progress import Progress
from protos.inference.v2 import inference_pb2 as pb

OFF, ON, HANGING = "off", "on", "hanging"
_CELLS, _WARM_UP, _SEED = 4, 0.3, 64
_BURST_RATIO, _CLUMPS = 3, 10
_WARM_REQUESTS = 8 * catalog.TENANTS
# So few under way that no router thinks of a cell that it is late.
_FEW_STREAMS = 4
_WIDE_BYTES = 60_000
_TRY_SECONDS, _LATE_MS, _LEAST_RATE = 1.0, 5.0, 100.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`answers` of a real cell are compared, `reproduced` of them computed again."""

    rate: float
    seconds: float
    rounds: int
    answers: int
    reproduced: int


@dataclass(slots=True)
class _Running:
    """A router that takes turns; `logger` is what follows its spool."""

    router: Proxy
    spool: Path
    logger: Process | None = None
    answered: int = 0
    failures: int = 0
    p99_ms: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    late_ms: list[float] = field(default_factory=list)


def run(plan: Plan, json: Path | None) -> bool:
    """Measure, print and write; true unless a request failed, or the log is not what callers saw."""
    cores = processes.cores()
    with (
        tempfile.TemporaryDirectory(prefix="croupier-log-") as name,
        processes.pinned(cores.load),
        processes.many_files(),
    ):
        folder = Path(name)
        artifact = Population().artifact(0)
        found, is_right = uvloop.run(_play(plan, folder, artifact, cores.proxy))
        report.step("bursts")
        found["bursts"] = _bursts(folder, plan)._asdict()
        report.step(f"{plan.answers:,} answers of a real cell")
        seen = uvloop.run(logged.look(folder, artifact, plan.answers, plan.reproduced))
    found |= asdict(seen)
    report.table("log", [(name, str(value)) for name, value in found.items()])
    report.write_json(json, found)
    return is_right and seen.rows == seen.answers == seen.rows_equal and seen.reproduced == plan.reproduced


async def _play(plan: Plan, folder: Path, artifact: bytes, core: int) -> tuple[dict[str, Any], bool]:
    load = _load(artifact)
    async with Upstream(_CELLS) as upstream, _routers(folder, artifact, upstream.addresses, core) as running:
        for one in running.values():
            await _ask(one, load, _WARM_REQUESTS)
        await _fill(running[HANGING], load)
        on, hanging, off = running[ON], running[HANGING], running[OFF]
        rate = await _held(off, load, plan.rate)
        await _written(on)
        assert on.logger is not None
        warm, cpu = on.answered, processes.cpu_seconds(on.logger.pid)
        for number in range(plan.rounds):
            report.step(f"round {number + 1} of {plan.rounds}")
            turns = list(running.values())
            for one in turns if number % 2 == 0 else reversed(turns):
                await _turn(one, load, rate, plan.seconds, number)
                await _written(one)
        progress = Progress.load(on.spool)
        cpu = processes.cpu_seconds(on.logger.pid) - cpu
        rows = logged.count(folder / ON / "log")
        kept, dropped = _in_the_spool(hanging.spool)
    found = {
        "rate_asked": plan.rate,
        "rate": rate,
        "late_p99_ms": median(value for one in running.values() for value in one.late_ms),
        "live_p99_ms": {name: median(one.p99_ms) for name, one in running.items()},
        "live_p99_ratio": median(on.p99_ms) / median(off.p99_ms),
        "live_p99_ratios": [mine / its for mine, its in zip(on.p99_ms, off.p99_ms, strict=True)],
        "router_cpu_us": median(off.cpu_us),
        "router_cpu_us_added": _added(on, off),
        "drops": progress.totals.dropped + progress.totals.lost,
        "logged_rows": rows,
        "logged_rows_missing": on.answered - rows,
        "logger_rows_per_cpu_s": (rows - warm) / cpu,
        "hanging": {
            "live_p99_ratio": median(hanging.p99_ms) / median(off.p99_ms),
            "router_cpu_us_added": _added(hanging, off),
            "drops_counted": dropped,
            "drops_not_counted": hanging.answered - kept - dropped,
        },
        "failures": sum(one.failures for one in running.values()),
    }
    is_whole = not found["drops"] and rows == on.answered and dropped > 0
    return found, is_whole and hanging.answered == kept + dropped and not found["failures"]


def _added(one: _Running, off: _Running) -> float:
    return median(mine - its for mine, its in zip(one.cpu_us, off.cpu_us, strict=True))


def _load(artifact: bytes) -> Load:
    """A row of numbers for each of a family's tenants in turn; all of them differ."""
    (tensor,) = view(artifact).inputs
    rows = np.random.default_rng(_SEED).normal(size=(40 * catalog.TENANTS, tensor.shape[1]))
    asks = []
    for number, row in enumerate(rows.astype(np.float32)):
        model = number % catalog.TENANTS
        request = pb.ModelInferRequest(model_name=catalog.name_of(model), raw_input_contents=[row.tobytes()])
        request.inputs.add(name=tensor.name, datatype="FP32", shape=[1, len(row)])
        asks.append((catalog.tenant_of(model).encode(), request.SerializeToString()))
    return Load(catalog.MODEL_INFER.encode(), asks, b"", catalog.infer_response())


# The processes


@asynccontextmanager
async def _routers(
    folder: Path, artifact: bytes, upstreams: Sequence[str], core: int
) -> AsyncIterator[dict[str, _Running]]:
    store = logged.store_of(folder, [artifact])
    with ExitStack() as stack:
        found = {}
        hung = stack.enter_context(_hung_store())
        for name in (OFF, ON, HANGING):
            home = folder / name
            home.mkdir()
            spool, log = home / "spool", hung if name == HANGING else f"file://{home / 'log'}"
            families = logged.families(1.0 if name != OFF else 0.0)
            logged.write_snapshot(home / "catalog", upstreams, artifact, families)
            size = 2 * SEGMENT_BYTES if name == HANGING else 2**30
            options = () if name == OFF else ("--log-spool", str(spool), "--log-spool-bytes", str(size))
            router = launch.start_router(home, home / "catalog", _CELLS, None, core, options=options)
            stack.callback(router.process.stop)
            found[name] = _Running(router, spool)
            if name != OFF:
                logger = logged.logger(home, store, spool, log)
                processes.start_pinned(logger, core)
                # The one that hangs would wait for its store at the end.
                stack.callback(logger.kill)
                logger.wait_ready()
                found[name].logger = logger
        yield found


@contextmanager
def _hung_store() -> Iterator[str]:
    """The URL of a bucket: whoever connects is never answered."""
    before = dict(os.environ)
    # A client asks nothing at all without a name to sign with.
    os.environ |= {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"}
    try:
        with socket.create_server(("127.0.0.1", 0), backlog=1_024) as server:
            port = server.getsockname()[1]
            yield f"s3://log/bench?endpoint=http://127.0.0.1:{port}&region=none"
    finally:
        os.environ.clear()
        os.environ.update(before)


# Turns


class _Counted:
    """Requests of `load`; counts those that are answered."""

    def __init__(self, load: Load, one: _Running) -> None:
        self.path, self.tenant, self.message = load.path, load.tenant, load.message
        self._load, self._one = load, one

    def is_answer(self, number: int, answer: bytes) -> bool:
        self._one.answered += 1
        return self._load.is_answer(number, answer)


async def _ask(one: _Running, load: Load, requests: int) -> None:
    async with calling.callers(one.router.address) as callers:
        await openloop.closed_loop(callers, _Counted(load, one), requests, streams=_FEW_STREAMS)


async def _fill(one: _Running, load: Load) -> None:
    """Ask until the spool has taken all that it takes."""
    padding = pb.ModelInferRequest()
    padding.parameters["padding"].string_param = "x" * _WIDE_BYTES
    wide = replace(load, rest=padding.SerializeToString())
    while not _in_the_spool(one.spool)[1]:
        await _ask(one, wide, catalog.TENANTS)


async def _held(one: _Running, load: Load, rate: float) -> float:
    """The most, of `rate` and less, that can be sent and answered in time, of a router that logs nothing."""
    while True:
        async with calling.callers(one.router.address) as callers:
            sample = await openloop.open_loop(
                callers, _Counted(load, one), rate=rate, seconds=_TRY_SECONDS, seed=_SEED, warm_up=_WARM_UP
            )
        if (not sample.failures and sample.late_ms(0.99) < _LATE_MS) or rate < _LEAST_RATE:
            return rate
        report.step(f"{rate:,.0f} a second is too much: {sample.late_ms(0.99):.1f} ms late")
        rate *= 0.75


async def _turn(one: _Running, load: Load, rate: float, seconds: float, number: int) -> None:
    async with calling.callers(one.router.address) as callers:
        cpu, before = one.router.cpu_seconds, one.answered
        sample = await openloop.open_loop(
            callers,
            _Counted(load, one),
            rate=rate,
            seconds=seconds,
            seed=_SEED + number,
            warm_up=_WARM_UP,
        )
        _tell(one, callers)
        cpu = one.router.cpu_seconds - cpu
    answered = one.answered - before
    one.failures += sample.failures
    one.p99_ms.append(sample.quantile_ms(0.99))
    one.late_ms.append(sample.late_ms(0.99))
    one.cpu_us.append(cpu / answered * 1e6)


def _tell(one: _Running, callers: Sequence[SessionCaller]) -> None:
    for problem, count in sum((caller.problems for caller in callers), Counter[str]()).most_common(3):
        report.step(f"{one.spool.parent.name}: {count:,} × {problem}")


async def _written(one: _Running) -> None:
    """Wait until all that a router has answered is in the log. Raises TimeoutError."""
    if one.spool.parent.name == ON:
        await logged.written(one.spool, one.answered)


def _in_the_spool(spool: Path) -> tuple[int, int]:
    """How many records are in a spool of which nobody has read anything, and how many were dropped."""
    kept = dropped = 0
    for name in writers(spool):
        if (spool / name / "writer.lock").exists():
            ranges, _ = ahead(spool, name, Place(), sys.maxsize)
            kept += sum(part.count for part in ranges)
            dropped += sum(part.dropped for part in ranges)
    return kept, dropped


def _bursts(folder: Path, plan: Plan) -> Written:
    """Append clumps to a spool whose segments go as soon as they are full."""
    spool = Spool(folder / "bursts", "bench", 2**30).begin()
    clump = round(_BURST_RATIO * plan.rate / _CLUMPS)
    record = logged.record()
    began = time.monotonic()
    for number in range(max(1, round(plan.seconds * _CLUMPS))):
        for _ in range(clump):
            spool.appender.append(**record)
        time.sleep(max(0.0, began + (number + 1) / _CLUMPS - time.monotonic()))
    spool.close()
    return Written(spool.appender.kept, spool.appender.dropped)
