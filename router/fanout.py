"""One request with many items: one call to each cell, the results stitched in the items' order.

Results are opaque: a cell's bytes go to the caller as they came. Only the status of an item is looked
at, since one that is UNAVAILABLE may try its next cell; if there is none, the caller gets the cell's
own words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from croupier import protocol
from croupier.codes import Code
from croupier.errors import CroupierError, InternalError, Unavailable
from croupier.fields import join_first
from croupier.items import item_error, item_status
from croupier.priorities import OVERLOADED
from croupier.request_ids import Named
from croupier.stores.feature_store import StoreDown
from croupier.transport.status import code_of
from protos.prediction.v1 import prediction_pb2 as pb
from router import envelope
from router.cells import PREDICT, Cells, Metadata
from router.stale import OldCell, StaleMap
from router.units import Unit, join_answers, join_payloads

if TYPE_CHECKING:
    from router.attempt import CellCall, Outcome, Started


# What a cell sends may be any number.
_MOST_CODE = 1000
_STALE = StaleMap.reason.encode()
_STORE_DOWN = StoreDown.reason.encode()
_OVERLOADED = OVERLOADED.encode()


class BadAnswer(InternalError):
    """A cell's answer does not fit the question. Ours."""

    reason = "BAD_ANSWER"


class ItemUnavailable(Unavailable):
    """A cell answered an item with UNAVAILABLE; `result` is the cell's own result."""

    def __init__(self, result: bytes, reason: str = "") -> None:
        super().__init__("the cell could not take this item now", reason=reason)
        self.result = result


class StaleItem(ItemUnavailable, StaleMap):
    """It was dealt by an old shard map."""


class Whole:
    """The exchange for a single unit, whose payload is the request of the method at `path`."""

    def __init__(self, cells: Cells, path: bytes) -> None:
        self._cells = cells
        self._path = path

    def start(self, call: CellCall, timeout: float | None, metadata: Metadata = ()) -> Started:
        speaks = self._cells.protocol(call.cell)
        _check_speaks(call.units, speaks)
        payload = call.units[0].payload_for(speaks)
        return self._cells.start(self._path, call, payload, timeout, metadata)

    def outcomes(self, call: CellCall, response: bytes) -> list[Outcome]:
        return [response]

    def refusal(self, outcome: bytes) -> CroupierError | None:
        return None


class Fanout:
    """The exchange for many units: a PredictRequest of which each is an item."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells

    def start(self, call: CellCall, timeout: float | None, metadata: Metadata = ()) -> Started:
        speaks = self._cells.protocol(call.cell)
        _check_speaks(call.units, speaks)
        payload = join_payloads(call.units, speaks)
        return self._cells.start(PREDICT, call, payload, timeout, metadata)

    def outcomes(self, call: CellCall, response: bytes) -> list[Outcome]:
        try:
            results = envelope.read_results(response)
            failures = envelope.failures_of(results)
        except envelope.MalformedMessage as error:
            raise BadAnswer("a cell's response is not a valid protobuf message") from error
        if len(results) != len(call.units):
            raise BadAnswer(f"a cell answered {len(call.units)} items with {len(results)} results")
        outcomes: list[Outcome] = [*results]
        for place, code in failures:
            if code == Code.UNAVAILABLE and (passing := _unavailable(results[place])) is not None:
                outcomes[place] = passing
            elif not call.units[place].is_settled:
                call.units[place].code = min(code, _MOST_CODE)
        return outcomes

    def refusal(self, outcome: bytes) -> CroupierError | None:
        status = pb.Result.FromString(outcome).status
        return item_error(status) if status.code else None


def _check_speaks(units: list[Unit], speaks: int) -> None:
    """Raises OldCell if a cell would answer without the features that stand behind a request."""
    if speaks < protocol.FETCHED and any(unit.fetched or unit.shared for unit in units):
        raise OldCell("the cell is of a release that knows no fetched features")


def _unavailable(result: bytes) -> ItemUnavailable | None:
    """What it means for other cells; None: they would say so too."""
    # Of very many that are refused, few are read.
    if _OVERLOADED in result and pb.Result.FromString(result).status.reason == OVERLOADED:
        return ItemUnavailable(result, OVERLOADED)
    if _STALE in result and pb.Result.FromString(result).status.reason == StaleMap.reason:
        return StaleItem(result)
    if _STORE_DOWN in result and pb.Result.FromString(result).status.reason == StoreDown.reason:
        return None
    return ItemUnavailable(result)


def stitch(units: list[Unit], caller: Named) -> Outcome:
    """The PredictResponse for `units`; what failed here is called as the request of `caller`.

    An error, if no cell said anything about any item, and every item has this same error.
    """
    joined = join_answers(units)
    if joined is not None:
        return joined
    errors = [unit.outcome for unit in units if isinstance(unit.outcome, CroupierError)]
    # Items that failed for different reasons keep their own: only some may be worth another try.
    alike = len({(code_of(error), error.message) for error in errors}) == 1
    if len(errors) == len(units) and alike and not isinstance(errors[0], ItemUnavailable):
        return errors[0]
    return join_first([_result(unit, caller) for unit in units])


def _result(unit: Unit, caller: Named) -> bytes:
    if isinstance(unit.outcome, ItemUnavailable):
        return unit.outcome.result
    if isinstance(unit.outcome, CroupierError):
        caller.request_id.adopt(unit.outcome.request_id)
        status = item_status(unit.outcome, str(caller.request_id))
        return pb.Result(status=status).SerializeToString()
    return unit.answer()
