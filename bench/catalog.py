"""What the route bench asks for: 10,000 models of 250 tenants, and the messages that ask for them.

Every answer is a constant of the upstream, so that it can be compared at full rate.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from croupier.protocol import FIRST
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2
from router import snapshot
from router.view import EMPTY, successor
from sharding.generation import Generation, Seat
from version_manager.model.catalog import Catalog
from version_manager.model.family import NO_FAMILIES, Families
from version_manager.model.fleet import Cell
from version_manager.model.limits import Limits, TenantLimits
from version_manager.model.release import WHOLE, Model, Release, Split, Version

MODELS = 10_000
TENANTS = 250
ITEMS = 32
# A tenant's hand, of however many cells there are.
HAND, _ZONES = 4, 4

MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
MODEL_READY = "/inference.GRPCInferenceService/ModelReady"
PREDICT = "/croupier.prediction.v1.PredictionService/Predict"
PREDICT_STREAM = "/croupier.prediction.v1.PredictionService/PredictStream"

_LIMITS = Limits(rate=1e9, in_flight=500, cold_loads=1e9, rows=1e9, bytes=1e12)
_FEATURES = [float(number) for number in range(8)]


@dataclass(frozen=True, slots=True)
class Load:
    """Requests that differ by tenant and model alone: request number n is `asks[n % len(asks)]`.

    An ask is a tenant and the start of a message, which `rest` completes: the starts of 10,000 messages
    take little memory however large the messages are. `items` is how many predictions one asks for. Of a
    load with `answers` each ask has its own; without, and with None expected, any answer is right.
    """

    path: bytes
    asks: Sequence[tuple[bytes, bytes]]
    rest: bytes
    expected: bytes | None
    items: int = 1
    answers: Sequence[bytes] = ()

    def first(self) -> Load:
        """The same request every time."""
        return replace(self, asks=self.asks[:1], answers=self.answers[:1])

    def is_answer(self, number: int, answer: bytes) -> bool:
        """Whether request `number` is answered rightly."""
        expected = self.answers[number % len(self.answers)] if self.answers else self.expected
        return expected is None or answer == expected

    def message(self, number: int) -> bytes:
        return self.asks[number % len(self.asks)][1] + self.rest

    def tenant(self, number: int) -> bytes:
        return self.asks[number % len(self.asks)][0]


def tenant_of(number: int, tenants: int = TENANTS) -> str:
    """Neighbours in number belong to different tenants."""
    return f"tenant-{number % tenants:03}"


def name_of(number: int, tenants: int = TENANTS) -> str:
    return f"model-{number // tenants:04}"


def write_snapshot(
    path: Path,
    cells: Sequence[str],
    models: int = MODELS,
    *,
    tenants: int = TENANTS,
    hand: int = HAND,
    limits: bool = False,
    families: Families = NO_FAMILIES,
    speaks: int = FIRST,
    digest: bytes = b"",
) -> None:
    """A router's snapshot: all models released, hands of `hand` of `cells` (addresses).

    The cells are spread over four zones in turn.

    With `limits` every tenant has all there are, and comes near none. Cells speak `speaks`. All
    models have the artifact of `digest`, or each one that nobody has.
    """
    seats = tuple(Seat(f"cell-{number}", f"zone-{number % _ZONES}") for number in range(len(cells)))
    generation = Generation(number=1, seed=1, hand_size=min(hand, len(cells)), seats=seats)
    registered = [
        Cell(seat.cell, seat.zone, address, protocol=speaks)
        for seat, address in zip(seats, cells, strict=True)
    ]
    catalog = Catalog.build("bench", 1, (_model(number, digest, tenants) for number in range(models)))
    kept = TenantLimits(_LIMITS) if limits else None
    view = successor(EMPTY, catalog, (generation,), registered, limits=kept, families=families)
    snapshot.write(path, view)


def unary(payload: int, models: int = MODELS, tenants: int = TENANTS) -> Load:
    """ModelInferRequests of `payload` bytes, over all models in turn."""
    heads = [_infer_head(name_of(number, tenants)) for number in range(models)]
    rest = _padding(payload - len(heads[0]))
    asks = [(tenant_of(number, tenants).encode(), head) for number, head in enumerate(heads)]
    return Load(MODEL_INFER.encode(), asks, rest, infer_response())


def about(payload: int, entities: int, models: int = MODELS) -> Load:
    """The same, each about one of so many entities: all models and all entities in turn."""
    heads = []
    for number in range(max(models, entities)):
        said = inference_pb2.InferParameter(string_param=entity_of(number % entities))
        request = inference_pb2.ModelInferRequest(
            model_name=name_of(number % models), parameters={"entity_id": said}
        )
        heads.append((tenant_of(number % models).encode(), request.SerializeToString()))
    return Load(MODEL_INFER.encode(), heads, _padding(payload - len(heads[0][1])), infer_response())


def entity_of(number: int) -> str:
    return f"customer-{number:07}"


def one_model(models: int = MODELS) -> Load:
    """PredictRequests of 32 items of one model each, over all models in turn."""
    asks = [(tenant_of(number).encode(), _predict([name_of(number)] * ITEMS)) for number in range(models)]
    return Load(PREDICT.encode(), asks, b"", predict_response(ITEMS), ITEMS)


def spread() -> Load:
    """PredictRequests of 32 items of 32 models, each tenant in turn."""
    names = [name_of(number * TENANTS) for number in range(ITEMS)]
    asks = [(tenant_of(number).encode(), _predict(names)) for number in range(TENANTS)]
    return Load(PREDICT.encode(), asks, b"", predict_response(ITEMS), ITEMS)


def spread_stream() -> Load:
    """The same as messages of PredictStream; what is expected is how an answer ends, behind its id."""
    pb = prediction_pb2
    asks = []
    for number, (tenant, message) in enumerate(spread().asks):
        request = pb.PredictRequest.FromString(message)
        asks.append((tenant, pb.PredictStreamRequest(id=number, request=request).SerializeToString()))
    response = pb.PredictResponse.FromString(predict_response(ITEMS))
    expected = pb.PredictStreamResponse(response=response).SerializeToString()
    return Load(PREDICT_STREAM.encode(), asks, b"", expected, ITEMS)


@functools.cache
def infer_response() -> bytes:
    """What the upstream answers to every ModelInfer."""
    output = inference_pb2.ModelInferResponse.InferOutputTensor(name="score", datatype="FP32", shape=[1])
    response = inference_pb2.ModelInferResponse(
        model_name="model", model_version="1", outputs=[output], raw_output_contents=[b"\0\0\0\x3f"]
    )
    return response.SerializeToString()


@functools.cache
def predict_response(items: int) -> bytes:
    """What it answers to a Predict of so many items."""
    numbers = prediction_pb2.Numbers(values=[0.5])
    value = prediction_pb2.Value(outputs=[prediction_pb2.Output(name="score", numbers=numbers)])
    result = prediction_pb2.Result(value=value, version=1)
    return prediction_pb2.PredictResponse(results=[result] * items).SerializeToString()


def _model(number: int, digest: bytes, tenants: int) -> Model:
    tenant, name = tenant_of(number, tenants), name_of(number, tenants)
    digest = digest or hashlib.sha256(f"{tenant}/{name}".encode()).digest()
    return Model(tenant, name, {1: Version(1, digest, 20_000, "linear")}, Release(1, (Split(1, WHOLE),)))


def _infer_head(name: str) -> bytes:
    return inference_pb2.ModelInferRequest(model_name=name).SerializeToString()


def _padding(size: int) -> bytes:
    """Tensor bytes that make a message `size` bytes longer, length included."""
    for length_bytes in (1, 2, 3):
        field = inference_pb2.ModelInferRequest(raw_input_contents=[bytes(max(0, size - 1 - length_bytes))])
        if len(encoded := field.SerializeToString()) == size:
            return encoded
    raise ValueError(f"no field of {size} bytes in all")


def _predict(names: Sequence[str]) -> bytes:
    row = prediction_pb2.Row(values=_FEATURES)
    items = [prediction_pb2.Item(model=name, row=row) for name in names]
    return prediction_pb2.PredictRequest(items=items).SerializeToString()
