"""Requests of one row for models of a population, and whether answers are what the libraries say.

The first answer of a model is read, and compared by its number; bytes that were right once are right again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from google.protobuf.message import DecodeError

from bench.catalog import MODEL_INFER
from bench.many import Numbers
from bench.openloop import Floats
from bench.system.population import KINDS, Kind, Models
from protos.inference.v2 import inference_pb2 as pb

_TOLERANCE = 1e-5


@dataclass(slots=True)
class Asking:
    """Requests by number, which go through `order` of models again and again."""

    models: Models
    order: list[int] = field(default_factory=list)
    path: bytes = MODEL_INFER.encode()
    _heads: list[bytes] = field(init=False)
    _tenants: list[bytes] = field(init=False)
    _rests: list[bytes] = field(init=False)
    _kinds: bytes = field(init=False)
    _known: dict[int, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        models = self.models
        self._tenants = [models.tenant(number).encode() for number in range(models.tenants)]
        self._heads = [_head(models, number) for number in range(0, models.count, models.tenants)]
        self._rests = [_rest(kind, row) for kind, row in zip(KINDS, models.rows, strict=True)]
        self._kinds = models.kinds.tobytes()

    def tenant(self, number: int) -> bytes:
        return self._tenants[self.of(number) % len(self._tenants)]

    def message(self, number: int) -> bytes:
        model = self.of(number)
        return self._heads[model // len(self._tenants)] + self._rests[self._kinds[model]]

    def is_answer(self, number: int, answer: bytes) -> bool:
        model = self.of(number)
        known = self._known.get(model)
        if known is not None:
            return known == answer
        is_right = is_right_answer(self.models, model, answer)
        if is_right:
            self._known[model] = answer
        return is_right

    def of(self, number: int) -> int:
        """The model of a request."""
        return self.order[number % len(self.order)]


def message(models: Models, number: int) -> bytes:
    """A ModelInferRequest for one model."""
    kind = models.kinds[number]
    return _head(models, number) + _rest(KINDS[kind], models.rows[kind])


def is_right_answer(models: Models, number: int, answer: bytes) -> bool:
    """Whether it is of that name, of its first version, and what the library says."""
    try:
        response = pb.ModelInferResponse.FromString(answer)
    except DecodeError:
        return False
    if (response.model_name, response.model_version) != (models.name(number), "1"):
        return False
    expected = float(models.answers[number])
    whole = [1.0 - expected, expected] if KINDS[models.kinds[number]].trains_classes else [expected]
    values = _values(response)
    tolerance = _TOLERANCE * max(1.0, abs(expected))
    return len(values) == len(whole) and all(
        abs(value - right) <= tolerance for value, right in zip(values, whole, strict=True)
    )


def uniform(models: int, requests: int, seed: int) -> Numbers:
    """All models alike, at random: none is hot."""
    return np.random.default_rng(seed).integers(models, size=requests)


def _values(response: pb.ModelInferResponse) -> list[float]:
    """Of all outputs."""
    raw = b"".join(response.raw_output_contents)
    typed = [value for output in response.outputs for value in output.contents.fp32_contents]
    return [*np.frombuffer(raw[: len(raw) // 4 * 4], "<f4").tolist(), *typed]


def _head(models: Models, number: int) -> bytes:
    return pb.ModelInferRequest(model_name=models.name(number)).SerializeToString()


def _rest(kind: Kind, row: Floats) -> bytes:
    """What completes a request: the row, in the typed form."""
    request = pb.ModelInferRequest()
    tensor = request.inputs.add(name="input", datatype=kind.datatype, shape=row.shape)
    contents = tensor.contents
    field = contents.fp64_contents if kind.datatype == "FP64" else contents.fp32_contents
    field.extend(row.ravel().tolist())
    return request.SerializeToString()
