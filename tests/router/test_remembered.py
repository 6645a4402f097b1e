"""What remembered routes take is bounded, and no tenant takes what is another's."""

import gc
import tracemalloc
from random import Random

import pytest
from support.fakes import model, view
from support.routes import VIEW, Desk

from croupier.errors import NotFound
from protos.prediction.v1 import prediction_pb2 as pb
from router.families import Wanted
from router.remembered import BYTES_OF_MODEL
from router.view import View, ViewChange
from version_manager.model.catalog import Delta
from version_manager.model.family import Family, LogRule
from version_manager.model.release import Model
from version_manager.model.resolve import Ask

VERSIONS = tuple(range(1, 41))
# Room for some hundred routes.
LEAST = 64 * 1_024


def of(models: list[Model]) -> View:
    return view(models, VIEW.generations, [known.cell for known in VIEW.cells.values()])


def many(count: int, tenant: str = "acme", versions: tuple[int, ...] = (1,), name: str = "m") -> list[Model]:
    return [model(tenant, f"{name}{n}", versions, labels={"a-label": 1}) for n in range(count)]


def test_every_model_of_the_catalog_has_its_route_remembered() -> None:
    """Whatever is asked for beside them, there is no more than fits them."""
    desk = Desk(of(many(1_000, versions=VERSIONS)), least=0)
    for _ in range(2):
        for n in range(1_000):
            desk.infer(f"m{n}")
    assert len(desk.asked) == len(desk.routes) == 1_000
    for n in range(5_000):
        desk.infer(f"m{n % 1_000}", version=str(1 + n % 40))
        assert desk.routes.remembered.taken <= 1_000 * BYTES_OF_MODEL
    assert len(desk.routes) > 900


def test_those_in_use_stay() -> None:
    desk = Desk(of(many(10, versions=VERSIONS)), least=LEAST)
    for n in range(2_000):
        desk.infer("m0")
        desk.infer(f"m{n % 10}", version=str(1 + n % 40))
        desk.infer(f"m{n % 10}", version=str(1 + n % 40), label="") if n % 7 == 0 else desk.items(
            pb.Item(model=f"m{n % 10}", version=1 + n // 10 % 40)
        )
        assert desk.routes.remembered.taken <= LEAST
    assert sum((ask.model, ask.version) == ("m0", 0) for _, ask in desk.asked) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_tenant_that_asks_for_all_it_can_takes_no_route_of_another(seed: int) -> None:
    """Versions, labels, and both ways to ask for each: many times what is its share."""
    rng = Random(seed)
    others = [f"tenant-{n}" for n in range(20)]
    models = [one for tenant in others for one in many(5, tenant)]
    desk = Desk(of([*models, *many(100, "evil", VERSIONS)]), least=0)
    for one in models:
        desk.infer(one.name, tenant=one.tenant)
    desk.asked.clear()
    for _ in range(6_000):
        name, version = f"m{rng.randrange(100)}", rng.choice(VERSIONS)
        if rng.random() < 0.5:
            desk.infer(name, tenant="evil", version=str(version))
        else:
            desk.items(
                pb.Item(model=name, label="a-label"), pb.Item(model=name, version=version), tenant="evil"
            )
        assert desk.routes.remembered.taken <= 200 * BYTES_OF_MODEL
    assert len({ask for _, ask in desk.asked}) > 3_000
    desk.asked.clear()
    for one in models:
        desk.infer(one.name, tenant=one.tenant)
    assert desk.asked == []


def test_a_tenant_within_its_share_comes_in_when_there_is_no_room() -> None:
    desk = Desk(of([*many(100, "late"), *many(100, "evil", VERSIONS)]), least=0)
    for n in range(4_000):
        desk.infer(f"m{n % 100}", tenant="evil", version=str(1 + n // 100))
    full = desk.routes.remembered.taken
    for _ in range(2):
        desk.asked.clear()
        for n in range(100):
            desk.infer(f"m{n}", tenant="late")
    assert desk.asked == []
    # What was another's beyond its share has gone for it.
    assert desk.routes.remembered.taken <= full + 10_000


def test_what_is_not_in_the_catalog_any_more_goes_first() -> None:
    found = of([*many(100, "gone"), *many(50, "stays")])
    desk = Desk(found, least=50 * BYTES_OF_MODEL)
    for one in found.catalog:
        desk.infer(one.name, tenant=one.tenant)
    gone = tuple(("gone", f"m{n}") for n in range(100))
    left = found.after(ViewChange(Delta.of(2, tuple(many(50, "comes", name="n")), gone)))
    desk.routes.follow(left)
    with pytest.raises(NotFound):
        desk.infer("m0", tenant="gone")
    for _ in range(3):
        desk.asked.clear()
        for one in left.catalog:
            desk.infer(one.name, tenant=one.tenant)
    assert desk.asked == []
    assert desk.routes.remembered.taken <= 100 * BYTES_OF_MODEL


@pytest.mark.parametrize("split", [False, True])
def test_bytes_are_counted_as_they_are_taken(split: bool) -> None:
    shares = [(version, 1_000) for version in range(1, 11)] if split else []
    names = [f"a-model-of-some-name-{n}" for n in range(3_000)]
    found = of(
        [model(f"tenant-{n % 30}", name, (*range(1, 11),), splits=shares) for n, name in enumerate(names)]
    )
    desk = Desk(found)
    for n in range(30):
        desk.infer(names[n], tenant=f"tenant-{n}")
    counted = desk.routes.remembered.taken
    tracemalloc.start()
    for n, name in enumerate(names):
        desk.infer(name, tenant=f"tenant-{n % 30}")
        desk.asked.clear()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    counted = desk.routes.remembered.taken - counted
    # Orders are shared here, and nothing was counted where requests are.
    assert 0.6 * counted < taken < counted


def test_what_records_of_a_request_say_alike_is_counted() -> None:
    rule = LogRule(1.0, {})

    def taken(log: LogRule | None) -> int:
        wanted = Wanted(Family("churn", 1, log=log), None)
        desk = Desk(family=wanted)
        desk.infer("price")
        return desk.routes.remembered.taken

    assert taken(rule) > taken(None) + 100


def test_nothing_of_it_is_looked_at_by_the_collector() -> None:
    desk = Desk(of(many(300)))
    desk.infer("m0")
    gc.collect()
    before = len(gc.get_objects())
    for n in range(300):
        desk.infer(f"m{n}")
    desk.asked.clear()
    gc.collect()
    assert len(gc.get_objects()) - before < 30
    assert not gc.is_tracked(desk.decide(VIEW, "acme", Ask("price")))
