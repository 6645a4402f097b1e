"""The bytes of requests, prepared ahead: what is left to do for each is to put two parts together.

    head     names the model; made when it is first asked for
    body     a row of values; there are some hundreds of different ones, taken in turn

    prepared = Prepared(scenario)
    prepared.message(class_index, model_index, number)

Of a ModelInferRequest the body is its tensors, of a PredictRequest it is the rest of an item. A message of a
stream begins with the number as its id. All are what protobuf's own library would write.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from croupier.artifacts.datatypes import DATATYPES
from croupier.transport.metadata import encode_pairs
from croupier_bench.classes import ITEMS, STREAM, UNARY, RequestClass
from croupier_bench.keys import ScenarioError
from croupier_bench.models import Models
from croupier_bench.scenario import Scenario, Target
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2

Pairs = tuple[tuple[bytes, bytes], ...]
# Message of a model's index and a request's number.
Maker = Callable[[int, int], bytes]

_PATHS = {
    UNARY: b"/inference.GRPCInferenceService/ModelInfer",
    ITEMS: b"/croupier.prediction.v1.PredictionService/Predict",
    STREAM: b"/croupier.prediction.v1.PredictionService/PredictStream",
}
# Heads, and metadata, that are kept; then they are made again.
_MOST_KEPT = 1 << 17
_MAX_TOKEN = 1 << 16
# Tags of what is written here: PredictRequest.items, and PredictStreamRequest.id and .request.
_ITEMS, _ID, _REQUEST = b"\x0a", b"\x08", b"\x12"


class Prepared:
    """Raises ScenarioError if the token file cannot be read."""

    def __init__(self, scenario: Scenario) -> None:
        self._target = scenario.target
        self._classes = scenario.classes
        self._makers = [_maker(asked, scenario.seed) for asked in scenario.classes]
        self._paths = [_PATHS[asked.call] for asked in scenario.classes]
        self._token = token_of(self._target)
        # Of each class, by the number of the tenant.
        self._pairs: list[dict[int, Pairs]] = [{} for _ in scenario.classes]

    def message(self, class_index: int, model_index: int, number: int) -> bytes:
        return self._makers[class_index](model_index, number)

    def path(self, class_index: int) -> bytes:
        """Of the method that is called."""
        return self._paths[class_index]

    def metadata(self, class_index: int, model_index: int) -> Pairs:
        """Encoded; of one tenant of a class it is the same object, until the token changes."""
        tenant = self._classes[class_index].tenant_number(model_index) if self._target.tenant_header else 0
        known = self._pairs[class_index]
        pairs = known.get(tenant)
        if pairs is None:
            if len(known) >= _MOST_KEPT:
                known.clear()
            pairs = known[tenant] = metadata_of(
                self._target, self._classes[class_index].tenant(model_index), self._token
            )
        return pairs

    def renew(self) -> None:
        """Take a token that changed from now on. Raises as a new one would."""
        token = token_of(self._target)
        if token != self._token:
            self._token = token
            for known in self._pairs:
                known.clear()


def metadata_of(target: Target, tenant: str, token: str) -> Pairs:
    """What goes with each request of a tenant, encoded."""
    pairs = list(target.metadata)
    if token:
        pairs.append(("authorization", f"Bearer {token}"))
    if target.tenant_header:
        pairs.append((target.tenant_header, tenant))
    return tuple(encode_pairs(pairs))


def token_of(target: Target) -> str:
    """That in the target's file, "" without one. Raises ScenarioError if it cannot be read."""
    path = target.token_file
    if path is None:
        return ""
    try:
        with path.open("rb") as file:
            token = file.read(_MAX_TOKEN + 1).strip().decode("ascii")
    except OSError as error:
        raise ScenarioError("target.token_file", f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ScenarioError("target.token_file", f"{path} has other than ASCII") from None
    if not token or len(token) > _MAX_TOKEN or not token.isprintable():
        raise ScenarioError("target.token_file", f"{path} has no token: one line of 1 to {_MAX_TOKEN} bytes")
    return token


def _maker(asked: RequestClass, seed: int) -> Maker:
    if asked.call == UNARY:
        return _infer_maker(asked, seed)
    return _items_maker(asked, seed)


def _infer_maker(asked: RequestClass, seed: int) -> Maker:
    bodies = infer_bodies(asked, seed)
    count = len(bodies)
    heads: dict[int, bytes] = {}

    def make(model_index: int, number: int) -> bytes:
        head = heads.get(model_index)
        if head is None:
            head = _keep(heads, model_index, _infer_head(asked, model_index))
        return head + bodies[number % count]

    return make


def _items_maker(asked: RequestClass, seed: int) -> Maker:
    bodies = item_bodies(asked, seed)
    count, items = len(bodies), asked.items
    # Those that begin with the last ones go on with the first.
    bodies = [bodies[place % count] for place in range(count + items)]
    heads: dict[int, bytes] = {}

    def make(model_index: int, number: int) -> bytes:
        head = heads.get(model_index)
        if head is None:
            head = _keep(heads, model_index, _item_head(asked, model_index, len(bodies[0])))
        place = number % count
        if items == 1:
            return head + bodies[place]
        return head + head.join(bodies[place : place + items])

    def make_of_stream(model_index: int, number: int) -> bytes:
        request = make(model_index, number)
        return b"%b%b%b%b%b" % (_ID, varint(number), _REQUEST, varint(len(request)), request)

    return make_of_stream if asked.call == STREAM else make


def _keep(heads: dict[int, bytes], model_index: int, head: bytes) -> bytes:
    if len(heads) >= _MOST_KEPT:
        heads.clear()
    heads[model_index] = head
    return head


def infer_bodies(asked: RequestClass, seed: int) -> list[bytes]:
    """What completes a ModelInferRequest: by the number of its first row."""
    rows = Models(asked, seed).rows.astype(DATATYPES[asked.datatype])
    tensor = inference_pb2.ModelInferRequest.InferInputTensor(
        name=asked.input, datatype=asked.datatype, shape=[asked.rows, asked.features]
    )
    bodies = []
    for place in range(len(rows)):
        values = rows[np.arange(place, place + asked.rows) % len(rows)]
        request = inference_pb2.ModelInferRequest(inputs=[tensor], raw_input_contents=[values.tobytes()])
        bodies.append(request.SerializeToString())
    return bodies


def item_bodies(asked: RequestClass, seed: int) -> list[bytes]:
    """What completes an Item: by the number of its row. All have the same size."""
    rows = Models(asked, seed).rows
    values = [row.tolist() for row in rows.astype(DATATYPES[asked.datatype])]
    field = "values" if asked.datatype == "FP32" else "doubles"
    made = [prediction_pb2.Item(row=prediction_pb2.Row(**{field: each})) for each in values]
    return [item.SerializeToString() for item in made]


def _infer_head(asked: RequestClass, model_index: int) -> bytes:
    return inference_pb2.ModelInferRequest(model_name=asked.model(model_index)).SerializeToString()


def _item_head(asked: RequestClass, model_index: int, body: int) -> bytes:
    """How an item begins, with its size; `body` is that of what follows."""
    name = prediction_pb2.Item(model=asked.model(model_index)).SerializeToString()
    return _ITEMS + varint(len(name) + body) + name


def varint(value: int) -> bytes:
    """As protobuf writes a whole number that is not negative."""
    if value < 0x4000:
        return _SHORT[value] if value < 0x80 else bytes((value & 0x7F | 0x80, value >> 7))
    return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80)) + varint(value >> 14)


_SHORT = [bytes((value,)) for value in range(0x80)]
