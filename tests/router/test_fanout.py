from typing import Any

import pytest

from croupier.errors import CroupierError, NotFound, Unavailable
from croupier.fields import join_first
from croupier.protocol import CURRENT
from croupier.request_ids import Known, RequestId
from protos.prediction.v1 import prediction_pb2 as pb
from router.cells import MODEL_INFER, PREDICT, Metadata
from router.fanout import BadAnswer, Fanout, ItemUnavailable, Whole, stitch
from router.losses import CellUnreachable
from router.units import Unit

CALLER = Known(RequestId("call-1"))


class Call:
    """What an exchange needs of a call."""

    def __init__(self, cell: str, units: list[Unit]) -> None:
        self.cell, self.units = cell, units


class Cells:
    """Records what is started."""

    def __init__(self) -> None:
        self.started: list[Any] = []

    def protocol(self, cell: str) -> int:
        return CURRENT

    def start(self, path: bytes, call: Any, request: bytes, timeout: float | None, metadata: Metadata) -> str:
        self.started.append((path, call.cell, request, timeout, metadata))
        return "sent"


def value(version: int) -> bytes:
    return pb.Result(version=version, value=pb.Value()).SerializeToString()


def failed(code: int, message: str = "no") -> bytes:
    return pb.Result(status=pb.Status(code=code, message=message)).SerializeToString()


def units(*outcomes: object) -> list[Unit]:
    return [Unit(b"", (), outcome=outcome) for outcome in outcomes]  # type: ignore[arg-type]


def stitched(*outcomes: object) -> pb.PredictResponse:
    response = stitch(units(*outcomes), CALLER)
    assert isinstance(response, bytes)
    return pb.PredictResponse.FromString(response)


def read(response: bytes, count: int) -> list[Any]:
    cells: Any = Cells()
    call: Any = Call("a", [Unit(b"", ()) for _ in range(count)])
    return Fanout(cells).outcomes(call, response)


def response(*results: bytes) -> bytes:
    return pb.PredictResponse(results=[pb.Result.FromString(r) for r in results]).SerializeToString()


def test_items_go_in_one_request() -> None:
    cells: Any = Cells()
    call: Any = Call("a", [Unit(pb.Item(model=f"m{n}").SerializeToString(), ()) for n in range(2)])
    assert Fanout(cells).start(call, 2.5) == "sent"
    [(path, cell, request, timeout, metadata)] = cells.started
    assert (path, cell, timeout, metadata) == (PREDICT, "a", 2.5, ())
    assert pb.PredictRequest.FromString(request) == pb.PredictRequest(
        items=[pb.Item(model="m0"), pb.Item(model="m1")]
    )


def test_a_whole_request_goes_as_it_is_and_so_does_its_answer() -> None:
    cells: Any = Cells()
    call: Any = Call("a", [Unit(b"request", ())])
    exchange = Whole(cells, MODEL_INFER)
    assert exchange.start(call, None) == "sent"
    assert cells.started == [(MODEL_INFER, "a", b"request", None, ())]
    assert exchange.outcomes(call, b"anything") == [b"anything"]


def test_results_come_back_as_they_are() -> None:
    assert read(response(value(1), failed(3)), 2) == [value(1), failed(3)]


def test_only_unavailable_items_may_be_tried_again() -> None:
    outcomes = read(response(failed(14), failed(8), value(2)), 3)
    assert isinstance(outcomes[0], ItemUnavailable)
    assert outcomes[0].result == failed(14)
    assert outcomes[1:] == [failed(8), value(2)]


def test_what_a_cell_had_too_much_to_do_for_is_known_as_that() -> None:
    busy = pb.Status(code=14, message="OVERLOADED", reason="OVERLOADED")
    other = pb.Status(code=14, message="OVERLOADED", reason="NO_ROOM")
    results = [pb.Result(status=status).SerializeToString() for status in (busy, other)]
    outcomes = read(response(*results), 2)
    assert [one.reason for one in outcomes] == ["OVERLOADED", "UNAVAILABLE"]
    assert [one.result for one in outcomes] == results


@pytest.mark.parametrize(
    "bad", [b"\xff", response(value(1)), response(value(1), value(2), value(3)), b"", b"\x0a\x01\xff\x0a\x00"]
)
def test_an_answer_that_does_not_fit_is_a_bug_of_the_cell(bad: bytes) -> None:
    with pytest.raises(BadAnswer):
        read(bad, 2)


def test_results_are_stitched_in_the_items_order() -> None:
    busy = ItemUnavailable(failed(14, "the cell's own words"))
    together = stitched(value(1), NotFound("gone"), busy, value(2))
    assert [result.version for result in together.results] == [1, 0, 0, 2]
    assert (together.results[1].status.code, together.results[1].status.reason) == (5, "NOT_FOUND")
    assert together.results[2].status.message == "the cell's own words"
    assert [result.version for result in stitched(value(3), value(4)).results] == [3, 4]


@pytest.mark.parametrize("errors", [(CellUnreachable("away"), CellUnreachable("away")), (NotFound("first"),)])
def test_nothing_that_could_be_tried_is_the_requests_failure(errors: tuple[CroupierError, ...]) -> None:
    assert stitch(units(*errors), CALLER) is errors[0]


def test_items_that_failed_for_different_reasons_have_their_own_status() -> None:
    together = stitched(NotFound("first"), CellUnreachable("second"))
    assert [result.status.code for result in together.results] == [5, 14]
    together = stitched(NotFound("first"), ItemUnavailable(failed(14)))
    assert [result.status.code for result in together.results] == [5, 14]


def test_a_status_tells_when_to_try_again() -> None:
    status = stitched(value(1), Unavailable("full", retry_after=0.25)).results[1].status
    assert status == pb.Status(
        code=14, message="full", reason="UNAVAILABLE", retry_after_ms=250, request_id="call-1"
    )


def test_metadata_of_one_request_go_with_its_calls_alone() -> None:
    cells: Any = Cells()
    call: Any = Call("a", [Unit(b"request", ())])
    metadata = ((b"x-request-id", b"7"),)
    for exchange in (Whole(cells, MODEL_INFER), Fanout(cells)):
        exchange.start(call, None, metadata)
        exchange.start(call, None)
    assert [started[-1] for started in cells.started] == [metadata, (), metadata, ()]


def test_an_item_that_fails_here_is_called_as_its_request_or_as_its_cell_did() -> None:
    assert stitched(value(1), NotFound("gone")).results[1].status.request_id == "call-1"
    error = NotFound("gone")
    error.request_id = "the-cells"
    response = stitch(units(value(1), error), Known(RequestId()))
    assert isinstance(response, bytes)
    assert pb.PredictResponse.FromString(response).results[1].status.request_id == "the-cells"


def test_an_item_that_failed_for_good_is_known_by_its_code() -> None:
    cells: Any = Cells()
    call: Any = Call("a", [Unit(b"", ()) for _ in range(4)])
    call.units[3].outcome = value(1)
    results = [value(1), failed(3), failed(2**31 - 1), failed(3)]
    Fanout(cells).outcomes(call, join_first(results))
    # The last one was answered by another cell before.
    assert [unit.code for unit in call.units] == [0, 3, 1000, 0]


def test_what_each_cell_would_say_of_the_feature_store_is_an_answer() -> None:
    status = pb.Status(code=14, message="no", reason="FEATURE_STORE_DOWN")
    result = pb.Result(status=status).SerializeToString()
    assert read(response(result), 1) == [result]
