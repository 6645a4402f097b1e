import math
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
from support.fakes import delta_event, generation, metric, model, no_change, view

from protos.versions.v1 import versions_pb2 as pb
from router.events import Assembly, BrokenWatch, change_of, events_of, parts, view_of
from router.view import EMPTY, View, ViewChange
from sharding.dealer import Dealer
from version_manager.model.catalog import Delta
from version_manager.model.family import Families, Family, FeatureSpec, LogRule
from version_manager.model.fleet import Cell
from version_manager.model.limits import NO_LIMITS, UNLIMITED, Limits, TenantLimits

MAP = generation(["a", "b"])
FLEET = (Cell("a", "zone-0", "a:1"), Cell("b", "zone-1", "b:1"))
VIEW = view([model(name=f"m{n}") for n in range(1_100)], (MAP,), FLEET, revision=5)
LIMITS = TenantLimits(Limits(rows=9), {"acme": Limits(rate=5, bytes=UNLIMITED)})
CHURN = Family(
    "churn",
    3,
    features=(FeatureSpec("age", low=0.0), FeatureSpec("plan", "text", "store", "accounts", default="free")),
    log=LogRule(0.5, {"age": "hash"}),
)
OWN = replace(CHURN, number=1, tenant="acme", log=None)
FAMILIES = Families({"churn": CHURN}, {OWN.key: OWN})
BAD = "croupier_router_bad_records_total"


def assembled(events: Iterator[pb.WatchEvent], held: View = EMPTY) -> View:
    assembly = Assembly(next(events).begin)
    for event in events:
        if event.HasField("end"):
            return assembly.finish(event.end, held)
        assembly.add(event.chunk)
    raise AssertionError("no end")


def same(left: View, right: View) -> bool:
    return all(_told(left, field.name) == _told(right, field.name) for field in fields(View))


def _told(view: View, name: str) -> object:
    found = getattr(view, name)
    return found.generation if isinstance(found, Dealer) else found


def test_a_view_survives_its_events() -> None:
    assert same(view_of(events_of(VIEW)), VIEW)
    spoken = VIEW.after(no_change(cells=(Cell("a", "zone-0", "a:1", protocol=2),)))
    assert view_of(events_of(spoken)).cells["a"].cell.protocol == 2
    departed = VIEW.after(no_change(removed_cells=("a",)))
    assert departed.cells["a"].departed
    assert same(view_of(events_of(departed)), departed)
    assert same(view_of(events_of(EMPTY)), EMPTY)


def test_a_view_survives_its_events_in_all_that_it_has() -> None:
    full = replace(VIEW.after(no_change(generations=(generation(["b"], number=2), MAP))), thaw=3, ramp=250)
    full = replace(full, limits=LIMITS, families=FAMILIES)
    assert [name for name in _names(View) if getattr(full, name) == getattr(EMPTY, name)] == []
    assert same(view_of(events_of(full)), full)


def _names(one: type[Any]) -> list[str]:
    return [field.name for field in fields(one)]


def test_models_come_in_chunks() -> None:
    sizes = [len(event.chunk.models) for event in events_of(VIEW) if event.HasField("chunk")]
    assert sizes == [0, 0, 500, 500, 100]


def test_limits_come_in_chunks_and_in_parts() -> None:
    many = TenantLimits(Limits(rows=9), {f"tenant-{n}": Limits(rate=n + 1) for n in range(1_100)})
    chunks = [event.chunk for event in events_of(replace(VIEW, limits=many)) if event.HasField("chunk")]
    assert [len(chunk.limits) for chunk in chunks if not chunk.models] == [0, 0, 500, 500, 100]
    assert max(len(part.limits) for chunk in chunks for part in parts(chunk)) == 20
    begin = pb.WatchEvent.Begin()
    assembly = Assembly(begin)
    for chunk in chunks:
        for part in parts(chunk):
            assembly.add(part)
    assert assembly.finish(pb.WatchEvent.End(models=1_100), EMPTY).limits == many


def test_a_manager_that_knows_of_no_limits_takes_none_away() -> None:
    """One of the release before, which the router came to by failover."""
    held = replace(VIEW, limits=LIMITS)
    events = [event for event in events_of(VIEW) if not event.chunk.HasField("default_limits")]
    assert assembled(iter(events), held).limits is LIMITS
    # One that knows, and has none, does.
    assert assembled(events_of(VIEW), held).limits == TenantLimits()


def test_bad_limits_are_left_out_and_the_held_ones_kept() -> None:
    before = metric(BAD)
    held = replace(VIEW, limits=LIMITS)
    wrong = TenantLimits(Limits(rate=7), {"acme": Limits(rate=-1), "globex": Limits(rate=6)})
    found = assembled(events_of(replace(VIEW, limits=wrong)), held).limits
    assert found == TenantLimits(Limits(rate=7), {"acme": LIMITS.tenants["acme"], "globex": Limits(rate=6)})
    wrong = TenantLimits(Limits(rate=math.nan))
    assert assembled(events_of(replace(VIEW, limits=wrong)), held).limits == TenantLimits(LIMITS.default)
    told = (("acme", Limits(in_flight=0.5)), ("../x", Limits(rate=5)), ("initech", Limits(rate=5)))
    event = delta_event(no_change(limits=told, default_limits=Limits(rate=0)))
    after = held.after(change_of(event.delta)).limits
    assert after == LIMITS.after({"initech": Limits(rate=5)})
    assert metric(BAD) == before + 5


def test_families_come_one_by_one() -> None:
    chunks = [event.chunk for event in events_of(replace(VIEW, families=FAMILIES)) if event.HasField("chunk")]
    assert [len(chunk.families) for chunk in chunks if not chunk.models] == [0, 0, 1, 1]
    whole = pb.WatchEvent.Chunk()
    for chunk in chunks:
        whole.MergeFrom(chunk)
    pieces = list(parts(whole))
    assert max(len(part.families) for part in pieces) == 1
    assembly = Assembly(pb.WatchEvent.Begin())
    for part in pieces:
        assembly.add(part)
    assert assembly.finish(pb.WatchEvent.End(models=1_100), EMPTY).families == FAMILIES


def test_a_manager_that_knows_of_no_families_takes_none_away() -> None:
    """One of the release before, which the router came to by failover."""
    held = replace(VIEW, families=FAMILIES)
    events = list(events_of(VIEW))
    for event in events:
        event.chunk.ClearField("knows_families") if event.HasField("chunk") else None
    assert assembled(iter(events), held).families is FAMILIES
    # One that knows, and has none, does.
    assert assembled(events_of(VIEW), held).families == Families()
    assert assembled(events_of(held), held).families is FAMILIES


def test_bad_families_are_left_out_and_the_held_ones_kept() -> None:
    before = metric(BAD)
    held = replace(VIEW, families=FAMILIES)
    wrong, new = replace(CHURN, number=4, store_failure="ignore"), Family("fraud", 1)
    stray = replace(OWN, number=0, tenant="globex")
    told = Families({"churn": wrong, "fraud": new}, {stray.key: stray})
    found = assembled(events_of(replace(VIEW, families=told)), held).families
    assert found == Families({"churn": CHURN, "fraud": new})
    bad = (((("", "churn")), wrong), (("../x", "churn"), None), (("", ""), None), (OWN.key, None))
    after = held.after(change_of(delta_event(no_change(families=bad)).delta)).families
    assert after == Families({"churn": CHURN})
    assert metric(BAD) == before + 5


def test_a_chunk_in_parts_says_the_same_in_small_pieces() -> None:
    for event in events_of(VIEW):
        if event.HasField("chunk"):
            pieces = list(parts(event.chunk))
            whole = pb.WatchEvent.Chunk()
            for piece in pieces:
                assert len(piece.models) <= 20
                whole.MergeFrom(piece)
            assert whole == event.chunk
    assert list(parts(pb.WatchEvent.Chunk())) == [pb.WatchEvent.Chunk()]


def test_a_change_survives_its_event() -> None:
    limits = (("acme", Limits(rate=5, rows=UNLIMITED)), ("globex", NO_LIMITS))
    change = ViewChange(
        Delta.of(7, (model(),), (("acme", "old"),)),
        FLEET,
        ("c",),
        (MAP,),
        250,
        limits,
        Limits(in_flight=3),
        ((CHURN.key, CHURN), (("acme", "fraud"), None)),
    )
    assert [name for name in _names(ViewChange) if not getattr(change, name)] == []
    assert change_of(delta_event(change).delta) == change


def test_a_snapshot_with_a_missing_chunk_is_broken() -> None:
    events = list(events_of(VIEW))
    del events[3]
    with pytest.raises(BrokenWatch, match="600 of 1100 models"):
        view_of(events)
    with pytest.raises(BrokenWatch, match="no whole snapshot"):
        view_of(events[:-1])
    with pytest.raises(BrokenWatch, match="no whole snapshot"):
        view_of([])


def test_bad_records_are_left_out_and_counted() -> None:
    before = metric(BAD)
    events = list(events_of(view([model(), model(name="bad")], (MAP,), FLEET)))
    for message in events[3].chunk.models:
        if message.name == "bad":
            message.release.splits[0].basis_points = 1
    events[1].chunk.cells[0].state = "dancing"
    found = view_of(events)
    assert [known.name for known in found.catalog] == ["churn"]
    assert list(found.cells) == ["b"]
    assert metric(BAD) == before + 2


def test_bad_records_never_replace_good_ones() -> None:
    held = view([model(), model(name="bad")], (MAP,), FLEET)
    events = list(events_of(held))
    for message in events[3].chunk.models:
        if message.name == "bad":
            message.release.splits[0].version = 99
    events[1].chunk.generations[0].hand_size = 0
    found = assembled(iter(events), held)
    assert found.catalog.get("acme", "bad") == held.catalog.get("acme", "bad")
    assert found.current is held.current


def test_bad_records_of_a_delta_change_nothing() -> None:
    held = view([model()], (MAP,), FLEET)
    second = generation(["a"], number=2)
    event = delta_event(ViewChange(Delta.of(2, (model(versions=(2,)),)), FLEET, (), (second, MAP)))
    event.delta.models[0].release.splits[0].basis_points = 9
    event.delta.generations[0].seats[0].weight = -1
    after = held.after(change_of(event.delta))
    assert after.catalog.get("acme", "churn") == model()
    assert after.generations == (MAP,)
