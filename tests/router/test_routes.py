"""Remembered routes are what deciding anew would give."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import digest, view
from support.routes import HALF, SPLIT, VIEW, Desk, infer

from croupier.errors import CroupierError, InvalidRequest
from croupier.fields import MalformedMessage, join_first
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb
from router import envelope
from router.remembered import Route
from router.route import Deal, route
from router.routes import Routes
from router.view import View
from version_manager.model.catalog import UnknownModel
from version_manager.model.release import WHOLE, Range, split_point
from version_manager.model.resolve import Ask, Target, choices, resolve


def test_a_route_is_decided_once() -> None:
    desk = Desk()
    first, second = desk.infer("price"), desk.infer("price", id="another")
    assert len(desk.asked) == 1
    assert first.cells == second.cells == first.order == route(VIEW, "acme", "price")
    assert first.target == second.target == Target("acme", "price", 1, digest("acme/price/1"))
    read = inference_pb2.ModelInferRequest.FromString(first.payload)
    assert (read.model_name, read.id, read.model_version) == ("price", "7", "1")
    assert read.artifact == digest("acme/price/1")


def test_what_names_something_else_is_decided_for_itself() -> None:
    desk = Desk()
    desk.infer("price")
    desk.infer("churn")
    desk.infer("churn", version="1")
    desk.infer("churn", label="next")
    desk.infer("secret", tenant="globex")
    desk.items(pb.Item(model="price"))
    desk.items(pb.Item(model="churn", version=1), pb.Item(model="churn", label="next"))
    assert len(desk.asked) == len(desk.routes) == 8
    assert desk.infer("churn", version="1").target.version == 1
    assert desk.infer("churn", label="next").target.version == 3
    assert len(desk.asked) == 8


def test_routes_share_their_orders_and_a_cell_has_one_name_in_all_of_them() -> None:
    """By which it is known again."""

    def fresh(*cells: str) -> tuple[str, ...]:
        return tuple("".join(("cell-", cell)) for cell in cells)

    def decided(found: View, tenant: str, ask: Ask) -> Route:
        order = fresh("b", "a") if ask.model == "price" else fresh("a", "b")
        options = choices(found.catalog, tenant, ask)
        return Route(found.catalog.record(tenant, ask.model), options, order, fresh("a", "b"))

    routes = Routes(decided, lambda: HALF)
    routes.follow(VIEW)
    (churn,), (price,) = (routes.infer("acme", infer(name)) for name in ("churn", "price"))
    assert churn.order is churn.cells is price.cells
    assert price.order == fresh("b", "a")
    assert {id(cell) for cell in price.order} == {id(cell) for cell in price.cells}


names = st.sampled_from(["churn", "price", "secret", "nothing", "", "x" * 129, "x" * 600, "a/b", "é"])
keys = st.sampled_from(["", "ann", "bob", "é"])
labels = st.sampled_from(["", "next", "old"])


@given(
    st.lists(st.tuples(names, st.sampled_from(["", "1", "3", "9", "x", "1" * 40]), labels, keys), max_size=12)
)
def test_infer_gets_what_reading_and_resolving_gives(asks: list[tuple[str, str, str, str]]) -> None:
    desk = Desk(deal=lambda *_: Deal())
    for name, version, label, key in asks:
        parameters = {k: v for k, v in (("label", label), ("routing_key", key)) if v}
        data = infer(name, version, **parameters)
        try:
            ask = envelope.read_infer(data)
            expected: Any = resolve(VIEW.catalog, "acme", ask, int(HALF * WHOLE))
        except CroupierError as error:
            with pytest.raises(type(error)):
                desk.routes.infer("acme", data)
            continue
        [unit] = desk.routes.infer("acme", data)
        assert unit.target == expected
        assert unit.payload == envelope.append_infer(data, expected)


items = st.builds(
    pb.Item,
    model=names,
    version=st.sampled_from([0, 0, 1, 3, 9, 2**64 - 1]),
    label=labels,
    entity_id=keys,
    routing_key=keys,
    row=st.just(pb.Row(values=[1.0])),
)


@given(st.lists(items, min_size=1, max_size=12))
def test_items_get_what_reading_and_resolving_gives(sent: list[pb.Item]) -> None:
    units = Desk(deal=lambda *_: Deal()).items(*sent)
    data = pb.PredictRequest(items=sent).SerializeToString()
    for unit, (item, ask) in zip(units, envelope.read_items(data, 100), strict=True):
        try:
            expected: Any = resolve(VIEW.catalog, "acme", ask, int(HALF * WHOLE))
        except CroupierError as error:
            expected = error
        if isinstance(expected, CroupierError):
            assert type(unit.outcome) is type(expected)
            assert (unit.cells, unit.payload) == ((), item)
        else:
            assert unit.outcome is None
            assert unit.target == expected
            assert unit.request == item
            assert unit.payload == envelope.append_item(item, expected)


def test_a_split_is_drawn_for_each_request_and_a_key_sticks() -> None:
    points = [0.0, 0.4999, 0.5, 0.99999]
    desk = Desk(random=lambda: points.pop(0))
    assert [desk.infer().target.version for _ in range(4)] == [1, 1, 2, 2]
    sides = {key: desk.infer(routing_key=key).target.version for key in map(str, range(20))}
    assert set(sides.values()) == {1, 2}
    for key, version in sides.items():
        by_entity, by_key = desk.items(
            pb.Item(model="churn", entity_id=key), pb.Item(model="churn", entity_id="x", routing_key=key)
        )
        assert by_entity.target.version == by_key.target.version == version


def test_keys_fall_where_the_salt_and_the_ranges_of_the_release_put_them() -> None:
    ranges = (Range(2_500, 1), Range(7_500, 2), Range(10_000, 1))
    assert SPLIT.release is not None
    salted = replace(SPLIT, release=replace(SPLIT.release, salt="autumn", ranges=ranges))
    desk = Desk(view([salted], VIEW.generations, [known.cell for known in VIEW.cells.values()]))
    for key in map(str, range(40)):
        point = split_point("acme", "churn", key, "autumn")
        assert desk.infer(routing_key=key).target.version == (2 if 2_500 <= point < 7_500 else 1)
    points = [0.2499, 0.25, 0.7499, 0.75]
    drawn = Desk(desk.routes.view, random=lambda: points.pop(0))
    assert [drawn.infer().target.version for _ in range(4)] == [1, 2, 2, 1]


def test_what_cannot_be_decided_is_not_remembered() -> None:
    desk = Desk()
    for _ in range(2):
        with pytest.raises(UnknownModel):
            desk.infer("nothing")
        assert isinstance(desk.items(pb.Item(model="nothing"))[0].outcome, UnknownModel)
    assert len(desk.asked) == 4
    assert len(desk.routes) == 0


def test_a_claim_is_looked_at_every_time() -> None:
    desk = Desk()
    desk.infer("price")
    for claimed in ("globex", "acm", "acme2"):
        with pytest.raises(InvalidRequest):
            desk.routes.infer("acme", infer("price", tenant=claimed))
    assert len(desk.asked) == 4
    [unit] = desk.routes.infer("acme", infer("price", tenant="acme"))
    assert unit.target.model == "price"
    assert len(desk.asked) == 4


@pytest.mark.parametrize(
    "item",
    [
        b"\x0a\x05price\x22\x01\xff",  # an entity id
        b"\x0a\x05price\x2a\x01\xff",  # a routing key
        b"\x0a\x05price\x22\x01\xff\x2a\x01k",  # an entity id beside a routing key
        b"\x0a\x05price\x1a\x01\xff",  # a label
        b"\x0a\x05price\x0a",  # cut
    ],
)
def test_text_that_is_none_makes_the_whole_request_malformed(item: bytes) -> None:
    desk = Desk()
    desk.items(pb.Item(model="price"))
    good = pb.Item(model="price").SerializeToString()
    with pytest.raises(MalformedMessage):
        desk.routes.items("acme", join_first([good, item]), 10)


def test_the_number_of_items_is_looked_at_first() -> None:
    desk = Desk()
    for request, problem in (
        (b"", "no items"),
        (join_first([b""] * 11), "11 items, the most is 10"),
    ):
        with pytest.raises(InvalidRequest, match=problem):
            desk.routes.items("acme", request, 10)
    assert desk.asked == []


def test_metadata_are_asked_for_by_the_same_rules_and_not_remembered() -> None:
    desk = Desk()
    request = inference_pb2.ModelMetadataRequest(name="churn", version="2").SerializeToString()
    for _ in range(2):
        [unit] = desk.routes.model("acme", request)
        assert unit.target.version == 2
    assert (len(desk.asked), len(desk.routes)) == (2, 0)


def test_a_version_is_one_however_it_is_written() -> None:
    """Or each of them would be nineteen routes to remember."""
    desk = Desk()
    for zeros in range(19):
        assert desk.infer(version="0" * zeros + "1").target.version == 1
    assert len(desk.asked) == len(desk.routes) == 1
    for wrong in ("0", "00", "-1", "+1", " 1", "1.0", "1_0", "x", "0" * 19 + "1", "9" * 19, "\u0661"):
        with pytest.raises(CroupierError):
            desk.infer(version=wrong)
    assert len(desk.routes) == 1


def test_items_of_very_many_fields_together_are_not_read_to_their_end() -> None:
    """A few in each, as an encoder of the next release might write them, are no matter."""
    few = pb.Item(model="churn").SerializeToString() + b"\x78\x01" * 8
    assert len(Desk().routes.items("acme", join_first([few] * 1_024), 1_024)) == 1_024
    many = pb.Item(model="churn").SerializeToString() + b"\x1a\x00" * 1_000
    for read in (Desk().routes.items, lambda tenant, data, most: envelope.read_items(data, most)):
        with pytest.raises(InvalidRequest, match="more than 65,536 fields"):
            read("acme", join_first([many] * 100), 1_024)


@pytest.mark.parametrize(("owner", "slot"), [(b"", 0), (b"\x45", 5), (b"\x01\x07\x45", 5 + 64 * 7)])
def test_tenants_are_told_apart_by_the_last_bytes_of_a_hash(owner: bytes, slot: int) -> None:
    desk = Desk(deal=lambda *_: Deal(owner))
    assert desk.infer("price").slot == slot
