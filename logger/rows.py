"""What a row of the log says: one scored row of one request."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

PREDICT, MODEL_INFER = "Predict", "ModelInfer"
REQUEST, STORE = "request", "store"


class Feature(NamedTuple):
    """A value that was scored, and where it came from.

    `number` is as exact as a float64 can be; `integer` has what it cannot. `source` is `request`, `store`, or
    why it is the default: `missing`, `stale`, `down` or `range`. `age` is a stored one's, in seconds.
    """

    name: str
    number: float | None = None
    integer: int | None = None
    text: str | None = None
    source: str = REQUEST
    age: float | None = None


class Dense:
    """The features of a row of which the caller sent all, and nobody else any: numbers by their `names`.

    As `numbers`, float64 one after the other, they come to a column without being Python's objects.
    """

    __slots__ = ("names", "numbers")

    def __init__(self, names: tuple[str, ...], numbers: bytes) -> None:
        self.names, self.numbers = names, numbers

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Feature]:
        return map(Feature, self.names, struct.unpack(f"<{len(self.names)}d", self.numbers))


class Output(NamedTuple):
    """All elements of an output for the row, in one of the three; float32 is exact in `numbers`."""

    name: str
    numbers: list[float] | None = None
    integers: list[int] | None = None
    texts: list[str] | None = None


@dataclass(slots=True)
class Row:
    """`item` and `row` are places in the request; `config` is the number of the family's.

    `datatype` is what the numbers came as, one word or one for each input of the model: a float32 row may be
    scored otherwise than the same numbers as float64. `request` has the bytes of a request whose model takes
    tensors that no feature names. `hidden` names what was hashed or dropped.
    """

    time_us: int
    request_id: str
    item: int
    row: int
    api: str
    tenant: str
    model: str
    config: int
    version: int
    artifact: str
    entity: str | None
    took_us: int
    degraded: bool
    defaults: int
    shadow_of: str
    datatype: str = ""
    code: int = 0
    features: Sequence[Feature] | Dense = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    request: bytes | None = None
