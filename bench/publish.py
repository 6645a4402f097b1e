"""Many models published and released by one call: on the first night, and on one when all were trained anew.

What packs and compares is measured by itself, on files of LightGBM, in as many processes as there are
cores. What publishes begins with packed bytes in memory and ends with the last outcome, over gRPC, with a
real etcd and a folder for an object store, each flushing to the disk; whoever publishes is on the same
machine. Afterwards everything is looked at: each model's release, and each artifact in the store.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from bench import report
from croupier.artifacts.checked import with_checked
from croupier.artifacts.comparison import Comparison
from croupier.artifacts.packers.checks.check import check_file
from croupier.artifacts.packers.files import FileKind
from croupier.artifacts.packers.linear import pack_linear
from croupier.artifacts.packers.process import Limits, pack_file_apart
from croupier.grpcio.bulk import BulkItem
from croupier.grpcio.manager import VersionManagerClient
from croupierctl.stack import Stack
from protos.versions.v1 import versions_pb2 as pb

_SEED = 18
_FEATURES = 20
# Of a hundred models, so many are linear, and the others forests.
_LINEAR = 50
_TENANTS = 500
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Plan:
    """`files` are packed and compared; `models` are published."""

    models: int
    files: int


@dataclass(frozen=True, slots=True)
class Result:
    """Rates of models. `publish_per_s` is of the night when all were trained anew, from packed bytes to
    released, `first_per_s` of the one before, `known_per_s` of doing it all again. `wrong` counts models that
    are not what was published, or not released, or whose artifact is not in the store.
    """

    models: int
    bytes: int
    files: int
    pack_per_s: float
    compare_per_s: float
    first_per_s: float
    publish_per_s: float
    known_per_s: float
    failed: int
    wrong: int


def run(plan: Plan, json: Path | None) -> bool:
    """Measure, print a table; true if nothing is wrong."""
    report.step(f"packing and comparing {plan.files} files of LightGBM")
    forests, pack_rate, compare_rate = _pack(plan.files)
    with tempfile.TemporaryDirectory(prefix="croupier-publish-") as folder:
        stack = Stack(Path(folder), cells=0)
        try:
            stack.start_managers()
            found = uvloop.run(_play(plan, stack, forests))
        finally:
            stack.stop()
    result = Result(
        models=plan.models, files=plan.files, pack_per_s=pack_rate, compare_per_s=compare_rate, **found
    )
    report.table("publish", [(name, f"{value:,.6g}") for name, value in asdict(result).items()])
    report.write_json(json, asdict(result))
    return not result.wrong and not result.failed


def _pack(files: int) -> tuple[list[bytes], float, float]:
    """What `files` become, and how many a second are packed, and compared."""
    sources = list(_trained(files))
    limits = Limits()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        begun = time.monotonic()
        packed = list(pool.map(partial(pack_file_apart, kind=FileKind.LIGHTGBM, limits=limits), sources))
        middle = time.monotonic()
        kinds = [FileKind.LIGHTGBM] * files
        reports = list(pool.map(partial(check_file, limits=limits), sources, kinds, packed))
        end = time.monotonic()
    checked = [with_checked(artifact, one.checked) for artifact, one in zip(packed, reports, strict=True)]
    return checked, files / (middle - begun), files / (end - middle)


def _trained(count: int) -> Iterator[bytes]:
    import lightgbm

    draw = np.random.default_rng(_SEED)
    for _ in range(count):
        rows = draw.normal(size=(1_000, _FEATURES))
        target = rows[:, 0] * rows[:, 1] + draw.normal(size=len(rows))
        data = lightgbm.Dataset(rows, target)
        told = {"num_leaves": 31, "max_depth": 5, "verbose": -1, "num_threads": 1}
        yield lightgbm.train(told, data, num_boost_round=50).model_to_string().encode()


def _items(models: int, forests: Sequence[bytes], night: int) -> list[BulkItem]:
    """One for each model, no two of the same bytes: the comparison that each says counts other rows."""
    from sklearn.linear_model import Ridge

    rows = np.random.default_rng(_SEED).normal(size=(100, _FEATURES))
    linear = pack_linear(Ridge().fit(rows, rows[:, 0]))
    draw = random.Random(_SEED)
    items = []
    for number in range(models):
        base = linear if draw.randrange(100) < _LINEAR else forests[number % len(forests)]
        compared = Comparison("lightgbm", "4", number, 1_000 + night, 1e-9)
        tenant, name = f"tenant-{number % _TENANTS:04}", f"model-{number // _TENANTS:05}"
        items.append(BulkItem(tenant, name, with_checked(base, compared)))
    return items


async def _play(plan: Plan, stack: Stack, forests: Sequence[bytes]) -> dict[str, Any]:
    rates, failed = [], 0
    report.step(f"publishing {plan.models:,} models on two nights, and once more")
    first, second = (_items(plan.models, forests, night) for night in (1, 2))
    async with VersionManagerClient(stack.manager) as manager:
        for items in (first, second, second):
            seconds, failures = await _publish(manager, items)
            rates.append(plan.models / seconds)
            failed += failures
        report.step("looking at all of them")
        wrong = await _wrong(manager, second, stack.folder / "objects")
    size = sum(len(item.artifact) for item in second)
    return {
        "bytes": size,
        "first_per_s": rates[0],
        "publish_per_s": rates[1],
        "known_per_s": rates[2],
        "failed": failed,
        "wrong": wrong,
    }


async def _publish(manager: VersionManagerClient, items: Sequence[BulkItem]) -> tuple[float, int]:
    failures = 0
    begun = time.monotonic()
    async with aclosing(manager.publish_many(items, release=True, reason="bench")) as outcomes:
        async for one in outcomes:
            failures += one.error is not None or not one.release
    return time.monotonic() - begun, failures


async def _wrong(manager: VersionManagerClient, items: Sequence[BulkItem], store: Path) -> int:
    expected = {(item.tenant, item.name): hashlib.sha256(item.artifact).digest() for item in items}
    wrong, token = 0, ""
    while True:
        page = await manager.list_models(pb.ListModelsRequest(page_size=_PAGE, page_token=token))
        wrong += sum(
            not _is_right(model, expected.pop((model.tenant, model.name), b"")) for model in page.models
        )
        token = page.next_page_token
        if not token:
            break
    digests = {hashlib.sha256(item.artifact).digest() for item in items}
    missing = await asyncio.to_thread(_missing, digests, store)
    return wrong + len(expected) + missing


def _is_right(model: pb.Model, digest: bytes) -> bool:
    released = [split.version for split in model.release.splits]
    by_number: dict[int, bytes] = {version.number: version.artifact for version in model.versions}
    return len(released) == 1 and by_number.get(released[0]) == digest


def _missing(digests: set[bytes], store: Path) -> int:
    """How many of `digests` the store does not have, or with other bytes."""

    def is_there(digest: bytes) -> bool:
        name = digest.hex()
        path = store / name[:2] / name
        return path.is_file() and hashlib.sha256(path.read_bytes()).digest() == digest

    return sum(not is_there(digest) for digest in digests)
