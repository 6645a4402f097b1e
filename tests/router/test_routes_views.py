"""Which remembered routes outlive a view that changes."""

import gc
import random
import weakref
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import generation, model, no_change, view
from support.generations import EVERYBODY, any_map
from support.routes import HALF, NAMES, VIEW, Desk, infer

from protos.inference.v2 import inference_pb2
from router.families import Wanted
from router.pipeline import decide
from router.remembered import Route
from router.route import route
from router.routes import Routes
from router.view import View, ViewChange
from sharding.dealer import Dealer
from sharding.ramp import WHOLE as ALL
from sharding.ramp import point, which
from version_manager.model.catalog import Delta, UnknownModel
from version_manager.model.family import Family
from version_manager.model.fleet import Cell, CellState
from version_manager.model.resolve import Ask


def after(**parts: Any) -> View:
    return VIEW.after(no_change(**parts))


def test_a_view_that_changes_another_model_changes_no_route() -> None:
    desk = Desk()
    desk.infer("price")
    desk.infer("secret", tenant="globex")
    changed = model(name="price", versions=(1, 2), splits=((2, 10_000),))
    desk.routes.follow(VIEW.after(ViewChange(Delta.of(2, (changed,)))))
    assert desk.infer("secret", tenant="globex").target.version == 1
    assert len(desk.asked) == 2
    assert desk.infer("price").target.version == 2
    assert len(desk.asked) == 3


def test_a_model_that_is_removed_is_gone() -> None:
    desk = Desk()
    desk.infer("price")
    desk.routes.follow(VIEW.after(ViewChange(Delta.of(2, (), (("acme", "price"),)))))
    with pytest.raises(UnknownModel):
        desk.infer("price")


@pytest.mark.parametrize(
    "changed",
    [
        after(cells=(Cell("a", "zone-0", "a:1", state=CellState.DRAINING),)),
        after(removed_cells=("b",)),
        after(generations=(generation(NAMES[1:], number=2), generation(NAMES))),
        replace(VIEW, previous=Dealer(generation(["e"], number=0))),
    ],
)
def test_new_hands_and_cells_that_stand_otherwise_make_new_routes(changed: View) -> None:
    desk = Desk()
    desk.infer("price")
    desk.routes.follow(changed)
    for _ in range(2):
        assert desk.infer("price").order == route(changed, "acme", "price")
        assert len(desk.asked) == 2
    assert len(desk.routes) == 1


@pytest.mark.parametrize(
    ("changed", "number"),
    [
        (after(cells=(Cell("a", "zone-0", "elsewhere:1"),)), 1),
        (after(cells=(Cell("new", "zone-0", "new:1"),)), 1),
        (replace(VIEW, previous=VIEW.current), 1),
        (after(generations=(generation(NAMES, number=2), generation(NAMES))), 2),
    ],
)
def test_routes_outlive_maps_that_deal_the_same_cells(changed: View, number: int) -> None:
    """The number of the generation is said of each request all the same."""
    desk = Desk()
    before = desk.infer("price")
    desk.routes.follow(changed)
    unit = desk.infer("price")
    assert (len(desk.asked), unit.generation, before.generation) == (1, number, 1)
    for one, said in ((before, 1), (unit, number)):
        assert inference_pb2.ModelInferRequest.FromString(one.payload).generation == said


def test_a_map_makes_routes_anew_for_those_tenants_alone_whose_hands_it_changes() -> None:
    """Nothing is forgotten when it comes, which would take long for very many."""
    cells = [Cell(name, "zone-0", f"{name}:1") for name in "abcdefgh"]
    found = view([model(tenant) for tenant in TENANTS], (generation("abcdefgh", hand_size=2),), cells)
    desk = Desk(found)
    for tenant in TENANTS:
        desk.infer(tenant=tenant)
    desk.asked.clear()
    fewer = generation("abcdefg", hand_size=2, number=2)
    assert found.current is not None
    desk.routes.follow(found.after(no_change(generations=(fewer, found.current.generation))))
    assert len(desk.routes) == len(TENANTS)
    for tenant in TENANTS * 2:
        assert desk.infer(tenant=tenant).generation == 2
    moved = [(tenant, Ask("churn")) for tenant in TENANTS if "h" in found.current.hand(tenant)]
    assert desk.asked == moved
    assert 0 < len(moved) < len(TENANTS)


def test_a_family_makes_routes_anew_for_its_models_alone() -> None:
    wants: dict[str, Any] = {}
    desk = Desk(wanted=lambda view, tenant, name: wants.get(name))
    desk.infer()
    desk.infer("price")
    wants["churn"] = Wanted(Family("churn", 1), None)
    desk.routes.follow(VIEW.after(no_change()))
    desk.infer()
    assert len(desk.asked) == 2
    family = Family("churn", 1)
    desk.routes.follow(VIEW.after(no_change(families=((family.key, family),))))
    for _ in range(2):
        desk.infer()
        desk.infer("price")
    assert [ask.model for _, ask in desk.asked] == ["churn", "price", "churn"]


def test_a_departed_cell_does_not_make_every_view_a_new_one() -> None:
    desk = Desk(after(removed_cells=("b",)))
    desk.infer("price")
    desk.routes.follow(desk.routes.view.after(ViewChange(Delta.of(2, (model(name="new"),)))))  # type: ignore[union-attr]
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


# Ramps

TENANTS = [f"tenant-{n}" for n in range(50)]


def test_a_step_of_a_ramp_decides_anew_only_for_the_tenants_that_it_came_to() -> None:
    after = (generation(NAMES[1:], number=2), generation(NAMES))
    found = view([model(tenant) for tenant in TENANTS], after, [known.cell for known in VIEW.cells.values()])
    asked: list[str] = []

    def decided(found: View, tenant: str, ask: Ask) -> Route:
        asked.append(tenant)
        return decide(found, tenant, ask)

    routes, at, new, old = Routes(decided, lambda: HALF), 0, Dealer(after[0]), Dealer(after[1])
    for ramp in (0, 1_000, 1_001, 5_000, 4_000, ALL):
        asked.clear()
        routes.follow(replace(found, ramp=ramp))
        for tenant in TENANTS:
            [unit] = routes.infer(tenant, infer("churn"))
            assert unit.order == route(replace(found, ramp=ramp), tenant, "churn")
        low, high = sorted((at, ramp))
        moved = [
            tenant
            for tenant in TENANTS
            if low <= point(after[0], tenant) < high and {*new.hand(tenant)} != {*old.hand(tenant)}
        ]
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
            found = found.after(
                ViewChange(Delta.of(number, (model(rng.choice(EVERYBODY), versions=(1, 2)),)))
            )
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
