"""What a caller asks for, as messages of the prediction API.

NumPy and pandas are known by their behaviour, never imported: an SDK that imports them would
cost time and memory in services that send plain dicts.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, Protocol, SupportsFloat, Union

from croupier_client.errors import InvalidRequest
from croupier_client.messages import prediction as pb


class InvalidFeatures(InvalidRequest):
    """Features that no request can carry. The caller's."""


class NamedRow(Protocol):
    """What is read of a pandas Series: its labels are the feature names."""

    def items(self) -> Iterable[tuple[Any, Any]]: ...


class Vector(Protocol):
    """What is read of a NumPy array."""

    @property
    def ndim(self) -> int: ...

    def tolist(self) -> Any: ...


Features = Union[
    Mapping[str, Union[SupportsFloat, str, None]], NamedRow, Vector, Sequence[Optional[SupportsFloat]]
]


@dataclass(frozen=True)
class Item:
    """One prediction to make.

    `features` is either named (a dict or a pandas Series: numbers and strings by feature name) or dense (a
    NumPy array of one dimension or a sequence: every feature of the model, in the model's order). Numbers
    keep their double precision; a dense row of which every value is a float32 is sent as such. None and
    pandas.NA are sent as NaN, a value that is known to be missing, which is more than to leave the feature
    out: not every model takes that. A model without feature names takes dense rows, and the names "0", "1",
    and so on.

    `version` 0 asks for what the release says; `label` for the version that carries it. `key` keeps a caller
    on one side of a traffic split; `entity_id` stands in for it.

    Where the model's family has stored features, the router fetches those that are not sent, of the entity
    that is called `entity_id`, and by the `parameters` that the family's config names; {} sends none at all.
    With `explain`, the prediction says where each came from.
    """

    model: str
    features: Features
    version: int = 0
    label: str = ""
    entity_id: str = ""
    key: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    explain: bool = False


@dataclass(frozen=True)
class Shared:
    """What all items of a request share, as far as they do not say it themselves.

    `features` are named ones; those that a model lacks are passed over.
    """

    features: Features = field(default_factory=dict)
    entity_id: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def encode(item: Item) -> pb.Item:
    """Raises InvalidFeatures, or InvalidRequest for a field that does not fit its type."""
    try:
        message = pb.Item(
            model=item.model,
            version=item.version,
            label=item.label,
            entity_id=item.entity_id,
            routing_key=item.key,
            parameters=item.parameters,
            explain=item.explain,
        )
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"the item cannot be sent: {error}") from error
    _add_features(message, item.features)
    return message


def encode_shared(shared: Shared) -> pb.Shared:
    """Raises as `encode` does."""
    try:
        message = pb.Shared(entity_id=shared.entity_id, parameters=shared.parameters)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"what the items share cannot be sent: {error}") from error
    item = pb.Item()
    _add_features(item, shared.features)
    if item.WhichOneof("input") != "features":
        raise _invalid("a row without names: what items share is named")
    if item.features.features:
        message.features.CopyFrom(item.features)
    return message


def _add_features(message: pb.Item, features: Features) -> None:
    if features is None or isinstance(features, (str, bytes)):
        raise _invalid(f"the type {type(features).__name__}: send a dict, a row or a sequence of numbers")
    # Arrays and data frames say how many dimensions they have; everything else here has one.
    dimensions = getattr(features, "ndim", 1)
    if dimensions != 1:
        raise _invalid(f"{dimensions} dimensions instead of one row: send an item for each row")
    # Presence counts: an empty row or dict is sent as such, for the server to judge.
    if hasattr(features, "items"):
        message.features.SetInParent()
        for name, value in features.items():
            _add_named(message.features, name, value)
        return
    message.row.SetInParent()
    try:
        values: Any = features.tolist() if hasattr(features, "tolist") else features
        numbers = array("d", [math.nan if _is_absent(value) else value for value in values])
    except (TypeError, ValueError, OverflowError) as error:
        raise _invalid(f"a row that is not made of numbers: {error}") from error
    narrowed = array("f", numbers)
    # To the bit, since NaN equals nothing. A server of the last release reads floats only.
    if array("d", narrowed).tobytes() == numbers.tobytes():
        message.row.values.extend(narrowed)
    else:
        message.row.doubles.extend(numbers)


def _add_named(message: pb.Features, name: Any, value: Any) -> None:
    if not isinstance(name, str):
        raise _invalid(f"the name {name!r}, which is not a string: for a row without names send its values")
    if _is_absent(value):
        value = math.nan
    if isinstance(value, str):
        message.features.add(name=name, text=value)
        return
    try:
        message.features.add(name=name, number=float(value))
    except (TypeError, ValueError, OverflowError) as error:
        kind = type(value).__name__
        raise _invalid(f"a value of type {kind} for {name}: a number or a string is needed") from error


def _is_absent(value: Any) -> bool:
    return value is None or type(value).__name__ in {"NAType", "NaTType"}


def _invalid(what: str) -> InvalidFeatures:
    return InvalidFeatures(f"the features have {what}", field="features")
