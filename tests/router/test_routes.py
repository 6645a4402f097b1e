"""Remembered routes are what deciding anew would give."""

import gc
import random
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import digest, generation, model, no_change, view
from support.generations import EVERYBODY, any_map

from croupier.errors import CroupierError, InvalidRequest
from croupier.fields import MalformedMessage, join_first
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb
from router import envelope
from router.pipeline import decide
from router.route import route
from router.routes import Route, Routes
from router.units import Unit
from router.view import View, ViewChange
from sharding.dealer import Dealer
from sharding.ramp import WHOLE as ALL
from sharding.ramp import point, which
from version_manager.model.catalog import Delta, UnknownModel
from version_manager.model.fleet import Cell, CellState
from version_manager.model.release import WHOLE
from version_manager.model.resolve import Ask, Target, choices, resolve

NAMES = ["a", "b", "c", "d"]
SPLIT = model(versions=(1, 2, 3), splits=((1, 5_000), (2, 5_000)), labels={"next": 3})
VIEW = view(
    [SPLIT, model(name="price"), model("globex", "secret")],
    (generation(NAMES),),
    [Cell(name, "zone-0", f"{name}:1") for name in NAMES],
)
HALF = 0.25


class Desk:
    """Decides, and says how often."""

    def __init__(
        self, found: View = VIEW, random: Callable[[], float] = lambda: HALF, **settings: Any
    ) -> None:
        self.asked: list[tuple[str, Ask]] = []
        self.routes = Routes(self.decide, random, **settings)
        self.routes.follow(found)

    def decide(self, found: View, tenant: str, ask: Ask) -> Route:
        self.asked.append((tenant, ask))
        if ask.tenant not in ("", tenant):
            raise InvalidRequest("another tenant's")
        options = choices(found.catalog, tenant, ask)
        order = route(found, tenant, ask.model)
        return Route(found.catalog.get(tenant, ask.model), options, order, order)

    def infer(self, name: str = "churn", tenant: str = "acme", version: str = "", **texts: str) -> Unit:
        [unit] = self.routes.infer(tenant, infer(name, version, **texts))
        return unit

    def items(self, *items: pb.Item, tenant: str = "acme") -> list[Unit]:
        return self.routes.items(tenant, pb.PredictRequest(items=items).SerializeToString(), 100)


def infer(name: str, version: str = "", **texts: str) -> bytes:
    request = inference_pb2.ModelInferRequest(model_name=name, model_version=version, id="7")
    for key, text in texts.items():
        request.parameters[key].string_param = text
    return request.SerializeToString()


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


names = st.sampled_from(["churn", "price", "secret", "nothing", "", "x" * 129, "x" * 600, "a/b", "é"])
keys = st.sampled_from(["", "ann", "bob", "é"])
labels = st.sampled_from(["", "next", "old"])


@given(
    st.lists(st.tuples(names, st.sampled_from(["", "1", "3", "9", "x", "1" * 40]), labels, keys), max_size=12)
)
def test_infer_gets_what_reading_and_resolving_gives(asks: list[tuple[str, str, str, str]]) -> None:
    desk = Desk()
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
    units = Desk().items(*sent)
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


# Views


def after(**parts: Any) -> View:
    return VIEW.after(no_change(**parts))


def test_a_view_that_changes_another_model_changes_no_route() -> None:
    desk = Desk()
    desk.infer("price")
    desk.infer("secret", tenant="globex")
    changed = model(name="price", versions=(1, 2), splits=((2, 10_000),))
    desk.routes.follow(VIEW.after(ViewChange(Delta(2, (changed,)))))
    assert desk.infer("secret", tenant="globex").target.version == 1
    assert len(desk.asked) == 2
    assert desk.infer("price").target.version == 2
    assert len(desk.asked) == 3


def test_a_model_that_is_removed_is_gone() -> None:
    desk = Desk()
    desk.infer("price")
    desk.routes.follow(VIEW.after(ViewChange(Delta(2, (), (("acme", "price"),)))))
    with pytest.raises(UnknownModel):
        desk.infer("price")


@pytest.mark.parametrize(
    "changed",
    [
        after(cells=(Cell("a", "zone-0", "a:1", state=CellState.DRAINING),)),
        after(removed_cells=("b",)),
        after(generations=(generation(NAMES[1:], number=2), generation(NAMES))),
        replace(VIEW, previous=VIEW.current),
    ],
)
def test_new_cells_or_shard_maps_make_new_routes(changed: View) -> None:
    desk = Desk()
    desk.infer("price")
    desk.routes.follow(changed)
    assert len(desk.routes) == 0
    assert desk.infer("price").order == route(changed, "acme", "price")
    assert len(desk.asked) == 2


def test_a_departed_cell_does_not_make_every_view_a_new_one() -> None:
    desk = Desk(after(removed_cells=("b",)))
    desk.infer("price")
    desk.routes.follow(desk.routes.view.after(ViewChange(Delta(2, (model(name="new"),)))))  # type: ignore[union-attr]
    desk.infer("price")
    assert len(desk.asked) == 1


def test_a_view_that_was_followed_is_not_kept() -> None:
    class Watched(View):
        """A view without slots, which can be watched."""

    desk = Desk(Watched(VIEW.catalog, VIEW.current, VIEW.previous, VIEW.cells))
    desk.infer("price")
    gone = weakref.ref(desk.routes.view)  # type: ignore[arg-type]
    desk.routes.follow(VIEW)
    gc.collect()
    assert gone() is None


def many_models(count: int) -> View:
    cells = [known.cell for known in VIEW.cells.values()]
    return view([model(name=f"m{n}", versions=(1, 2, 3)) for n in range(count)], VIEW.generations, cells)


def test_only_so_many_routes_are_remembered_and_those_in_use_stay() -> None:
    desk = Desk(many_models(10), remembered=20)
    for n in range(30):
        desk.infer("m0")
        desk.infer(f"m{n % 10}", version=str(1 + n // 10))
        assert len(desk.routes) <= 20
    assert sum((ask.model, ask.version) == ("m0", 0) for _, ask in desk.asked) == 1


def test_every_model_of_the_catalog_has_its_route_remembered() -> None:
    desk = Desk(many_models(100), remembered=20)
    for n in range(300):
        desk.infer(f"m{n % 100}")
    assert len(desk.asked) == len(desk.routes) == 100
    for n in range(300):
        desk.infer(f"m{n % 100}", version=str(1 + n // 100))
        assert len(desk.routes) <= 200


def test_items_of_very_many_fields_together_are_not_read_to_their_end() -> None:
    """A few in each, as an encoder of the next release might write them, are no matter."""
    few = pb.Item(model="churn").SerializeToString() + b"\x78\x01" * 8
    assert len(Desk().routes.items("acme", join_first([few] * 1_024), 1_024)) == 1_024
    many = pb.Item(model="churn").SerializeToString() + b"\x1a\x00" * 1_000
    for read in (Desk().routes.items, lambda tenant, data, most: envelope.read_items(data, most)):
        with pytest.raises(InvalidRequest, match="more than 65,536 fields"):
            read("acme", join_first([many] * 100), 1_024)


# Ramps

TENANTS = [f"tenant-{n}" for n in range(50)]


def test_a_step_of_a_ramp_decides_anew_only_for_the_tenants_that_it_came_to() -> None:
    after = (generation(NAMES[1:], number=2), generation(NAMES))
    found = view([model(tenant) for tenant in TENANTS], after, [known.cell for known in VIEW.cells.values()])
    asked: list[str] = []

    def decided(found: View, tenant: str, ask: Ask) -> Route:
        asked.append(tenant)
        return decide(found, tenant, ask)

    routes, at = Routes(decided, lambda: HALF), 0
    for ramp in (0, 1_000, 1_001, 5_000, 4_000, ALL):
        asked.clear()
        routes.follow(replace(found, ramp=ramp))
        for tenant in TENANTS:
            [unit] = routes.infer(tenant, infer("churn"))
            assert unit.order == route(replace(found, ramp=ramp), tenant, "churn")
        low, high = sorted((at, ramp))
        moved = [tenant for tenant in TENANTS if low <= point(after[0], tenant) < high]
        assert asked == (moved if ramp else TENANTS)
        at = ramp


@given(st.integers(0, 2**32 - 1))
def test_nobody_is_routed_outside_two_hands_whatever_is_edited_and_ramped(seed: int) -> None:
    """And all models of a tenant are dealt by one generation, whatever the ramp."""
    rng = random.Random(seed)
    models = [model(tenant, name) for tenant in EVERYBODY for name in ("churn", "price")]
    routes, found, number = Routes(decide, lambda: HALF), view(models, (any_map(rng),)), 1
    for _ in range(12):
        edit = rng.randrange(4)
        current, previous = found.current, found.previous
        assert current is not None
        if edit == 0:
            # As it was before, under a new number: a rollback; or another map.
            content = rng.choice([*found.generations, any_map(rng)])
            number += 1
            found = replace(found, current=Dealer(replace(content, number=number)), previous=current)
            found = replace(found, ramp=rng.choice((0, 500, ALL)))
        elif edit == 1:
            found = replace(found, previous=None, ramp=ALL)
        elif edit == 2:
            found = found.after(ViewChange(Delta(number, (model(rng.choice(EVERYBODY), versions=(1, 2)),))))
        elif previous is not None:
            found = replace(found, ramp=rng.randrange(ALL + 1))
        routes.follow(found)
        for tenant in EVERYBODY:
            dealers = [dealer for dealer in (found.current, found.previous) if dealer]
            assert found.current is not None
            hand = {*which(found.current, found.previous, found.ramp, tenant).hand(tenant)}
            either = {cell for dealer in dealers for cell in dealer.hand(tenant)}
            for name in ("churn", "price"):
                [unit] = routes.infer(tenant, infer(name))
                assert ({*unit.order[: len(hand)]}, {*unit.order}) == (hand, either)


@pytest.mark.parametrize(("owner", "slot"), [(b"", 0), (b"\x45", 5), (b"\x01\x07\x45", 5 + 64 * 7)])
def test_tenants_are_told_apart_by_the_last_bytes_of_a_hash(owner: bytes, slot: int) -> None:
    desk = Desk()
    plain = desk.decide(VIEW, "acme", Ask("price"))
    desk.routes = Routes(
        lambda *_: Route(plain.model, plain.choices, plain.order, plain.order, owner), lambda: HALF
    )
    desk.routes.follow(VIEW)
    request = inference_pb2.ModelInferRequest(model_name="price").SerializeToString()
    [unit] = desk.routes.infer("acme", request)
    assert unit.slot == slot
