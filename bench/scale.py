"""A catalog of very many models: what it takes of etcd, of a version manager and of a router.

The records are written into a real etcd while no version manager runs, two versions and a split for each.
Then a version manager starts, a router gets all of it from there, and once that has its copy on disk, both
end and the router starts again with nobody to ask. What resolving a model takes is measured here, on the
router's own file. Artifacts are not read, so there are none.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from bench import report
from bench.catalog import name_of, tenant_of
from bench.processes import rss_of
from bench.system.records import audited
from croupier.stores.etcd import MAX_TRANSACTION, Etcd, Put
from croupier.stores.etcd_connection import EtcdConfig
from croupierctl.stack import Stack
from croupierctl.stack_process import Process
from protos.inference.v2 import inference_pb2
from router import snapshot
from router.pipeline import decide
from router.routes import Routes
from router.view import View
from sharding.generation import Generation, Seat
from version_manager.map.keys import Keys
from version_manager.map.records import Active, encode
from version_manager.map.seed import Era, Seed
from version_manager.model.release import Release, Split, Version
from version_manager.model.resolve import Ask, resolve

# Models of a tenant.
_OWNED = 4
_AT_ONCE = 4
_SEED = 18
# Beside them, the entry of the audit.
_PER_TRANSACTION = (MAX_TRANSACTION - 1) // 3
_START_SECONDS = 600.0
# Models that are resolved, and those that are asked for again and again.
_ASKED, _FEW = 50_000, 1_000


@dataclass(frozen=True, slots=True)
class Started:
    """`start_s`: from the start of the process until it serves."""

    start_s: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Router:
    start_from_manager_s: float
    start_from_snapshot_s: float
    # Of the one that started from its snapshot.
    rss_bytes: int
    # What the catalog itself takes.
    bytes_per_model: float


@dataclass(frozen=True, slots=True)
class Resolved:
    """Microseconds: of what is remembered already, and of what is not."""

    cached: float
    uncached: float


@dataclass(frozen=True, slots=True)
class Result:
    models: int
    etcd_bytes: int
    manager: Started
    router: Router
    resolve_us: Resolved


def run(*, models: int, json: Path | None) -> bool:
    """Measure, print the table; true: there is no bar here."""
    with tempfile.TemporaryDirectory(prefix="croupier-catalog-") as folder:
        stack = Stack(Path(folder))
        try:
            result = _measure(stack, models)
        finally:
            stack.stop()
    found = asdict(result)
    report.table("catalog", [(f"{name}", str(value)) for name, value in found.items()])
    report.write_json(json, found)
    return True


def _measure(stack: Stack, models: int) -> Result:
    stack.start_managers()
    manager = stack.process("version-manager")
    manager.stop()
    report.step(f"writing {models:,} models into etcd")
    asyncio.run(_write(stack, models))
    etcd_bytes = (stack.folder / "etcd" / "member" / "snap" / "db").stat().st_size
    started = _started(manager)
    began = time.monotonic()
    router = stack.start_router("router", stack.snapshot, patience=_START_SECONDS)
    from_manager = time.monotonic() - began
    _await_snapshot(stack.snapshot, models)
    for process in (router, manager, stack.process("etcd")):
        process.stop()
    again = _started(router)
    before = rss_of(os.getpid())
    view = snapshot.read(stack.snapshot)
    grown = (rss_of(os.getpid()) - before) / models
    found = Router(from_manager, again.start_s, again.rss_bytes, grown)
    return Result(models, etcd_bytes, started, found, _resolved(view, models))


def _started(process: Process) -> Started:
    began = time.monotonic()
    process.start()
    process.wait_ready(_START_SECONDS)
    return Started(time.monotonic() - began, rss_of(process.pid))


def _await_snapshot(path: Path, models: int) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while not path.exists() or snapshot.read(path).catalog.size < models:
        if time.monotonic() > give_up:
            raise TimeoutError(f"the router has no copy of {models} models after {_START_SECONDS:g} s")
        time.sleep(1.0)


async def _write(stack: Stack, models: int) -> None:
    async with Etcd(EtcdConfig((stack.process("etcd").address,))) as etcd:
        await etcd.transact([], _map())
        waiting = iter(range(0, models, _PER_TRANSACTION))

        async def writer() -> None:
            for begin in waiting:
                numbers = range(begin, min(begin + _PER_TRANSACTION, models))
                await etcd.transact([], audited([put for number in numbers for put in _puts(number, models)]))

        await asyncio.gather(*(writer() for _ in range(_AT_ONCE)))


def _map() -> list[Put]:
    """A shard map of cells that are not there: routes are dealt, and nobody is asked."""
    keys, seats = Keys(), tuple(Seat(f"cell-{number}", f"zone-{number % 4}") for number in range(8))
    return [
        Put(keys.generation(1), encode(Generation(1, _SEED, 4, seats))),
        Put(keys.active, encode(Active(1))),
        Put(keys.seed, encode(Seed((Era(_SEED),)))),
    ]


def _puts(number: int, models: int) -> Iterator[Put]:
    keys, (tenant, name) = Keys(), _named(number, models)
    for version in (1, 2):
        digest = hashlib.sha256(f"{tenant}/{name}/{version}".encode()).digest()
        record = encode(Version(version, digest, 15_000, "forest", time.time()))
        yield Put(keys.version(tenant, name, version), record)
    yield Put(keys.release(tenant, name), encode(Release(2, (Split(1, 9_000), Split(2, 1_000)))))


def _named(number: int, models: int) -> tuple[str, str]:
    tenants = max(1, models // _OWNED)
    return tenant_of(number, tenants), name_of(number, tenants)


def _resolved(view: View, models: int) -> Resolved:
    rng = Random(_SEED)
    asked = [_named(number, models) for number in rng.sample(range(models), min(models, _ASKED))]
    uncached = _each(lambda tenant, name: resolve(view.catalog, tenant, Ask(name), 77), asked)
    routes = Routes(decide, rng.random)
    routes.follow(view)
    few = [(tenant, _message(name)) for tenant, name in asked[:_FEW]]
    _each(routes.infer, few)
    return Resolved(_each(routes.infer, few * (len(asked) // len(few))), uncached)


def _message(name: str) -> bytes:
    return inference_pb2.ModelInferRequest(model_name=name).SerializeToString()


def _each(act: Callable[[str, Any], object], asked: Sequence[tuple[str, Any]]) -> float:
    """Microseconds of CPU for each."""
    began = time.process_time()
    for one in asked:
        act(*one)
    return (time.process_time() - began) / len(asked) * 1e6
