"""What came back, as values and typed errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from google.protobuf.message import Message

from croupier.errors import CroupierError, InternalError, InvalidRequest
from croupier.transport.status import to_error
from protos.prediction.v1 import prediction_pb2 as pb
from protos.status.v1 import status_pb2

# The outcome of an item that has no value: the error itself, not raised.
PredictError = CroupierError

Values: TypeAlias = list[float] | list[int] | list[str]


class SeveralOutputs(InvalidRequest):
    """`value` was read of a prediction that has several outputs, or none. The caller's."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model answered.

    `outputs` holds each output's values by name, in the model's order, an output of several
    dimensions row by row; `version` is the version that answered; `took` the seconds in the cell,
    from decoded to scored, a cold load included.
    """

    outputs: Mapping[str, Values]
    version: int
    took: float

    @property
    def value(self) -> float | int | str | Values:
        """The only output of a model that has one: its one number or text, or the list of several.

        Raises:
            SeveralOutputs: the model has another number of outputs; pick one of `outputs`.
        """
        if len(self.outputs) != 1:
            names = ", ".join(self.outputs) or "none"
            raise SeveralOutputs(f"`value` needs one output, and the model has: {names}")
        (values,) = self.outputs.values()
        return values[0] if len(values) == 1 else values


Outcome: TypeAlias = Prediction | PredictError


def decode(result: pb.Result) -> Outcome:
    """A result's prediction or error."""
    match result.WhichOneof("outcome"):
        case "value":
            outputs = {output.name: _values(output) for output in result.value.outputs}
            return Prediction(outputs, result.version, result.took_us / 1e6)
        case "status":
            return error_of(result.status)
        case _:
            return InternalError("the server sent a result without an outcome")


def decode_all(response: pb.PredictResponse, expected: int) -> list[Outcome]:
    """The outcomes of `expected` items, in their order.

    Raises:
        InternalError: the server answered another number of items.
    """
    if len(response.results) != expected:
        raise InternalError(f"the server sent {len(response.results)} results for {expected} items")
    return [decode(result) for result in response.results]


def error_of(status: pb.Status) -> CroupierError:
    """The error that an item's status stands for, as `transport.status.to_error` maps a call's."""
    info = status_pb2.ErrorInfo(reason=status.reason)
    retry = status_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(status.retry_after_ms)
    packed = status_pb2.Status(code=status.code, message=status.message)
    for detail in (info, retry):
        _add_detail(packed, detail)
    return to_error(status.code, status.message, packed.SerializeToString())


def _add_detail(packed: status_pb2.Status, detail: Message) -> None:
    packed.details.add(
        type_url=f"type.googleapis.com/google.rpc.{detail.DESCRIPTOR.name}", value=detail.SerializeToString()
    )


def _values(output: pb.Output) -> Values:
    match output.WhichOneof("values"):
        case "numbers":
            return list(output.numbers.values)
        case "integers":
            return list(output.integers.values)
        case "texts":
            return list(output.texts.values)
        case _:
            return []
