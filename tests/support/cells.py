"""Stand-ins for the parts around a cell's stages: a clock, threads, a store, models that need no training."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np
from prometheus_client import REGISTRY

from cell.codec.signature import Arrays, Signature
from cell.engines.stop import Stop
from cell.residency.residency import Lease, Residency
from croupier.artifacts.batching import Batching
from croupier.artifacts.format import Artifact, Tensor
from croupier.errors import NotFound

WIDE = (Tensor("input", "FP32", (-1, 2)),)
SUM = (Tensor("sum", "FP32", (-1,)),)


def signature_of(
    *,
    inputs: Sequence[Tensor] = WIDE,
    outputs: Sequence[Tensor] = SUM,
    features: Sequence[str] = (),
    accepts_missing: bool = False,
    finite: bool = False,
    complete: bool = False,
) -> Signature:
    artifact = Artifact(
        "fake", tuple(features), accepts_missing, finite, complete, tuple(inputs), tuple(outputs), {}
    )
    return Signature.of(artifact)


def digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


class Clock:
    """Seconds that pass when told to."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class HeldThreads(Executor):
    """A pool whose work waits until `run`."""

    def __init__(self) -> None:
        self.held: list[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.held.append((future, fn, args))
        return future

    def run(self) -> int:
        """Do the work that waits; how many calls that was."""
        held, self.held = self.held, []
        for future, function, arguments in held:
            try:
                result = function(*arguments)
            except Exception as error:  # noqa: BLE001 (as a real pool does)
                future.set_exception(error)
            else:
                future.set_result(result)
        return len(held)


class SumScorer:
    """Sums each row and adds `bias`; remembers the calls and fails on rows that hold `poison`."""

    def __init__(
        self,
        bias: float = 0.0,
        *,
        size: int = 10,
        batchable: bool = True,
        batching: Batching | None = None,
        poison: float | None = None,
        signature: Signature | None = None,
    ) -> None:
        self.bias = bias
        self.resident_bytes = size
        self.batchable = batchable
        self.batching = batching
        self.poison = poison
        self.signature = signature or signature_of()
        self.calls: list[Arrays] = []
        self.is_closed = False

    def admitted(self, inputs: Arrays, where: str) -> Arrays:
        return inputs

    def score(self, inputs: Arrays, outputs: Sequence[str], stop: Stop | None = None) -> Mapping[str, Any]:
        self.calls.append(inputs)
        rows = inputs["input"]
        if self.poison is not None and (rows == self.poison).any():
            raise ValueError("poisoned")
        sums = rows.sum(axis=1) + np.float32(self.bias)
        return dict.fromkeys(outputs, sums)

    def close(self) -> None:
        self.is_closed = True


class MemoryStore:
    """An object store in a dictionary, counting what is asked; `gate` holds answers back until set."""

    def __init__(self) -> None:
        self.objects: dict[bytes, bytes] = {}
        self.gets: list[bytes] = []
        self.failure: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def get(self, digest: bytes) -> bytes:
        self.gets.append(digest)
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        if digest not in self.objects:
            raise NotFound("no such artifact")
        return self.objects[digest]

    async def put(self, data: bytes) -> bytes:
        key = hashlib.sha256(data).digest()
        self.objects[key] = data
        return key

    async def exists(self, digest: bytes) -> bool:
        return digest in self.objects

    async def delete(self, digest: bytes) -> None:
        self.objects.pop(digest, None)


def resident(scorer: Any, name: str = "model", capacity: int = 1000) -> Lease[Any]:
    """A lease on `scorer`, alone in a residency."""
    residency: Residency[Any] = Residency(capacity)
    residency.reserve(digest(name), residency.plan(scorer.resident_bytes))
    lease, _ = residency.admit(digest(name), scorer, scorer.resident_bytes, 0.0)
    return lease


async def ticks(count: int = 5) -> None:
    """Let the event loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


def merged_requests() -> float:
    """How many requests have shared a scoring call so far, in this process."""
    return REGISTRY.get_sample_value("croupier_cell_merged_requests_total") or 0.0
