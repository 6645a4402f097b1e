"""Rows of the log from the records of a spool, by the signatures of the artifacts that answered.

A feature has the value that was scored: the caller's own wins over one that the items of its request share,
and that over one that a router fetched (field 1004), as cells have it (`cell/codec/given.py`). A dense row,
or a tensor, has values in the model's order, all of them, NaN for what it leaves to the others, or without
these.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from croupier import fetched as fetched_features
from croupier.errors import InvalidRequest
from croupier.fetched import ENTITY_INPUT, Fetched, Origin
from croupier.stores.spool import BadRecord, Flag, Kind, Record, unpack
from logger.rows import MODEL_INFER, PREDICT, STORE, Dense, Feature, Output, Row
from logger.signatures import Signature
from logger.tensors import Array, Undecodable, arrays_of
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2

_FP32, _FP64 = "FP32", "FP64"
_ENTITY = "entity_id"
# A flag's own operators take longer than a number's.
_DEGRADED_FLAG = int(Flag.DEGRADED)
_DEFAULTS, _DEGRADED = "croupier.defaults", "croupier.degraded"
# Integers that every float64 between them is; and the bytes of those that may be others.
_EXACT = 2**53
_WIDE = 8
_SOURCES = {
    Origin.STORE: STORE,
    Origin.MISSING: "missing",
    Origin.STALE: "stale",
    Origin.DOWN: "down",
    Origin.RANGE: "range",
}


def read(data: bytes) -> Record:
    """The record that `data` is.

    Raises:
        Undecodable: none.
    """
    try:
        return unpack(data)
    except BadRecord as error:
        raise Undecodable(str(error)) from error


def rows_of(record: Record, signature: Signature | None) -> list[Row]:
    """What a record says; `signature` None: that of its artifact is not known.

    Raises:
        Undecodable: saying why.
    """
    try:
        if record.kind == Kind.ITEM:
            return [_item(record, signature)]
        if record.kind == Kind.INFER:
            return list(_infer(record, signature))
        raise Undecodable(f"a request of kind {record.kind}")
    except (DecodeError, InvalidRequest, UnicodeDecodeError) as error:
        raise Undecodable(str(error)) from error


def _row(record: Record, api: str, at: int) -> Row:
    return Row(
        time_us=record.time_us,
        request_id=record.request_id,
        item=record.item,
        row=at,
        api=api,
        tenant=record.tenant,
        model=record.model,
        config=record.number,
        version=record.version,
        artifact=record.artifact.hex(),
        entity=None,
        took_us=record.took_us,
        degraded=record.flags & _DEGRADED_FLAG != 0,
        defaults=0,
        shadow_of=record.shadow_of,
    )


# Items


def _item(record: Record, signature: Signature | None) -> Row:
    item = prediction_pb2.Item.FromString(record.request + record.added)
    result = prediction_pb2.Result.FromString(record.reply)
    row = _row(record, PREDICT, 0)
    row.entity = item.entity_id or prediction_pb2.Shared.FromString(record.shared).entity_id or None
    row.defaults, row.degraded = result.defaults, row.degraded or result.degraded
    row.version = result.version or row.version
    row.code = result.status.code
    given = _given(item.fetched, item.shared if item.HasField("shared") else None, signature)
    if item.WhichOneof("input") == "row":
        singles = item.row.values[:]
        row.datatype = _FP32 if singles and not given.is_there else _FP64
        row.features = _of_row(singles or item.row.doubles[:], given, _features(signature))
    else:
        row.datatype = _FP64
        own = {one.name: Feature(one.name, *_value(one)) for one in item.features.features}
        row.features = given.completed(own, 0)
    row.outputs = [_output(one) for one in result.value.outputs]
    return row


def _of_row(values: list[float], given: _Given, features: tuple[str, ...]) -> Sequence[Feature] | Dense:
    if not given.is_there and len(values) == len(features):
        return Dense(features, struct.pack(f"<{len(values)}d", *values))
    return given.completed(given.laid(values, features), 0)


def _value(feature: prediction_pb2.Feature) -> tuple[float | None, None, str | None]:
    return (feature.number, None, None) if feature.HasField("number") else (None, None, feature.text)


def _output(output: prediction_pb2.Output) -> Output:
    kind = output.WhichOneof("values")
    if kind == "integers":
        return Output(output.name, integers=list(output.integers.values))
    if kind == "texts":
        return Output(output.name, texts=list(output.texts.values))
    return Output(output.name, numbers=list(output.numbers.values))


def _features(signature: Signature | None) -> tuple[str, ...]:
    if signature is None:
        raise Undecodable("its artifact is gone, and with it what its values are called")
    return signature.features


# Tensors


def _infer(record: Record, signature: Signature | None) -> Iterator[Row]:
    request = inference_pb2.ModelInferRequest.FromString(record.request + record.added)
    response = inference_pb2.ModelInferResponse.FromString(record.reply)
    sent = arrays_of(request.inputs, request.raw_input_contents)
    gave = arrays_of(response.outputs, response.raw_output_contents)
    entities = None if _is_declared(signature) else sent.pop(ENTITY_INPUT, None)
    given = _given(request.fetched, None, signature)
    inputs = _Inputs(request, sent, signature, given)
    count = _count([*sent.values(), *gave.values()], given)
    entity = request.parameters[_ENTITY].string_param if _ENTITY in request.parameters else ""
    for at in range(count):
        row = _row(record, MODEL_INFER, at)
        row.entity = entity or None
        if entities is not None and len(entities) == count:
            row.entity = str(entities[at].item() if entities.ndim > 1 else entities[at])
        if _DEFAULTS in response.parameters:
            # Of all its rows together, and said of the first.
            row.defaults = 0 if at else response.parameters[_DEFAULTS].int64_param
            row.degraded |= response.parameters[_DEGRADED].bool_param
        row.datatype = inputs.datatype
        if inputs.has_features:
            row.features = inputs.features(at)
        elif at == 0:
            row.request = record.request
        row.outputs = [_elements(name, array[at : at + 1]) for name, array in gave.items()]
        yield row


def _is_declared(signature: Signature | None) -> bool:
    """Whether the model itself has an input of that name; of one that nobody knows it has."""
    return signature is None or any(tensor.name == ENTITY_INPUT for tensor in signature.inputs)


def _count(arrays: Sequence[Array], given: _Given) -> int:
    """How many rows there are, if all of these agree."""
    counts = {array.shape[0] if array.ndim else 0 for array in arrays}
    if len(counts) > 1:
        raise Undecodable("as many answers as rows were expected")
    return counts.pop() if counts else given.row_count


class _Inputs:
    """What a request's tensors say of features, by row. Of a model without any they say nothing."""

    def __init__(
        self,
        request: inference_pb2.ModelInferRequest,
        sent: Mapping[str, Array],
        signature: Signature | None,
        given: _Given,
    ) -> None:
        datatypes = {tensor.name: tensor.datatype for tensor in request.inputs}
        self.has_features = signature is not None and bool(signature.features)
        self.datatype = ""
        self._given, self._sent = given, sent
        self._dense: Array | None = None
        if signature is None or not signature.features:
            return
        self._signature = signature
        if len(signature.inputs) == 1 and not given.is_there:
            self._dense = _numbers(sent.get(signature.inputs[0].name), len(signature.features))
        if given.covers_any:
            self.datatype = _FP64
        else:
            said = [_scored_as(datatypes, tensor, given) for tensor in signature.inputs]
            self.datatype = said[0] if said.count(said[0]) == len(said) else ",".join(said)

    def features(self, at: int) -> Sequence[Feature] | Dense:
        if self._dense is not None:
            return Dense(self._signature.features, self._dense[at].tobytes())
        return self._given.completed(self._own(at), at)

    def _own(self, at: int) -> dict[str, Feature]:
        features, inputs = self._signature.features, self._signature.inputs
        if len(inputs) == 1:
            array = self._sent.get(inputs[0].name)
            return self._given.laid([] if array is None else array[at].ravel().tolist(), features)
        found = {}
        for name, tensor in zip(features, inputs, strict=True):
            if tensor.name in self._sent:
                (value,) = self._sent[tensor.name][at].ravel().tolist()
                if not self._given.leaves(name, value):
                    found[name] = _feature(name, value)
        return found


def _numbers(array: Array | None, width: int) -> Array | None:
    """Rows of `width` numbers, each of which a float64 is exactly; None for others."""
    if array is None or array.ndim < 2 or array.dtype.kind not in "fiub":
        return None
    if array.dtype.kind != "f" and array.dtype.itemsize == _WIDE:
        return None
    rows = array.reshape(len(array), -1) if array.size else array
    return rows.astype("<f8") if rows.shape[1:] == (width,) else None


def _scored_as(datatypes: Mapping[str, str], tensor: Any, given: _Given) -> str:
    datatype = datatypes.get(tensor.name, tensor.datatype)
    return str(tensor.datatype) if given.is_there and datatype != _FP64 else datatype


def _feature(name: str, value: float | str | None) -> Feature:
    if isinstance(value, str):
        return Feature(name, text=value)
    if value is None:
        return Feature(name)
    if isinstance(value, int) and abs(value) > _EXACT:
        return Feature(name, float(value), _signed(value))
    return Feature(name, float(value))


def _signed(value: int) -> int:
    """In 64 bits; one of UINT64 that is larger has the same bits."""
    return value - 2**64 if value >= 2**63 else value


def _elements(name: str, array: Array) -> Output:
    """An output of one row, of any shape."""
    flat = array.ravel()
    if flat.dtype.kind == "O":
        return Output(name, texts=list(map(str, flat.tolist())))
    if flat.dtype.kind == "f":
        return Output(name, numbers=flat.tolist())
    return Output(name, integers=flat.astype(np.int64).tolist())


# What the caller did not send


class _Given:
    """What a request has beside the caller's own features."""

    def __init__(
        self, fetched: bytes, shared: prediction_pb2.Features | None, signature: Signature | None
    ) -> None:
        self.is_there = bool(fetched) or shared is not None
        self._fetched: Fetched | None = fetched_features.read(fetched) if fetched else None
        known = None if signature is None else set(signature.features)
        listed = [one.name for one in self._fetched.features] if self._fetched else []
        self._places = {name: place for place, name in enumerate(listed) if known is None or name in known}
        self._shared = {
            one.name: Feature(one.name, *_value(one))
            for one in (shared.features if shared is not None else ())
            if known is None or one.name in known
        }
        self._covered = self._places.keys() | self._shared.keys()

    @property
    def row_count(self) -> int:
        return len(self._fetched.rows) if self._fetched else 1

    @property
    def covers_any(self) -> bool:
        return bool(self._covered)

    def leaves(self, name: str, value: object) -> bool:
        """Whether a dense value says that the feature was not sent."""
        return name in self._covered and isinstance(value, float) and math.isnan(value)

    def laid(self, values: Sequence[float | str], features: Sequence[str]) -> dict[str, Feature]:
        """A dense row by name.

        Raises:
            Undecodable: it is neither whole nor without what is covered.
        """
        names = features
        if len(values) != len(names):
            names = [name for name in features if name not in self._covered]
        if len(values) != len(names):
            raise Undecodable(f"{len(values)} values for {len(features)} features")
        return {
            name: _feature(name, value)
            for name, value in zip(names, values, strict=True)
            if not self.leaves(name, value)
        }

    def completed(self, own: dict[str, Feature], at: int) -> list[Feature]:
        """All features of row `at`, the caller's own first."""
        found = {**self._shared, **own}
        if self._fetched is not None and self._fetched.rows:
            rows = self._fetched.rows
            row = rows[at if len(rows) > 1 else 0]
            for name, place in self._places.items():
                source = _SOURCES.get(row.origins[place])
                if name not in found and source is not None:
                    age = self._age(row.events[place]) if source == STORE else None
                    found[name] = _feature(name, row.values[place])._replace(source=source, age=age)
        return list(found.values())

    def _age(self, event_ms: int) -> float | None:
        assert self._fetched is not None
        return max(0, self._fetched.now_ms - event_ms) / 1000 if event_ms else None


# Of most requests.
_NOTHING = _Given(b"", None, None)


def _given(fetched: bytes, shared: prediction_pb2.Features | None, signature: Signature | None) -> _Given:
    return _Given(fetched, shared, signature) if fetched or shared is not None else _NOTHING
