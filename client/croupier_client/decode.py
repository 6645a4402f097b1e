"""What came back, as values and typed errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Optional, Union

from croupier_client.errors import CroupierError, InternalError, InvalidRequest
from croupier_client.messages import prediction as pb
from croupier_client.status import from_item

# The outcome of an item that has no value: the error itself, not raised.
PredictError = CroupierError

Values = Union[list[float], list[int], list[str]]


class SeveralOutputs(InvalidRequest):
    """`value` was read of a prediction that has several outputs, or none. The caller's."""


@dataclass(frozen=True)
class Origin:
    """Where a feature came from: "request", "store", or "default" with the reason, such as "default stale".

    `age` is that of a stored value in seconds, None where it is not known.
    """

    source: str
    age: Optional[float] = None


@dataclass(frozen=True)
class Prediction:
    """What a model answered.

    `outputs` holds each output's values by name, in the model's order, an output of several
    dimensions row by row; `version` is the version that answered; `took` the seconds in the cell,
    from decoded to scored, a cold load included. `debug` has tokens, with commas between them, of the
    cells that the request was answered by, if the client asks for them.

    Where the router fetches features, `defaults` is how many of them have their default for want of a usable
    stored value, and `degraded` says that some have it since the store was down or slow. `origins` says of
    each feature where it came from, if the item asks for it.
    """

    outputs: Mapping[str, Values]
    version: int
    took: float
    debug: str = ""
    defaults: int = 0
    degraded: bool = False
    origins: Mapping[str, Origin] = field(default_factory=dict)

    @property
    def value(self) -> Union[float, int, str, Values]:
        """The only output of a model that has one: its one number or text, or the list of several.

        Raises:
            SeveralOutputs: the model has another number of outputs; pick one of `outputs`.
        """
        if len(self.outputs) != 1:
            names = ", ".join(self.outputs) or "none"
            raise SeveralOutputs(f"`value` needs one output, and the model has: {names}")
        (values,) = self.outputs.values()
        return values[0] if len(values) == 1 else values


Outcome = Union[Prediction, PredictError]


def decode(result: pb.Result, debug: str = "") -> Outcome:
    """A result's prediction or error."""
    kind = result.WhichOneof("outcome")
    if kind == "status":
        return from_item(result.status, debug)
    if kind != "value":
        return InternalError("the server sent a result without an outcome that this release knows")
    try:
        outputs = {output.name: _values(output) for output in result.value.outputs}
    except InternalError as error:
        return error
    origins = {origin.name: _origin(origin) for origin in result.origins}
    took = result.took_us / 1e6
    return Prediction(outputs, result.version, took, debug, result.defaults, result.degraded, origins)


def decode_all(response: pb.PredictResponse, expected: int, debug: str = "") -> list[Outcome]:
    """The outcomes of `expected` items, in their order.

    Raises:
        InternalError: the server answered another number of items.
    """
    if len(response.results) != expected:
        raise InternalError(f"the server sent {len(response.results)} results for {expected} items")
    return [decode(result, debug) for result in response.results]


def _origin(origin: pb.Origin) -> Origin:
    """Of a later release's source its number."""
    known = pb.Origin.Source.values()
    name = pb.Origin.Source.Name(origin.source) if origin.source in known else str(origin.source)
    is_aged = origin.source == pb.Origin.STORE and origin.age_seconds > 0
    return Origin(name.lower().replace("_", " "), origin.age_seconds if is_aged else None)


def _values(output: pb.Output) -> Values:
    kind = output.WhichOneof("values")
    if kind == "numbers":
        return list(output.numbers.values)
    if kind == "integers":
        return list(output.integers.values)
    if kind == "texts":
        return list(output.texts.values)
    # Of no kind is an output without values, unless there is something that this release cannot read.
    if output.ByteSize() > pb.Output(name=output.name).ByteSize():
        raise InternalError(f"the server sent {output.name!r} as a kind that this release does not know")
    return []
