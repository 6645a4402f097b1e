"""What tests of the bench harness share: requests, and a worker's loop on a server of the test's own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from croupier.transport.http2.counted_call import Counts
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.serving import Server
from croupier_bench import scenario as scenarios
from croupier_bench.ends import Ends
from croupier_bench.gathering import Gathered, Report
from croupier_bench.lines import Line, Outbox
from croupier_bench.scenario import Scenario
from croupier_bench.sending import ClosedLoop, OpenLoop, Setup
from croupier_bench.source import Ahead, Part
from protos.prediction.v1 import prediction_pb2

INFER = "/inference.GRPCInferenceService/ModelInfer"
PREDICT = "/croupier.prediction.v1.PredictionService/Predict"
PREDICT_STREAM = "/croupier.prediction.v1.PredictionService/PredictStream"

VALUE = prediction_pb2.Result(value=prediction_pb2.Value(), version=1)
ANSWER = prediction_pb2.PredictResponse(results=[VALUE]).SerializeToString()


class Asked:
    """Requests that say their numbers. Models are tenants."""

    def __init__(self, path: str = INFER) -> None:
        self._path = path.encode()

    def message(self, class_index: int, model_index: int, number: int) -> bytes:
        if self._path == PREDICT_STREAM.encode():
            return prediction_pb2.PredictStreamRequest(id=number).SerializeToString()
        return b"%d" % number

    def metadata(self, class_index: int, model_index: int) -> tuple[tuple[bytes, bytes], ...]:
        return ((b"croupier-tenant", b"tenant-%d" % model_index),)

    def path(self, class_index: int) -> bytes:
        return self._path


def part(due: Sequence[float], models: int = 1) -> Part:
    count = len(due)
    return Part(np.array(due), np.zeros(count, np.int16), (np.arange(count) % models).astype(np.int32))


@dataclass
class Loop:
    """A worker's parts on a server; `server` answers by `handle`."""

    server: Server
    counts: Counts
    ends: Ends
    lines: list[Line]
    outbox: Outbox
    timeout: float
    path: str
    looked_at: list[tuple[int, bytes]] = field(default_factory=list)

    def setup(self, parts: Iterator[Part], begin: float, **more: Any) -> Setup:
        told: dict[str, Any] = {
            "feed": Ahead(parts, 1),
            "asking": Asked(self.path),
            "lines": self.lines,
            "outbox": self.outbox,
            "counts": self.counts,
            "ends": self.ends,
            "classes": 1,
            "begin": begin,
            "timeout": self.timeout,
        }
        return Setup(**told | more)

    async def play(self, *parts: Part, warm_up: float = 0.0, **more: Any) -> OpenLoop:
        """Send these requests in an open loop, to the end."""
        begin = time.monotonic() + 0.001
        self.counts.start = begin + warm_up
        sender = OpenLoop(self.setup(iter(parts), begin, **more))
        sender.begin()
        await sender.is_over.wait()
        sender.close()
        return sender

    async def play_closed(self, *, streams: int, seconds: float, models: int = 1) -> ClosedLoop:
        begin = self.counts.start = time.monotonic()

        def parts() -> Iterator[Part]:
            while True:
                yield part([0.0] * 100, models)

        sender = ClosedLoop(self.setup(parts(), begin), streams=streams, end=begin + seconds)
        sender.begin()
        await sender.is_over.wait()
        sender.close()
        return sender

    def seen(self, sender: OpenLoop | ClosedLoop) -> Gathered:
        """All that was counted."""
        gathered = Gathered(["small"], 1, 60.0, self.timeout)
        errors, wrong, seen = self.ends.take()
        report = Report(
            at=0.0,
            counted=self.counts.harvest(),
            due=sender.due_by_second,
            errors=errors,
            wrong=wrong,
            seen=seen,
            sent_by_class=sender.sent_by_class,
            cpu_share=0.0,
            cpu_seconds=0.0,
        )
        gathered.add(0, report)
        return gathered


@asynccontextmanager
async def looping(
    handle: Callable[[list[ServerCall]], None] | None = None,
    *,
    path: str = INFER,
    stream: Any = None,
    lines: int = 2,
    timeout: float = 5.0,
    is_right: Callable[[int, bytes], str | None] = lambda number, reply: None,
) -> AsyncIterator[Loop]:
    """Connected; `is_right` is asked of those answers that are kept."""
    server = Server()
    if stream is not None:
        path = PREDICT_STREAM
        server.add_stream(path, stream)
    else:
        server.add_batch([path], handle)
    address = await server.start("127.0.0.1:0")
    counts = Counts([path == PREDICT], timeout=timeout)
    looked_at: list[tuple[int, bytes]] = []

    def look(kind: int, model: int, number: int, reply: bytes) -> str | None:
        looked_at.append((number, reply))
        return is_right(number, reply)

    ends, outbox = Ends(counts, look), Outbox()
    connected = [Line(address, counts, ends.look, outbox, timeout=timeout) for _ in range(lines)]
    await asyncio.gather(*(line.session() for line in connected))
    try:
        yield Loop(server, counts, ends, connected, outbox, timeout, path, looked_at)
    finally:
        await asyncio.gather(*(line.close() for line in connected))
        await server.stop(0)


def echo(calls: list[ServerCall]) -> None:
    for call in calls:
        call.reply(call.message)


def scenario(
    address: str, *, more: str = "", call: str = "unary", protocol: str = "oip", **load: Any
) -> Scenario:
    """One of a class `small`, with whatever `load` and `more` tables say."""
    told = "\n".join(f"{name} = {json.dumps(value)}" for name, value in load.items())
    return scenarios.load(
        f"""
name = "test"
{more}
[target]
address = "{address}"
protocol = "{protocol}"
[load]
{told}
[[class]]
name = "small"
tenants = 3
models = 6
call = "{call}"
features = 4
"""
    )
