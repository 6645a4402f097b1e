import pytest

from croupier.errors import NotFound, Unavailable
from protos.prediction.v1 import prediction_pb2 as pb
from router.attempt import CellUnreachable, Unit
from router.fanout import BadAnswer, Fanout, ItemUnavailable, stitch


def value(version: int) -> bytes:
    return pb.Result(version=version, value=pb.Value()).SerializeToString()


def failed(code: int, message: str = "no") -> bytes:
    return pb.Result(status=pb.Status(code=code, message=message)).SerializeToString()


def units(*outcomes: object) -> list[Unit]:
    return [Unit(b"", (), outcome=outcome) for outcome in outcomes]  # type: ignore[arg-type]


async def sent(response: bytes, count: int) -> tuple[list[object], list[object]]:
    calls: list[object] = []

    async def call(cell: str, request: bytes, timeout: float | None) -> bytes:
        calls.append((cell, pb.PredictRequest.FromString(request), timeout))
        return response

    items = [Unit(pb.Item(model=f"m{n}").SerializeToString(), ()) for n in range(count)]
    return list(await Fanout(call).send("a", items, 2.5)), calls


def response(*results: bytes) -> bytes:
    return pb.PredictResponse(results=[pb.Result.FromString(r) for r in results]).SerializeToString()


async def test_items_go_in_one_request_and_results_come_back_as_they_are() -> None:
    outcomes, calls = await sent(response(value(1), failed(3)), 2)
    assert outcomes == [value(1), failed(3)]
    assert calls == [("a", pb.PredictRequest(items=[pb.Item(model="m0"), pb.Item(model="m1")]), 2.5)]


async def test_only_unavailable_items_may_be_tried_again() -> None:
    outcomes, _ = await sent(response(failed(14), failed(8), value(2)), 3)
    assert isinstance(outcomes[0], ItemUnavailable)
    assert outcomes[0].result == failed(14)
    assert outcomes[1:] == [failed(8), value(2)]


@pytest.mark.parametrize("bad", [b"\xff", response(value(1)), response(value(1), value(2), value(3)), b""])
async def test_an_answer_that_does_not_fit_is_a_bug_of_the_cell(bad: bytes) -> None:
    with pytest.raises(BadAnswer):
        await sent(bad, 2)


def test_results_are_stitched_in_the_items_order() -> None:
    busy = ItemUnavailable(failed(14, "the cell's own words"))
    stitched = pb.PredictResponse.FromString(stitch(units(value(1), NotFound("gone"), busy, value(2))))
    assert [result.version for result in stitched.results] == [1, 0, 0, 2]
    assert (stitched.results[1].status.code, stitched.results[1].status.reason) == (5, "NOT_FOUND")
    assert stitched.results[2].status.message == "the cell's own words"


def test_nothing_that_could_be_tried_is_the_requests_failure() -> None:
    with pytest.raises(CellUnreachable):
        stitch(units(CellUnreachable("away"), CellUnreachable("away")))
    with pytest.raises(NotFound):
        stitch(units(NotFound("first")))


def test_items_that_failed_for_different_reasons_have_their_own_status() -> None:
    stitched = pb.PredictResponse.FromString(stitch(units(NotFound("first"), CellUnreachable("second"))))
    assert [result.status.code for result in stitched.results] == [5, 14]
    stitched = pb.PredictResponse.FromString(stitch(units(NotFound("first"), ItemUnavailable(failed(14)))))
    assert [result.status.code for result in stitched.results] == [5, 14]


def test_a_status_tells_when_to_try_again() -> None:
    stitched = stitch(units(value(1), Unavailable("full", retry_after=0.25)))
    status = pb.PredictResponse.FromString(stitched).results[1].status
    assert status == pb.Status(code=14, message="full", reason="UNAVAILABLE", retry_after_ms=250)
