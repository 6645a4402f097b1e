"""Features beside a caller's own: what a request's items share, and what a router fetched (field 1004).

A caller's own value wins over a shared one, and that over a fetched one. What neither names is as it would be
without. The features that are shared or listed in the field are `covered`, as far as the model has them:

- named features: one that is there is sent, NaN too, which says that its value is not known;
- a dense row, or a tensor, with all features: NaN is one that is covered and not sent;
- one without the covered features has the others in the model's order;
- of a model with an input for each feature, inputs that are covered may be left out.

A number that a caller sends for a listed feature lies in its range. Rows that were completed are float64, as
named features are, whatever the others came as: the fetched ones are.

`complete.pyx` does the same natively for numbers (docs/decisions/0062).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from cell.codec.signature import Array, Signature
from cell.codec.values import Scalar, named, problem
from croupier.artifacts.datatypes import DATATYPES
from croupier.artifacts.format import Tensor
from croupier.errors import InvalidRequest
from croupier.fetched import ENTITY_INPUT, Feature, Origin, read
from croupier.stores.feature_store import StoreDown
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb

# Seconds after which a feature store may be back.
_RETRY_AFTER = 0.25
# Of one answer: a feature of a row is one.
MOST_EXPLAINED = 2**16
# About: the words, and a name that is no longer than most.
_ORIGIN_BYTES = 64

Message: TypeAlias = pb.Item | inference_pb2.ModelInferRequest
# In place of an origin: neither the caller nor anything else has a value.
_NONE = 255
_SOURCES = {
    Origin.REQUEST: pb.Origin.REQUEST,
    Origin.STORE: pb.Origin.STORE,
    Origin.MISSING: pb.Origin.DEFAULT_MISSING,
    Origin.STALE: pb.Origin.DEFAULT_STALE,
    Origin.RANGE: pb.Origin.DEFAULT_RANGE,
    Origin.DOWN: pb.Origin.DEFAULT_DOWN,
}
_WORDS = {origin: f"default {origin.name.lower()}" for origin in Origin} | {
    Origin.REQUEST: "request",
    Origin.STORE: "store",
}


class OutOfRange(InvalidRequest):
    """A value that the family's config does not allow. The caller's."""

    reason = "FEATURE_OUT_OF_RANGE"


class NotGiven(InvalidRequest):
    """A feature without a default that the caller did not send, and of which nothing usable is stored."""

    reason = "FEATURE_MISSING"


def given_of(message: Message, signature: Signature) -> Given | None:
    """What `message` has beside the caller's own features; None for a message that has nothing.

    Raises:
        InvalidRequest: malformed.
    """
    shared = message.shared if isinstance(message, pb.Item) and message.HasField("shared") else None
    if shared is None and not message.fetched:
        return None
    return Given(message.fetched, shared, signature)


class Given:
    """Of one request. `defaults` and `is_degraded` are what its answer says, once it was completed."""

    def __init__(self, fetched: bytes, shared: pb.Features | None, signature: Signature) -> None:
        self._signature = signature
        self._fetched = read(fetched) if fetched else None
        features = self._fetched.features if self._fetched else ()
        # Places in the field, and shared values, by the place of the feature in the model.
        self._listed = {
            signature.columns[feature.name]: place
            for place, feature in enumerate(features)
            if feature.name in signature.columns
        }
        found = named(shared, signature, passes_over=True) if shared is not None else []
        self._shared = {place: value for place, value in enumerate(found) if value is not None}
        self._covered = self._listed.keys() | self._shared.keys()
        self._origins = np.zeros((0, 0), np.uint8)
        self.defaults = 0
        self.is_degraded = False

    @property
    def row_count(self) -> int:
        """1, which holds for any number of rows, or the request's own."""
        return len(self._fetched.rows) if self._fetched else 1

    @property
    def narrow(self) -> int:
        """How many values a row has without the covered features."""
        return len(self._signature.features) - len(self._covered)

    def covers(self, place: int) -> bool:
        return place in self._covered

    def lay(self, values: Sequence[Scalar | None]) -> list[Scalar | None] | None:
        """A dense row by feature, None for each that is not sent; None if it is neither full nor narrow."""
        if len(values) == len(self._signature.features):
            return [
                None if place in self._covered and isinstance(value, float) and math.isnan(value) else value
                for place, value in enumerate(values)
            ]
        if len(values) != self.narrow:
            return None
        own = iter(values)
        return [
            None if place in self._covered else next(own) for place in range(len(self._signature.features))
        ]

    def fill(self, own: Sequence[Scalar | None], field: str) -> list[Scalar | None]:
        """One row by feature, completed; None for what neither the caller nor this has."""
        self._begin(1)
        filled = list(own)
        for place, value in enumerate(own):
            if value is None:
                value = self._shared.get(place)
            if value is not None:
                self._check_range(place, value, field)
                self._origins[0, place] = Origin.REQUEST
            elif place in self._listed:
                (value,) = self._use(place, np.array([True]), field)
            filled[place] = value
        return filled

    def complete(self, sent: Mapping[str, Array], rows: int) -> dict[str, Array]:
        """A model's inputs, of which `sent` are those that the caller sent: completed ones are float64.

        Raises:
            InvalidRequest: values are out of range, or missing; or they cannot be what the model takes; or
                there is another number of entities than of rows.
            StoreDown: values are missing for want of the store.
        """
        if self._fetched and self.row_count not in (1, rows):
            raise InvalidRequest(
                f"{ENTITY_INPUT} names {self.row_count} entities, and there are {rows} rows", field="inputs"
            )
        self._begin(rows)
        inputs = self._signature.inputs
        if not self._covered:
            self._origins[:] = Origin.REQUEST
            return dict(sent)
        if len(inputs) == 1:
            (tensor,) = inputs
            places = range(len(self._signature.features))
            return {tensor.name: self._block(tensor, places, sent.get(tensor.name), rows)}
        return {
            tensor.name: self._block(tensor, range(place, place + 1), sent.get(tensor.name), rows)
            for place, tensor in enumerate(inputs)
        }

    def explain(self) -> list[tuple[str, list[tuple[Origin, float | None]]]]:
        """By feature that has a value: where it came from in each row, and the age in seconds if stored."""
        return [
            (name, [self._source(row, place) for row in range(len(self._origins))])
            for place, name in enumerate(self._signature.features)
            if len(self._origins) and self._origins[0, place] != _NONE
        ]

    def room(self, is_explained: bool) -> int:
        """About how much an answer says of it. Raises InvalidRequest if that is too much."""
        if is_explained and self._origins.size > MOST_EXPLAINED:
            raise InvalidRequest(
                f"{self._origins.size:,} values are too many to explain: ask for at most {MOST_EXPLAINED:,}",
                field="explain",
            )
        return self._origins.size * _ORIGIN_BYTES if is_explained else 0

    def tell_item(self, result: pb.Result, is_explained: bool) -> None:
        result.defaults, result.degraded = self.defaults, self.is_degraded
        if is_explained:
            for name, [(origin, age)] in self.explain():
                result.origins.add(name=name, source=_SOURCES[origin], age_seconds=age or 0.0)

    def tell(self, response: inference_pb2.ModelInferResponse, is_explained: bool) -> None:
        response.parameters["croupier.defaults"].int64_param = self.defaults
        response.parameters["croupier.degraded"].bool_param = self.is_degraded
        if is_explained:
            words = {name: [_worded(*each) for each in found] for name, found in self.explain()}
            response.parameters["croupier.origins"].string_param = json.dumps(words, ensure_ascii=False)

    def _begin(self, rows: int) -> None:
        self._origins = np.full((rows, len(self._signature.features)), _NONE, np.uint8)
        self.defaults, self.is_degraded = 0, False

    def _block(self, tensor: Tensor, places: range, sent: Array | None, rows: int) -> Array:
        """An input of the features at `places`."""
        is_float = DATATYPES[tensor.datatype].kind == "f"
        values = np.full((rows, len(places)), np.nan, np.float64 if is_float else np.object_)
        is_sent = np.zeros(values.shape, np.bool_)
        if sent is not None and sent.shape[1] == len(places):
            values[:], is_sent[:] = sent, True
            if is_float:
                covered = [place in self._covered for place in places]
                is_sent &= ~(np.isnan(values) & covered)
        elif sent is not None:
            uncovered = [place not in self._covered for place in places]
            values[:, uncovered], is_sent[:, uncovered] = sent, True
        for column, place in enumerate(places):
            self._complete_column(place, values[:, column], is_sent[:, column], tensor)
        return values if is_float else _as_elements(values, tensor)

    def _complete_column(self, place: int, values: Array, is_sent: Array, tensor: Tensor) -> None:
        self._origins[is_sent, place] = Origin.REQUEST
        feature = self._feature(place)
        if feature is not None and DATATYPES[tensor.datatype].kind != "O":
            own = values[is_sent].astype(np.float64)
            if (out := (own < feature.low) | (own > feature.high)).any():
                self._check_range(place, float(own[out][0]), "inputs")
        if not is_sent.all() and place in self._listed:
            found = self._use(place, ~is_sent, "inputs")
            dtype = self._signature.dtype(tensor, "FP64")
            for value in set(found):
                _check(self._signature.features[place], value, dtype, self._signature)
            values[~is_sent] = found

    def _use(self, place: int, wanted: Array, field: str) -> list[Scalar]:
        """The fetched values of a feature for the rows that are `wanted`, noted as used."""
        assert self._fetched is not None
        column, name = self._listed[place], self._signature.features[place]
        rows = self._fetched.rows if len(self._fetched.rows) > 1 else self._fetched.rows * len(wanted)
        found = []
        for at in np.flatnonzero(wanted).tolist():
            origin, value = rows[at].origins[column], rows[at].values[column]
            if origin is Origin.ABSENT or value is None:
                if self._fetched.is_degraded:
                    raise StoreDown(f"feature {name!r} cannot be read now", retry_after=_RETRY_AFTER)
                raise NotGiven(
                    f"feature {name!r} was not sent, and has neither a stored value nor a default",
                    field=f"{field}.{name}",
                )
            self._origins[at, place] = origin
            self.defaults += origin is not Origin.STORE
            self.is_degraded |= origin is Origin.DOWN and self._fetched.is_degraded
            found.append(value)
        return found

    def _feature(self, place: int) -> Feature | None:
        """What the field says of a feature of the model."""
        column = self._listed.get(place)
        return None if column is None or self._fetched is None else self._fetched.features[column]

    def _check_range(self, place: int, value: Scalar, field: str) -> None:
        feature = self._feature(place)
        if feature is None or isinstance(value, str):
            return
        if value < feature.low or value > feature.high:
            raise OutOfRange(
                f"feature {feature.name!r} is {value:g}: not from {feature.low:g} to {feature.high:g}",
                field=f"{field}.{feature.name}",
            )

    def _source(self, row: int, place: int) -> tuple[Origin, float | None]:
        origin = Origin(self._origins[row, place])
        if origin is not Origin.STORE or self._fetched is None:
            return origin, None
        rows = self._fetched.rows
        event = rows[row if len(rows) > 1 else 0].events[self._listed[place]]
        return origin, max(0, self._fetched.now_ms - event) / 1000 if event else None


def _worded(origin: Origin, age: float | None) -> str:
    return _WORDS[origin] if age is None else f"{_WORDS[origin]} age={age:.3f}".rstrip("0").rstrip(".")


def _check(name: str, value: Scalar, dtype: np.dtype[Any], signature: Signature) -> None:
    if wrong := problem(value, dtype, signature):
        raise InvalidRequest(f"feature {name!r} {wrong}", field=f"inputs.{name}")


def _as_elements(values: Array, tensor: Tensor) -> Array:
    """Values of an input that takes no floats as it takes them; what is missing of texts is None."""
    dtype = DATATYPES[tensor.datatype]
    if dtype.kind == "O":
        return np.array(
            [[None if isinstance(value, float) else value for value in row] for row in values.tolist()], dtype
        ).reshape(values.shape)
    return values.astype(dtype)
