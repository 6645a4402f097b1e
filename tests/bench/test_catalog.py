from pathlib import Path

import pytest

from bench import catalog
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2
from router import snapshot
from router.route import route
from version_manager.model.limits import TenantLimits


@pytest.mark.parametrize("payload", [64, 1024, 65_536])
def test_a_request_has_the_size_asked_for_and_names_a_model(payload: int) -> None:
    load = catalog.unary(payload, models=600)
    for number in (0, 1, 599, 600):
        message = load.message(number)
        request = inference_pb2.ModelInferRequest.FromString(message)
        assert payload == len(message)
        assert catalog.name_of(number % 600) == request.model_name
        assert catalog.tenant_of(number % 600) == load.tenant(number).decode()


def test_the_first_request_alone() -> None:
    load = catalog.unary(64).first()
    assert {load.message(0)} == {load.message(number) for number in range(5)}


def test_requests_of_one_model_and_of_many() -> None:
    one = prediction_pb2.PredictRequest.FromString(catalog.one_model(1000).message(999))
    assert [catalog.name_of(999)] * catalog.ITEMS == [item.model for item in one.items]
    spread = catalog.spread()
    many = prediction_pb2.PredictRequest.FromString(spread.message(7))
    assert len({item.model for item in many.items}) == catalog.ITEMS
    assert spread.tenant(7) == b"tenant-007"


def test_what_a_stream_answers_ends_as_expected() -> None:
    load = catalog.spread_stream()
    frame = prediction_pb2.PredictStreamRequest.FromString(load.message(3))
    response = prediction_pb2.PredictResponse.FromString(catalog.predict_response(catalog.ITEMS))
    answer = prediction_pb2.PredictStreamResponse(id=frame.id, response=response)
    assert answer.SerializeToString().endswith(load.expected)


@pytest.mark.parametrize("cells", [1, 4, 64])
def test_the_snapshot_routes_every_model_to_a_hand_of_the_cells(cells: int, tmp_path: Path) -> None:
    addresses = [f"127.0.0.1:{port}" for port in range(1, cells + 1)]
    catalog.write_snapshot(tmp_path / "snapshot", addresses, models=1000)
    view = snapshot.read(tmp_path / "snapshot")
    assert view.catalog.size == 1000
    dealt = set()
    for number in range(250):
        hand = route(view, catalog.tenant_of(number), catalog.name_of(number))
        assert len(set(hand)) == min(catalog.HAND, cells)
        dealt |= {view.cells[cell].cell.address for cell in hand}
    assert dealt == set(addresses)
    assert view.limits == TenantLimits()


@pytest.mark.parametrize(("tenants", "hand"), [(1, 1), (7, 6), (1_000, 16)])
def test_tenants_and_hands_are_as_many_as_asked_for(tenants: int, hand: int, tmp_path: Path) -> None:
    addresses = [f"127.0.0.1:{port}" for port in range(1, 33)]
    catalog.write_snapshot(tmp_path / "snapshot", addresses, 1_000, tenants=tenants, hand=hand)
    view = snapshot.read(tmp_path / "snapshot")
    load = catalog.unary(64, 1_000, tenants)
    assert len({load.tenant(number) for number in range(1_000)}) == tenants
    for number in range(0, 1_000, 100):
        tenant = load.tenant(number).decode()
        name = inference_pb2.ModelInferRequest.FromString(load.message(number)).model_name
        assert len(set(route(view, tenant, name))) == hand


def test_with_limits_every_tenant_has_all_there_are(tmp_path: Path) -> None:
    catalog.write_snapshot(tmp_path / "snapshot", ["127.0.0.1:1"], models=10, limits=True)
    limits = snapshot.read(tmp_path / "snapshot").limits.of(catalog.tenant_of(0))
    assert None not in limits.said()
