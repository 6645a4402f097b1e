"""What stored features cost: reads of Redis, and a router's time and a request's wait for them.

    off           a family without features; the same requests
    store_cached  eight features of each request's entity, all known to the router
    store_redis   the same, and nothing known: every request is read for
    log_on        a family without features, whose requests are all written down, and read as a logger does

All routers run at once and take turns on one core, as in the route bench; Redis, the load and the cells that
answer it have the other. A turn's CPU time is the router's alone. `gets_per_s` is of one process that reads
and decodes as a router does, by its own CPU time, beside one that awaits redis-py's client key by key.

That was what they cost; what they are for, right answers, is looked at by `answers`.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import uvloop

from bench import answers, catalog, processes, report
from bench.catalog import entity_of, name_of, tenant_of
from bench.measuring import Measuring
from bench.peers import launch
from bench.peers.launch import Proxy
from bench.upstream import Upstream
from croupier.protocol import CURRENT
from croupier.stores.features import features_key, open_store
from croupier.stores.spool_reader import Place, segments, sweep, writers
from croupierctl.stack_process import Process
from router.feature_plan import Found
from router.feature_reads import FeatureReads, Waits
from version_manager.model.family import Families, Family, FeatureSpec, LogRule

COSTS, ANSWERS = "costs", "answers"
PARTS = (COSTS, ANSWERS)
OFF, CACHED, REDIS, LOGGED = "off", "store_cached", "store_redis", "log_on"
_CELLS, _PAYLOAD, _GROUP = 4, 256, "customer"
_NAMES = [f"f{number}" for number in range(8)]
_FEATURES = tuple(FeatureSpec(name, source="store", group=_GROUP, default=0.0) for name in _NAMES)
# Keys that are wanted before the first of them has come.
_AT_ONCE = 512
# By the load of routers; both are multiples of the tenants, so that every request finds its own.
_ASKED_ABOUT = 80 * catalog.TENANTS
_WITHIN = 3600.0
_LOOK_SECONDS = 0.05
# Of a connection: so few that a router on a busy machine takes them in any case.
_STREAMS = 6


@dataclass(frozen=True, slots=True)
class Plan:
    """`entities` are loaded; `requests` are those of one turn; `rate` a second when latency is looked at;
    `tenants` have answers.
    """

    entities: int
    gets: int
    requests: int
    rounds: int
    rate: float
    seconds: float
    tenants: int


def run(plan: Plan, parts: Collection[str], path: Path | None) -> bool:
    """Measure, print and write; true unless a request failed, or an answer is another than it should be."""
    found: dict[str, Any] = {}
    if COSTS in parts:
        found |= _costs(plan)
    if ANSWERS in parts:
        found["answers"] = _answers(plan.tenants)
    report.write_json(path, found)
    return not found.get("failures") and found.get("answers", {}).get("passed", True)


def _answers(tenants: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="croupier-answers-") as folder:
        home = Path(folder)
        with _redis(home) as url:
            found = answers.run(home / "stack", url, tenants).as_json()
    report.table("answers", [(name, _shown(value)) for name, value in found.items()])
    return found


def _costs(plan: Plan) -> dict[str, Any]:
    cores = processes.cores()
    with (
        tempfile.TemporaryDirectory(prefix="croupier-features-") as folder,
        processes.pinned(cores.load),
        processes.many_files(),
    ):
        found, failures = uvloop.run(_play(plan, Path(folder), cores.proxy))
    report.table("features", [(name, _shown(value)) for name, value in found.items()])
    return {**found, "failures": failures}


async def _play(plan: Plan, folder: Path, core: int) -> tuple[dict[str, Any], int]:
    with _redis(folder) as url:
        report.step(f"loading {plan.entities:,} entities")
        found: dict[str, Any] = {"load_entities_per_s": await _load(folder, url, plan.entities)}
        found |= await _gets(url, plan)
        routed, failures = await _routers(plan, folder, url, core)
    return found | routed, failures


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    """A Redis that keeps nothing on the disk."""
    address = processes.free_address()
    port = address.rpartition(":")[2]
    argv = ["redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no"]
    server = Process("redis", [*argv, "--dir", str(folder)], folder / "redis.log", address)
    server.start()
    try:
        processes.wait_connectable(server)
        yield f"redis://{address}"
    finally:
        server.stop()


async def _load(folder: Path, url: str, entities: int) -> float:
    """Entities a second that the command line loads, one row for each."""
    numbers = range(entities)
    columns: dict[str, Any] = {
        "tenant": [tenant_of(number) for number in numbers],
        "entity": [entity_of(number) for number in numbers],
        **{name: [float(number % 1000 + place) for number in numbers] for place, name in enumerate(_NAMES)},
    }
    file = folder / "features.parquet"
    pq.write_table(pa.table(columns), file)
    argv = ["croupierctl", "--json", "features", "load", _GROUP, str(file), "--store", url]
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    told, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError("features load failed")
    return float(json.loads(told)["rows_a_second"])


async def _gets(url: str, plan: Plan) -> dict[str, float]:
    """Reads a second of CPU time, in five turns of either way."""
    keys = [
        features_key(tenant_of(number), _GROUP, entity_of(number % plan.entities))
        for number in range(plan.gets)
    ]
    ours: list[float] = []
    naive: list[float] = []
    for number in range(5):
        report.step(f"reads, round {number + 1} of 5")
        ours.append(await _read_as_routers_do(url, keys))
        naive.append(await _read_one_by_one(url, keys[: len(keys) // 8]))
    return {"gets_per_s": median(ours), "gets_per_s_one_by_one": median(naive)}


class _All:
    """Waits for as many as it asks for, again and again."""

    def __init__(self) -> None:
        self.left = 0
        self.missing = 0
        self.came = asyncio.Event()

    def take(self, key: bytes, found: Found) -> None:
        self.missing += found is None
        self.left -= 1
        if not self.left:
            self.came.set()


async def _read_as_routers_do(url: str, keys: Sequence[bytes]) -> float:
    store = open_store(url)
    reads = FeatureReads(store, clock=time.monotonic, timeout=5.0, known_seconds=0.0, most_bytes=0)
    waiter = _All()
    began = time.process_time()
    for start in range(0, len(keys), _AT_ONCE):
        waiter.came.clear()
        some, now = keys[start : start + _AT_ONCE], time.monotonic()
        waiter.left = len(some)
        for key in some:
            if not isinstance(reads.want(key, _GROUP, waiter, now), Waits):
                raise RuntimeError("the feature store does not answer")
        await waiter.came.wait()
    seconds = time.process_time() - began
    await reads.close()
    if waiter.missing:
        raise RuntimeError(f"{waiter.missing} entities are missing")
    return len(keys) / seconds


async def _read_one_by_one(url: str, keys: Sequence[bytes]) -> float:
    from redis.asyncio import Redis

    client = Redis.from_url(url)
    await client.get(keys[0])
    began = time.process_time()
    for key in keys:
        await client.get(key)
    seconds = time.process_time() - began
    await client.aclose()
    return len(keys) / seconds


async def _routers(plan: Plan, folder: Path, url: str, core: int) -> tuple[dict[str, Any], int]:
    load = catalog.about(_PAYLOAD, min(plan.entities, _ASKED_ABOUT))
    seen: dict[str, list[float]] = {name: [] for name in (OFF, CACHED, REDIS, LOGGED)}
    failures = 0
    async with Upstream(_CELLS) as upstream:
        with ExitStack() as stack:
            measuring = Measuring(upstream, folder, _STREAMS)
            routers = {name: _start(name, folder, upstream.addresses, url, core, stack) for name in seen}
            stack.enter_context(_read(folder / LOGGED / "spool"))
            for router in routers.values():
                await measuring.warm(router, load)
            for number in range(plan.rounds):
                report.step(f"round {number + 1} of {plan.rounds}")
                turns = list(routers.items())
                for name, router in turns if number % 2 == 0 else reversed(turns):
                    closed = await measuring.closed(router, load, plan.requests)
                    failures += closed.failures
                    seen[name].append(closed.cpu_us_per_request)
            waits = []
            for name in (OFF, REDIS):
                quantiles, _, failed = await measuring.open(routers[name], load, plan.rate, plan.seconds)
                failures += failed
                waits.append(quantiles)
    off, stored = waits
    return {
        "added_p50_us": (stored.p50_ms - off.p50_ms) * 1e3,
        "added_p99_us": (stored.p99_ms - off.p99_ms) * 1e3,
        "cpu_us_per_request": {name: median(values) for name, values in seen.items()},
        "cpu_ratio": {
            name: median(mine / its for mine, its in zip(seen[name], seen[OFF], strict=True))
            for name in (CACHED, REDIS, LOGGED)
        },
    }, failures


def _start(name: str, folder: Path, upstreams: Sequence[str], url: str, core: int, stack: ExitStack) -> Proxy:
    home = folder / name
    home.mkdir()
    family = Family("", 1, features=() if name in (OFF, LOGGED) else _FEATURES)
    if name == LOGGED:
        family = replace(family, log=LogRule(1.0))
    names = {name_of(number) for number in range(catalog.MODELS)}
    families = Families({one: replace(family, name=one) for one in names})
    catalog.write_snapshot(home / "catalog", upstreams, families=families, speaks=CURRENT)
    options = {
        OFF: (),
        CACHED: ("--features-store", url, "--features-known", f"{_WITHIN}", "--features-bytes", f"{2**30}"),
        REDIS: ("--features-store", url, "--features-known", "0"),
        LOGGED: ("--log-spool", str(home / "spool")),
    }[name]
    told = ("--no-limit-cells", *options)
    router = launch.start_router(home, home / "catalog", _CELLS, None, core, options=told)
    stack.callback(router.process.stop)
    return router


@contextmanager
def _read(spool: Path) -> Iterator[None]:
    """Have what is in the spool passed by, and segments given back, in a thread."""
    is_over = threading.Event()

    def read() -> None:
        while not is_over.wait(_LOOK_SECONDS):
            for writer in writers(spool):
                # The newest is a spare, and the one before it is written to.
                *_, current, _ = segments(spool / writer)
                sweep(spool, writer, Place(segment=current))

    reading = threading.Thread(target=read)
    reading.start()
    try:
        yield
    finally:
        is_over.set()
        reading.join()


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(one)}" for name, one in value.items())
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}" if value > 0.1 else f"{value:.2g}"
