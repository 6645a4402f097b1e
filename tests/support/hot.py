"""The hot path with models that are resident, requests for them, and what the general way answers."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from support.cell_server import infer_request
from support.cells import Clock, SumScorer, digest, signature_of
from support.forests import data

from cell.codec import rows as item_rows
from cell.codec import tensors
from cell.engines import Scorer
from cell.engines.packed import PackedEngine
from cell.loading.host import Host
from cell.residency.residency import Residency
from cell.scoring.hot import HotPath
from croupier.artifacts.format import pack, view
from croupier.artifacts.packers.forest import pack_forest
from croupier.artifacts.packers.linear import pack_linear
from croupier.codes import Code
from croupier.transport.status import to_error
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb

INFER, PREDICT = "/inference/ModelInfer", "/prediction/Predict"
X = np.nan_to_num(data(3, rows=60, features=4))
Y = X[:, 0] + X[:, 1] * X[:, 2]
CLASSES = np.digitize(Y, [-0.7, 0.7])
NAMES = ["a", "b", "c", "d"]


@functools.cache
def scorers() -> dict[str, Scorer]:
    """One model for each way of answering, by name."""
    return {name: load(each, name) for name, each in packed().items()}


@functools.cache
def packed() -> dict[str, bytes]:
    forest = functools.partial(RandomForestClassifier, 3, max_depth=3, random_state=1)
    logistic = functools.partial(LogisticRegression, max_iter=500)
    return {
        "forest": pack_forest(forest().fit(X, CLASSES), features=NAMES),
        "numbered": pack_forest(forest().fit(X, np.array([-7, 300, 5])[CLASSES]), features=NAMES),
        "regression": pack_linear(Ridge().fit(X, Y), features=NAMES),
        "pair": pack_linear(logistic().fit(X, CLASSES > 0), features=NAMES),
        "texts": pack_linear(logistic().fit(X, np.array(["x", "y", "z"])[CLASSES]), features=NAMES),
        "unnamed": pack_linear(Ridge().fit(X, Y)),
        "wide": declared_fp64(pack_linear(Ridge().fit(X, Y), features=NAMES)),
        "exact": pack_forest(HistGradientBoostingRegressor(max_iter=3).fit(X, Y), features=NAMES),
    }


def declared_fp64(artifact: bytes) -> bytes:
    """As models are packed whose float64 rows are scored as such."""
    found = view(artifact)
    return pack(
        engine=found.engine,
        features=found.features,
        inputs=[replace(tensor, datatype="FP64") for tensor in found.inputs],
        outputs=found.outputs,
        sections={name: bytes(section) for name, section in found.sections.items()},
    )


def load(artifact: bytes, name: str) -> Scorer:
    found = view(artifact)
    return PackedEngine(found.engine).load(found, digest(name))


@dataclass
class Call:
    """Stands in for a `ServerCall`."""

    path: str
    request: Any
    deadline: float = math.inf
    replies: list[bytes] = field(default_factory=list)
    failures: list[tuple[int, str]] = field(default_factory=list)
    is_open: bool = True
    arrived: float = 0.0
    span: Any = None
    noted: Any = None

    @property
    def message(self) -> bytes:
        return self.request if isinstance(self.request, bytes) else self.request.SerializeToString()

    def reply(self, message: bytes) -> None:
        self.replies.append(message)

    def fail(self, code: int, message: str, details: bytes) -> None:
        self.failures.append((code, reason_of(details)))


def reason_of(details: bytes) -> str:
    return to_error(Code.UNAVAILABLE, "", details).reason


class Loader:
    """`quick` are the models that load at once."""

    def __init__(self) -> None:
        self.quick: dict[bytes, Scorer] = {}
        self.asked: list[bytes] = []

    def expected_seconds(self, digest: bytes) -> float:
        return 0.0

    def load_now(self, digest: bytes, make_room: Callable[[int], None]) -> Scorer | None:
        self.asked.append(digest)
        scorer = self.quick.get(digest)
        if scorer is not None:
            make_room(scorer.resident_bytes)
        return scorer


class Bench:
    """Every model is resident under the digest of its name."""

    def __init__(self, capacity: int = 10_000_000, **told: Any) -> None:
        self.clock = Clock()
        self.loader = Loader()
        residency: Residency[Scorer] = Residency(capacity)
        models = {**scorers(), "sum": SumScorer(signature=signature_of(features=["a", "b"]))}
        for name, scorer in models.items():
            residency.reserve(digest(name), residency.plan(scorer.resident_bytes))
            residency.admit(digest(name), scorer, scorer.resident_bytes, self.clock())[0].release()
        self.host = Host(residency, self.loader, clock=self.clock, rng=random.Random(1))  # type: ignore[arg-type]
        self.hot_path = HotPath(self.host, infer_path=INFER, max_rows=20, clock=self.clock, **told)

    def answer(self, *calls: Call) -> list[Any]:
        """The calls that are left, with what they have."""
        left, cold, some_wait = self.hot_path.answer(calls)  # type: ignore[arg-type]
        assert not cold
        assert not some_wait
        return left

    def infer(self, request: Any) -> oip.ModelInferResponse | None:
        call = Call(INFER, request)
        left, cold, _ = self.hot_path.answer([call])  # type: ignore[list-item]
        assert len(left) + len(cold) + len(call.replies) == 1
        return None if left or cold else oip.ModelInferResponse.FromString(call.replies[0])


def generally(name: str, request: oip.ModelInferRequest) -> oip.ModelInferResponse:
    """What the general way answers."""
    scorer = scorers()[name]
    outputs = tensors.requested_outputs(request, scorer.signature)
    inputs = tensors.decode(request, scorer.signature, 20)
    scored = scorer.score(inputs.arrays, [output.name for output in outputs])
    return tensors.encode(request, outputs, scored)


def result_of(name: str, item: pb.Item) -> pb.Result:
    scorer = scorers()[name]
    outputs = scorer.signature.outputs
    scored = scorer.score(item_rows.to_arrays(item, scorer.signature), [output.name for output in outputs])
    return pb.Result(value=item_rows.to_value(outputs, scored), version=item.version)


PLAIN = ["forest", "numbered", "regression", "pair", "unnamed", "wide", "exact"]


def double_request(name: str, rows: Any, *, raw: bool = False) -> oip.ModelInferRequest:
    rows = np.asarray(rows, np.float64)
    request = oip.ModelInferRequest(artifact=digest(name))
    tensor = request.inputs.add(name="input", datatype="FP64", shape=rows.shape)
    if raw:
        request.raw_input_contents.append(rows.tobytes())
    else:
        tensor.contents.fp64_contents.extend(rows.ravel().tolist())
    return request


def doubles_item(name: str, row: Any) -> pb.Item:
    return pb.Item(artifact=digest(name), row=pb.Row(doubles=np.asarray(row).tolist()))


def changed(**changes: Any) -> oip.ModelInferRequest:
    request = infer_request(digest(changes.pop("name", "pair")), changes.pop("rows", X[:2]))
    for key, value in changes.items():
        setattr(request.inputs[0], key, value)
    return request
