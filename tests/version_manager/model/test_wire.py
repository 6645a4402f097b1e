from dataclasses import replace

import pytest

from croupier.artifacts.comparison import Comparison
from croupier.errors import InvalidRequest
from croupier.protocol import CURRENT, FIRST
from protos.versions.v1 import versions_pb2 as pb
from sharding.generation import Generation, Override, Seat, Share
from version_manager.model import wire
from version_manager.model.fleet import Cell, CellState, Load, Quarantined
from version_manager.model.limits import NO_LIMITS, UNLIMITED, Limits
from version_manager.model.release import Model, Release, Split, Version

VERSIONS = {1: Version(1, bytes(32), 10, "onnx", 1.5), 2: Version(2, bytes([1]) * 32, 11, "onnx", 2.5)}
MODELS = [
    Model("acme", "churn", VERSIONS, Release(3, (Split(1, 4_000), Split(2, 6_000)), {"canary": 2})),
    Model("acme", "unreleased", VERSIONS),
]


@pytest.mark.parametrize("model", MODELS)
def test_models_survive_the_wire(model):
    message = pb.Model.FromString(wire.model_to_pb(model).SerializeToString())
    assert wire.model_from_pb(message) == model


def test_operators_are_told_what_a_version_was_compared_with():
    checked = Comparison("xgboost", "3.2.0", 5, 31_500, 1e-7)
    model = Model("acme", "churn", {1: replace(VERSIONS[1], checked=checked), 2: VERSIONS[2]})
    told = wire.model_to_pb(model)
    assert wire.comparison_from_pb(told.versions[0].checked) == checked
    assert not told.versions[1].HasField("checked")
    assert wire.model_from_pb(told) == model


def test_generations_survive_the_wire():
    generation = Generation(
        7,
        2**64 - 1,
        4,
        (Seat("cell-1", "a", 1.5), Seat("cell-2", "b", 1.0, draining=True)),
        {"acme": Override(("cell-1",), ("cell-2",), 3, "group"), "beta": Override(hand_size=2)},
    )
    message = pb.Generation.FromString(wire.generation_to_pb(generation).SerializeToString())
    assert wire.generation_from_pb(message) == generation


def test_shares_and_dedicated_seats_survive_the_wire():
    seats = tuple(Seat(f"cell-{n}", "a") for n in range(30))
    generation = Generation(
        7,
        5,
        Share(20, 4),
        (*seats, Seat("mine-1", "a", dedicated="acme"), Seat("mine-2", "b", dedicated="acme")),
        {"acme": Override(hand_size=Share(50)), "beta": Override(hand_size=Share(1, 9))},
        author="ann",
        reason="rack 7 burns",
    )
    message = pb.Generation.FromString(wire.generation_to_pb(generation).SerializeToString())
    assert wire.generation_from_pb(message) == generation
    # Who says no least number means 1.
    message.hand_min = 0
    assert wire.generation_from_pb(message).hand_size == Share(20, 1)
    # A router of the release before reads this, and deals as many.
    assert message.hand_size == 6
    assert (message.overrides["acme"].hand_size, message.overrides["beta"].hand_size) == (1, 9)


def test_cells_survive_the_wire():
    quarantined = (
        Quarantined(bytes(32), 1.5, "SIGSEGV", "load"),
        Quarantined(bytes([1]) * 32, 2.5, "hung", "score"),
    )
    load = Load(1, 2, 3, 4, 5.5, 6, 7, quarantined, 9)
    cell = Cell("cell-1", "a", "127.0.0.1:9000", 2.0, CellState.DRAINING, load, CURRENT)
    message = pb.Cell.FromString(wire.cell_to_pb(cell).SerializeToString())
    assert wire.cell_from_pb(message) == cell


def test_a_cell_that_announces_nothing_is_of_the_release_before_there_was_a_number():
    assert wire.cell_from_pb(pb.Cell(id="cell-1", state="active")).protocol == FIRST


def test_a_report_of_many_quarantined_artifacts_is_cut():
    one = pb.Quarantined(artifact=bytes(32), why="x" * 1000)
    load = wire.load_from_pb(pb.Load(quarantined=[pb.Quarantined(artifact=b"short"), *[one] * 1000]))
    assert len(load.quarantined) == 63
    assert {len(found.why) for found in load.quarantined} == {64}


def test_an_unknown_state_is_refused():
    with pytest.raises(ValueError, match="asleep"):
        wire.cell_from_pb(pb.Cell(id="cell-1", state="asleep"))


@pytest.mark.parametrize(
    "limits", [NO_LIMITS, Limits(rate=0.5, in_flight=3, rows=UNLIMITED), Limits(cold_loads=1, bytes=2**53)]
)
def test_limits_survive_the_wire(limits):
    told = wire.tenant_limits_to_pb(("acme", limits))
    assert wire.tenant_limits_from_pb(pb.TenantLimits.FromString(told.SerializeToString())) == (
        "acme",
        limits,
    )


@pytest.mark.parametrize(
    "told",
    [
        pb.TenantLimits(tenant="../x", limits=pb.Limits(rate=5)),
        pb.TenantLimits(limits=pb.Limits(rate=5)),
        pb.TenantLimits(tenant="acme", limits=pb.Limits(rate=0)),
        pb.TenantLimits(tenant="acme", limits=pb.Limits(bytes=float("nan"))),
        pb.TenantLimits(tenant="acme", limits=pb.Limits(in_flight=-float("inf"))),
    ],
)
def test_limits_that_make_no_sense_are_refused(told):
    with pytest.raises(InvalidRequest):
        wire.tenant_limits_from_pb(told)


def test_a_cell_that_is_warming_drains_for_who_knows_no_such_state():
    cell = Cell("cell-1", "a", "127.0.0.1:9000", state=CellState.WARMING)
    message = wire.cell_to_pb(cell)
    assert (message.state, message.warming) == ("draining", True)
    assert wire.cell_from_pb(message) == cell
    # Only one that drains for them can be warming.
    assert wire.state_of(pb.Cell(state="active", warming=True)) is CellState.ACTIVE
