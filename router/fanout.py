"""One request with many items: one call to each cell, the results stitched in the items' order.

Results are opaque: a cell's bytes go to the caller as they came. Only the status of an item is looked
at, since one that is UNAVAILABLE may try its next cell; if there is none, the caller gets the cell's
own words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from croupier.errors import CroupierError, InternalError, Unavailable
from croupier.transport.status import UNAVAILABLE, code_of, item_status
from protos.prediction.v1 import prediction_pb2 as pb
from router import envelope
from router.attempt import Outcome, Unit


class BadAnswer(InternalError):
    """A cell's answer does not fit the question. Ours."""

    reason = "BAD_ANSWER"


class ItemUnavailable(Unavailable):
    """A cell answered an item with UNAVAILABLE; `result` is the cell's own result."""

    def __init__(self, result: bytes) -> None:
        super().__init__("the cell could not take this item now")
        self.result = result


class Fanout:
    """Sends some items to a cell as one PredictRequest. `call`: cell, request, timeout → response."""

    def __init__(self, call: Callable[[str, bytes, float | None], Awaitable[bytes]]) -> None:
        self._call = call

    async def send(self, cell: str, units: Sequence[Unit], timeout: float | None) -> list[Outcome]:
        """An outcome for each item; raises the error of the call as a whole."""
        request = envelope.join_first([unit.payload for unit in units])
        response = await self._call(cell, request, timeout)
        try:
            results = envelope.read_results(response)
            codes = [envelope.status_code(result) for result in results]
        except envelope.MalformedMessage as error:
            raise BadAnswer("a cell's response is not a valid protobuf message") from error
        if len(results) != len(units):
            raise BadAnswer(f"a cell answered {len(units)} items with {len(results)} results")
        return [
            ItemUnavailable(result) if code == UNAVAILABLE else result
            for result, code in zip(results, codes, strict=True)
        ]


def stitch(units: Sequence[Unit]) -> bytes:
    """The PredictResponse for `units`.

    Raises:
        CroupierError: no cell said anything about any item, and every item has this same error.
    """
    errors = [unit.outcome for unit in units if isinstance(unit.outcome, CroupierError)]
    # Items that failed for different reasons keep their own: only some may be worth another try.
    alike = len({(code_of(error), error.message) for error in errors}) == 1
    if len(errors) == len(units) and alike and not isinstance(errors[0], ItemUnavailable):
        raise errors[0]
    return envelope.join_first([_result(unit) for unit in units])


def _result(unit: Unit) -> bytes:
    if isinstance(unit.outcome, ItemUnavailable):
        return unit.outcome.result
    if isinstance(unit.outcome, CroupierError):
        return pb.Result(status=item_status(unit.outcome)).SerializeToString()
    return unit.answer()
