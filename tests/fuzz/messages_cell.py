"""A cell's two ways for one request: the hot path, natively, or the pipeline, by protobuf's library.

They must answer the same, to the last bit, and have read the same model and owner. What that leaves goes
the general way anyway; so only what it answered, of a request with many items each result, is compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from fuzz.messages_seeds import FLOOR, MOST_ROWS, Model
from google.protobuf.message import Message

from cell.codec.fence import Fence
from cell.codec.messages import parsed
from cell.codec.plain import Plain, read_infer, read_items
from cell.engines import Scorer
from cell.engines.packed import PackedEngine
from cell.scoring.hot import HotPath, Results
from cell.scoring.pipeline import Pipeline
from croupier.artifacts.format import view
from croupier.deadline import Deadline
from croupier.errors import CroupierError, NotFound
from croupier.fields import join_first
from croupier.transport.status import from_error
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb

INFER, PREDICT = "/infer", "/predict"
# As a field begins.
_FETCHED = b"\xe2\x3e"
_FOREVER = Deadline(math.inf)


@dataclass(slots=True)
class Call:
    """Stands in for a `ServerCall`."""

    path: str
    message: bytes
    deadline: float = math.inf
    arrived: float = 0.0
    span: None = None
    noted: Any = None
    replies: list[bytes] = field(default_factory=list)
    failure: str = ""

    def reply(self, message: bytes) -> None:
        self.replies.append(message)

    def fail(self, code: int, message: str, details: bytes) -> None:
        self.failure = f"{code}: {message}"


@dataclass(frozen=True, slots=True)
class Lease:
    digest: bytes
    model: Scorer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class Resident:
    """Stands in for a `Host`: its models stay, and there are no others."""

    def __init__(self, models: Sequence[Model]) -> None:
        self._scorers: dict[bytes, Scorer] = {}
        for model in models:
            found = view(model.artifact)
            self._scorers[model.digest] = PackedEngine(found.engine).load(found, model.digest)

    # What is loading: nothing, and nothing else will.
    is_loading = True

    def has(self, digest: bytes) -> bool:
        return digest in self._scorers

    def find(self, digest: bytes, now: float) -> Scorer | None:
        return self._scorers.get(digest)

    def take_back(self, digest: bytes) -> None:
        pass

    def count_hits(self, count: int) -> None:
        pass

    async def lease(self, digest: bytes, deadline: Deadline, owner: int = 0, priority: int = 0) -> Lease:
        if digest not in self._scorers:
            raise NotFound("there is no such model")
        return Lease(digest, self._scorers[digest])


class AtOnce:
    """Stands in for a `Batcher`: scores by itself, in place."""

    async def score(self, lease: Lease, inputs: Any, rows: int, outputs: Sequence[str], *others: Any) -> Any:
        return lease.model.score(inputs, outputs)


class Cell:
    """`differences` says of each request whether its two answers differ."""

    def __init__(self, models: Sequence[Model]) -> None:
        host: Any = Resident(models)
        batcher: Any = AtOnce()
        fence = Fence()
        fence.hear("manager", FLOOR, 0)
        told: Any = {"max_rows": MOST_ROWS, "clock": lambda: 0.0, "fence": fence}
        self._hot_path = HotPath(host, infer_path=INFER, most_nanoseconds=math.inf, **told)
        self._pipeline = Pipeline(host, batcher, **told)
        # Requests that were answered natively, and items of those that were answered in part.
        self.answered = 0
        # Those of them that were completed, or may have been.
        self.completed = 0

    def natively(self, calls: Sequence[Call]) -> list[Results]:
        """What the hot path makes of each of `calls`: one whole answer, or a result for each item."""
        left, cold, some_wait = self._hot_path.answer(calls)  # type: ignore[arg-type]
        assert not some_wait
        # What is cold goes the general way too, with nothing answered before.
        results: dict[int, Results] = {id(call): found for call, found in left}
        results |= {id(call): [] for call, _ in cold}
        return [[*call.replies] if call.replies else results.get(id(call), []) for call in calls]

    async def differences(self, calls: Sequence[Call]) -> list[str]:
        """What differs, by call; empty where nothing does."""
        answers = self.natively(calls)
        return [await self._difference(call, answer) for call, answer in zip(calls, answers, strict=True)]

    async def _difference(self, call: Call, answer: Results) -> str:
        if call.failure:
            expected = await self.generally(call)
            return "" if expected == call.failure else f"natively {call.failure}, generally {expected}"
        if not any(answer):
            return ""
        self.answered += 1
        self.completed += _FETCHED in call.message
        expected = await self.generally(call)
        if not isinstance(expected, str) and (difference := _misread(call)):
            return difference
        if isinstance(expected, str):
            if not call.replies:
                # It goes the general way with the results it has, and comes to the same.
                return ""
            return f"answered natively, but generally it is {expected}"
        if call.path == INFER:
            return _compare(oip.ModelInferResponse, answer[0], expected[0])
        if call.replies:
            return _compare(pb.PredictResponse, answer[0], join_first(expected))
        if len(answer) != len(expected):
            return f"{len(answer)} items natively, {len(expected)} generally"
        pairs = zip(answer, expected, strict=True)
        return next(filter(None, (_compare(pb.Result, one, other) for one, other in pairs if one)), "")

    async def generally(self, call: Call) -> list[bytes] | str:
        """The answer, or the result of each item; or the name of what is wrong with the request."""
        try:
            if call.path == INFER:
                request = parsed(oip.ModelInferRequest, call.message)
                return [(await self._pipeline.infer(request, _FOREVER)).SerializeToString()]
            return await self._pipeline.predict(parsed(pb.PredictRequest, call.message), _FOREVER)
        except CroupierError as error:
            status = from_error(error)
            return f"{status.code}: {status.message}"


def _misread(call: Call) -> str:
    """What the native reader takes for a request's model or its owner, where it is another."""
    if call.path == INFER:
        read: Any = [read_infer(call.message)]
        requests: Any = [parsed(oip.ModelInferRequest, call.message)]
    else:
        read = read_items(call.message, MOST_ROWS)
        requests = parsed(pb.PredictRequest, call.message).items
    for plain, request in zip(read, requests, strict=True):
        if isinstance(plain, Plain) and _marks(plain) != _marks(request):
            return f"read natively of {plain.owner}, by protobuf {request}"
    return ""


def _marks(read: Any) -> tuple[bytes, int, int, int, bool]:
    """What a router wrote."""
    return read.artifact, read.owner, read.generation, read.priority, bool(read.resident_only)


def _compare(kind: Callable[[], Message], one: bytes | None, other: bytes) -> str:
    if one == other or (one is not None and _plainly(kind, one) == _plainly(kind, other)):
        return ""
    return f"natively {(one or b'').hex()}, generally {other.hex()}"


def _plainly(kind: Any, data: bytes) -> bytes:
    """One form for all that say the same; NaN is kept to the bit, where messages would not be equal."""
    plain: bytes = kind.FromString(data).SerializeToString(deterministic=True)
    return plain
