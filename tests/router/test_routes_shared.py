"""What the items of a request share goes with each of them; what only routers write is refused."""

from __future__ import annotations

from typing import Any

import pytest
from support.fakes import generation, model, view

from croupier.errors import InvalidRequest
from croupier.fields import MalformedMessage
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb
from router.envelope import MalformedMessage as Malformed
from router.envelope import read_infer, read_items
from router.pipeline import decide
from router.routes import Routes
from router.units import Unit
from version_manager.model.fleet import Cell
from version_manager.model.release import WHOLE

SPLIT = model(versions=(1, 2), splits=((1, WHOLE // 2), (2, WHOLE // 2)))
ROUTES = Routes(decide, lambda: 0.25)
ROUTES.follow(view([SPLIT], (generation(["a", "b"]),), [Cell(name, "zone-0", f"{name}:1") for name in "ab"]))
FEATURES = pb.Features(features=[pb.Feature(name="age", number=31)])


def items(request: pb.PredictRequest | bytes) -> list[Unit]:
    data = request if isinstance(request, bytes) else request.SerializeToString()
    return ROUTES.items("acme", data, 100_000)


def sent(unit: Unit) -> pb.Item:
    return pb.Item.FromString(unit.payload)


def test_shared_features_go_with_each_item() -> None:
    shared = pb.Shared(features=FEATURES, parameters={"region": "eu"})
    units = items(pb.PredictRequest(items=[pb.Item(model="churn")] * 2, shared=shared))
    assert [sent(unit).shared for unit in units] == [FEATURES, FEATURES]
    assert units[0].shared is units[1].shared
    assert pb.Shared.FromString(units[0].told or b"") == shared


def test_without_any_nothing_is_added() -> None:
    for shared in (None, pb.Shared(entity_id="e")):
        (unit,) = items(pb.PredictRequest(items=[pb.Item(model="churn")], shared=shared))
        assert not sent(unit).HasField("shared")
        assert unit.shared == b""
        assert unit.told == (shared and shared.SerializeToString())


def test_empty_features_are_some() -> None:
    (unit,) = items(
        pb.PredictRequest(items=[pb.Item(model="churn")], shared=pb.Shared(features=pb.Features()))
    )
    assert sent(unit).HasField("shared")


def test_a_cell_of_the_release_before_is_not_told() -> None:
    (unit,) = items(pb.PredictRequest(items=[pb.Item(model="churn")], shared=pb.Shared(features=FEATURES)))
    assert not pb.Item.FromString(unit.payload_for(6)).HasField("shared")


@pytest.mark.parametrize("is_first", [False, True])
def test_what_is_said_twice_is_merged(is_first: bool) -> None:
    """As protobuf does, wherever it stands."""
    more = pb.Features(features=[pb.Feature(name="plan", text="basic")])
    one = pb.PredictRequest(items=[pb.Item(model="churn")]).SerializeToString()
    both = b"".join(
        pb.PredictRequest(shared=pb.Shared(features=each)).SerializeToString() for each in (FEATURES, more)
    )
    data = both + one if is_first else one + both
    (unit,) = items(data)
    assert sent(unit).shared == pb.PredictRequest.FromString(data).shared.features
    assert len(sent(unit).shared.features) == 2


def test_halves_are_not_joined() -> None:
    whole = FEATURES.SerializeToString()
    halves = b"".join(
        b"\x12" + bytes([len(half) + 2]) + b"\x0a" + bytes([len(half)]) + half
        for half in (whole[:5], whole[5:])
    )
    one = pb.PredictRequest(items=[pb.Item(model="churn")]).SerializeToString()
    with pytest.raises(MalformedMessage):
        items(one + halves)


def test_the_entity_is_the_key_of_who_has_none() -> None:
    def place(**told: Any) -> int:
        shared = pb.Shared(entity_id=told.pop("shared", ""))
        (unit,) = items(pb.PredictRequest(items=[pb.Item(model="churn", **told)], shared=shared))
        return unit.target.version

    for name in map(str, range(20)):
        assert place(shared=name) == place(entity_id=name) == place(routing_key=name)
        assert place(shared="x", entity_id=name) == place(entity_id=name)
        assert place(shared="x", routing_key=name) == place(routing_key=name)
    assert {place(shared=name) for name in map(str, range(20))} == {1, 2}


@pytest.mark.parametrize(
    "shared",
    [b"\x12\x01\xff", b"\x1a\x03\x0a\x01\xff", b"\x1a\x03\x12\x01\xff", b"\x0a\x05"],
    ids=["entity", "name of a parameter", "its value", "cut"],
)
def test_what_is_no_message_is_refused(shared: bytes) -> None:
    one = pb.PredictRequest(items=[pb.Item(model="churn")]).SerializeToString()
    with pytest.raises(Malformed):
        items(one + b"\x12" + bytes([len(shared)]) + shared)


def test_copies_have_a_bound() -> None:
    text = pb.Features(features=[pb.Feature(name="about", text="a" * 100_000)])
    shared = pb.Shared(features=text)
    assert len(items(pb.PredictRequest(items=[pb.Item(model="churn")] * 40, shared=shared))) == 40
    with pytest.raises(InvalidRequest, match="too large for 50 items"):
        items(pb.PredictRequest(items=[pb.Item(model="churn")] * 50, shared=shared))


@pytest.mark.parametrize("told", [{"fetched": b"x"}, {"shared": pb.Features()}], ids=["fetched", "shared"])
def test_only_routers_write_features_that_are_not_the_callers(told: dict[str, Any]) -> None:
    item = pb.Item(model="churn", **told)
    request = pb.PredictRequest(items=[pb.Item(model="churn"), item]).SerializeToString()
    with pytest.raises(InvalidRequest, match="written by routers alone"):
        items(request)
    with pytest.raises(InvalidRequest, match="written by routers alone"):
        read_items(request, 10)
    one = inference_pb2.ModelInferRequest(model_name="churn").SerializeToString()
    reserved = pb.Item(**told).SerializeToString()
    with pytest.raises(InvalidRequest, match="written by routers alone"):
        read_infer(one + reserved)
    with pytest.raises(InvalidRequest, match="written by routers alone"):
        ROUTES.infer("acme", reserved + one)


@pytest.mark.parametrize(
    ("shared", "most", "wrong"),
    [
        (pb.Shared(parameters={"note": "x" * 100_000}), 41, "too large"),
        (pb.Shared(parameters={str(n): "" for n in range(1000)}), 65, "too many parts"),
    ],
    ids=["bytes", "fields"],
)
def test_what_is_read_for_each_item_is_bounded_for_all(shared: pb.Shared, most: int, wrong: str) -> None:
    assert len(items(pb.PredictRequest(items=[pb.Item(model="churn")] * most, shared=shared))) == most
    with pytest.raises(InvalidRequest, match=wrong):
        items(pb.PredictRequest(items=[pb.Item(model="churn")] * (2 * most), shared=shared))
