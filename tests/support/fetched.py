"""Field 1004 in few words, and both of a cell's ways for a request that has it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from fuzz import messages_seeds as seeds
from fuzz.messages_cell import INFER, PREDICT, Call, Cell

from croupier.fetched import Origin, Value, pack, row_bytes, spec_bytes
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb

NOW = 1_700_000_000_000
ABSENT: tuple[None, Origin] = (None, Origin.ABSENT)

# A value of the store, a second old; or one with its origin.
Told: TypeAlias = Value | tuple[Value, Origin]


def fetched(
    *rows: Mapping[str, Told], bounds: Mapping[str, tuple[float, float]] | None = None, degraded: bool = False
) -> bytes:
    """The value of the field: of each row its features by name."""
    features = [
        (
            name,
            "text" if any(isinstance(_told(row[name])[0], str) for row in rows) else "number",
            *(bounds or {}).get(name, (-math.inf, math.inf)),
        )
        for name in rows[0]
    ]
    packed = [_row([_told(row[name]) for name, *_ in features]) for row in rows]
    return pack(spec_bytes(features), len(features), packed, NOW, degraded)


def _told(value: Told) -> tuple[Value, Origin]:
    return value if isinstance(value, tuple) else (value, Origin.STORE)


def _row(told: Sequence[tuple[Value, Origin]]) -> bytes:
    events = [NOW - 1250 if origin is Origin.STORE else 0 for _, origin in told]
    return row_bytes([value for value, _ in told], events, [origin for _, origin in told])


def named(model: str, fields: bytes = b"", /, **values: Any) -> pb.Item:
    """An item of named features, with field 1004."""
    item = pb.Item(artifact=MODELS[model].digest, fetched=fields)
    item.features.SetInParent()
    for name, value in values.items():
        told = {"text" if isinstance(value, str) else "number": value}
        item.features.features.add(name=name, **told)
    return item


MODELS = {model.name: model for model in seeds.models()}


class Both:
    """A cell with small models, asked in both ways."""

    def __init__(self) -> None:
        self.cell = Cell(list(MODELS.values()))

    async def item(self, item: pb.Item) -> tuple[pb.Result, bool]:
        """The general answer, and whether the native way has the same."""
        call = Call(PREDICT, pb.PredictRequest(items=[item]).SerializeToString())
        self.cell.natively([call])
        found = await self.cell.generally(call)
        assert not isinstance(found, str), found
        result = pb.Result.FromString(found[0])
        if call.replies:
            assert pb.PredictResponse.FromString(call.replies[0]).results[0] == result
        return result, bool(call.replies)

    async def infer(self, request: oip.ModelInferRequest) -> tuple[oip.ModelInferResponse | str, bool]:
        """The same of tensors; the text of an error in place of an answer."""
        call = Call(INFER, request.SerializeToString())
        self.cell.natively([call])
        found = await self.cell.generally(call)
        if isinstance(found, str):
            assert not call.replies
            return found, False
        response = oip.ModelInferResponse.FromString(found[0])
        if call.replies:
            assert oip.ModelInferResponse.FromString(call.replies[0]) == response
        return response, bool(call.replies)
