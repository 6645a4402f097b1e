"""Puts models into the object store and into etcd as a version manager writes them, many in a transaction.

Publishing hundreds of thousands one by one takes hours. Artifacts are written as `bench.many` has it: not
flushed. A version manager that runs hears of all of it from etcd, and routers from it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.catalog import MODEL_INFER, Load
from bench.fair.wares import await_known
from bench.system.asking import message
from bench.system.population import Population
from croupier.artifacts.format import digest_of
from croupier.stores.etcd import MAX_TRANSACTION, Etcd, Put
from croupier.stores.etcd_connection import EtcdConfig
from croupier.stores.objects import key_of
from croupierctl.stack import Stack
from version_manager.map.audit import MANAGER, Audit
from version_manager.map.keys import Keys
from version_manager.map.records import encode
from version_manager.model.release import WHOLE, Release, Split, Version

# Beside them, the entry of the audit: without one, version managers note each change as one from outside.
_PER_TRANSACTION = (MAX_TRANSACTION - 1) // 2
_AT_ONCE = 4


async def publish(
    stack: Stack,
    population: Population,
    numbers: range,
    advance: Callable[[int], object] = lambda count: None,
) -> None:
    """Publish and release those models; returns when the router knows them all.

    Raises:
        TimeoutError: it does not hear of the last.
    """
    store = stack.folder / "objects"
    for number in range(256):
        (store / f"{number:02x}").mkdir(parents=True, exist_ok=True)
    async with Etcd(EtcdConfig((stack.process("etcd").address,))) as etcd:
        waiting = iter(list(_parts(numbers[:-1])))

        async def writer() -> None:
            for part in waiting:
                ops = await asyncio.to_thread(_lay, store, population, part)
                await etcd.transact([], audited(ops))
                advance(len(part))

        await asyncio.gather(*(writer() for _ in range(_AT_ONCE)))
        # Changes reach a router in order, so whoever knows this one knows all.
        await etcd.transact([], audited(_lay(store, population, numbers[-1:])))
    models, last = population.models, numbers[-1]
    await await_known(
        stack.router,
        Load(MODEL_INFER.encode(), [(models.tenant(last).encode(), message(models, last))], b"", None),
    )


def _parts(numbers: range) -> Iterator[range]:
    for begin in range(0, len(numbers), _PER_TRANSACTION):
        yield numbers[begin : begin + _PER_TRANSACTION]


def _lay(store: Path, population: Population, numbers: Sequence[int]) -> list[Put]:
    """Write their artifacts; what is to be put for them."""
    ops = []
    for number in numbers:
        artifact = population.artifact(number)
        digest = digest_of(artifact)
        (store / key_of(digest)).write_bytes(artifact)
        version = Version(1, digest, len(artifact), population.engine(number), time.time())
        tenant, name = population.models.tenant(number), population.models.name(number)
        ops += puts(tenant, name, version)
    return ops


def audited(ops: Sequence[Put]) -> list[Put]:
    """What a version manager would write: `ops`, and that they were done."""
    audit = Audit(Keys(), time.time_ns, random.Random())
    return [*ops, audit.entry(MANAGER, "publish", f"{len(ops) // 2} models")]


def puts(tenant: str, name: str, version: Version) -> list[Put]:
    """The records of a model of one version, to which all requests go."""
    keys, release = Keys(), Release(1, (Split(version.number, WHOLE),))
    return [
        Put(keys.version(tenant, name, version.number), encode(version)),
        Put(keys.release(tenant, name), encode(release)),
    ]
