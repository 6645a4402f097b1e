from dataclasses import fields, replace
from typing import Any

import pytest
from support.fakes import generation, model, no_change, view

from router.view import EMPTY, View, ViewChange, delta_refusal, refusal, successor
from sharding.generation import Generation
from version_manager.model.catalog import Catalog, Delta
from version_manager.model.family import Families, Family
from version_manager.model.fleet import Cell, CellState, Load
from version_manager.model.limits import NO_LIMITS, Limits, TenantLimits

CELLS = ["a", "b", "c", "d"]
MAP = generation(CELLS)
FLEET = [Cell(name, "zone-0", f"{name}:1") for name in CELLS]
HELD = view([model(name=f"m{n}") for n in range(40)], (MAP,), FLEET, revision=10)


def names(number: int) -> list[tuple[str, str]]:
    return [("acme", f"m{n}") for n in range(number)]


def test_a_delta_makes_the_next_view_and_leaves_the_old_one() -> None:
    change = ViewChange(Delta.of(11, (model(name="new"),), (("acme", "m0"),)))
    after = HELD.after(change)
    assert (after.catalog.revision, after.catalog.size) == (11, 40)
    assert after.catalog.get("acme", "new").name == "new"
    assert HELD.catalog.get("acme", "m0").name == "m0"
    assert (after.current, after.cells) == (HELD.current, HELD.cells)


# One of each thing that a delta may bring.
BROUGHT: dict[str, Any] = {
    "models": Delta.of(11, (model(name="new"),)),
    "cells": (replace(FLEET[0], address="a:2"),),
    "removed_cells": ("a",),
    "generations": (generation(CELLS[1:], number=2), MAP),
    "ramp": 250,
    "limits": (("acme", Limits(rate=5)),),
    "default_limits": Limits(rows=9),
    "families": ((("", "churn"), Family("churn", 1)),),
}


def test_all_that_a_delta_may_bring_is_tried() -> None:
    assert BROUGHT.keys() == {field.name for field in fields(ViewChange)}


@pytest.mark.parametrize("name", BROUGHT)
def test_whatever_a_delta_brings_makes_another_view(name: str) -> None:
    change = replace(ViewChange(Delta(0)), **{name: BROUGHT[name]})
    after = HELD.after(change)
    assert after is not HELD
    assert after.after(change) is after


def test_a_delta_and_a_snapshot_leave_a_view_what_they_say_nothing_of() -> None:
    families = Families({"churn": Family("churn", 1)})
    held = replace(HELD, thaw=4, limits=TenantLimits(Limits(rate=5)), families=families)
    for after in (
        held.after(ViewChange(BROUGHT["models"])),
        successor(held, HELD.catalog, HELD.generations, FLEET),
        # A snapshot that says the same: what goes by the limits is not made anew.
        successor(held, HELD.catalog, HELD.generations, FLEET, limits=TenantLimits(Limits(rate=5))),
        successor(held, HELD.catalog, HELD.generations, FLEET, families=Families(dict(families.families))),
    ):
        assert after.thaw == 4
        assert after.limits is held.limits
        assert after.families is families


def test_a_delta_takes_away_the_limits_of_a_tenant() -> None:
    held = HELD.after(no_change(limits=(("acme", Limits(rate=5)),), default_limits=Limits(rate=9)))
    assert (held.limits.of("acme").rate, held.limits.of("globex").rate) == (5, 9)
    assert held.after(no_change(limits=(("acme", NO_LIMITS),))).limits.of("acme").rate == 9
    assert held.after(no_change(default_limits=NO_LIMITS)).limits.of("globex") == NO_LIMITS


def test_a_delta_takes_away_a_family() -> None:
    held = HELD.after(no_change(families=((("", "churn"), Family("churn", 1)),)))
    assert held.families.of("acme", "churn") == Family("churn", 1)
    assert held.after(no_change(families=((("", "churn"), Family("churn", 1)),))) is held
    assert held.after(no_change(families=((("", "churn"), None),))).families == Families()


def test_a_delta_that_is_not_newer_changes_nothing() -> None:
    assert HELD.after(ViewChange(Delta.of(10, (model(name="new"),)))) is HELD


def test_a_load_report_changes_nothing() -> None:
    loaded = replace(FLEET[0], load=Load(used_bytes=5))
    assert HELD.after(no_change(cells=(loaded,))) is HELD


def test_a_cell_that_moves_or_drains_is_seen() -> None:
    moved, drains = replace(FLEET[0], address="a:2"), replace(FLEET[1], state=CellState.DRAINING)
    after = HELD.after(no_change(cells=(moved, drains)))
    assert after.cells["a"].cell.address == "a:2"
    assert after.cells["b"].cell.state is CellState.DRAINING


def test_a_removed_cell_is_departed_with_its_address_and_may_come_back() -> None:
    after = HELD.after(no_change(removed_cells=("a", "never heard of")))
    assert after.cells["a"].departed
    assert after.cells["a"].cell.address == "a:1"
    assert after.cells.keys() == set(CELLS)
    assert after.after(no_change(removed_cells=("a",))) is after
    assert after.after(no_change(cells=(FLEET[0],))).cells == HELD.cells


def test_a_departed_cell_is_dropped_once_no_shard_map_seats_it() -> None:
    departed = HELD.after(no_change(removed_cells=("a",)))
    second, third = generation(CELLS[1:], number=2), generation(CELLS[1:], number=3)
    assert "a" in departed.after(no_change(generations=(second, MAP))).cells
    assert "a" not in departed.after(no_change(generations=(third, second))).cells


def test_a_new_generation_keeps_the_hands_of_the_one_before() -> None:
    second = generation(CELLS[1:], number=2)
    after = HELD.after(no_change(generations=(second, MAP)))
    assert after.generations == (second, MAP)
    assert after.previous is HELD.current


def test_cells_that_a_snapshot_lacks_are_departed() -> None:
    after = view(list(HELD.catalog), (MAP,), FLEET[1:], revision=11, held=HELD)
    assert {name for name, known in after.cells.items() if known.departed} == {"a"}
    assert after.current is HELD.current
    none_left = view(list(HELD.catalog), (MAP,), (), revision=11, held=HELD)
    assert all(known.departed for known in none_left.cells.values())
    assert none_left.cells.keys() == set(CELLS)


def test_a_first_catalog_is_taken_as_it_is() -> None:
    assert refusal(EMPTY, view()) == ""
    assert refusal(EMPTY, HELD) == ""


def test_a_like_catalog_is_taken_whatever_its_name() -> None:
    models = list(HELD.catalog)
    assert refusal(HELD, view(models, (MAP,), revision=10)) == ""
    assert refusal(HELD, view(models[:30], (MAP,), revision=11)) == ""
    assert refusal(HELD, view(models, (MAP,), revision=3, catalog="restored")) == ""


def test_an_older_revision_is_refused() -> None:
    assert refusal(HELD, view(list(HELD.catalog), (MAP,), revision=9)) == "it is older than what is held"


def test_a_catalog_without_its_shard_map_is_refused() -> None:
    assert refusal(HELD, view(list(HELD.catalog), (), revision=11)) == "it has no shard map"


def test_a_shrunken_catalog_is_refused() -> None:
    models = list(HELD.catalog)
    assert refusal(HELD, view(models[:19], (MAP,), revision=11)) == "it lost 21 of 40 models"
    assert refusal(HELD, view(models[:20], (MAP,), revision=11)) == ""
    assert refusal(HELD, view([], (MAP,), revision=11)) == "it lost 40 of 40 models"
    assert refusal(HELD, view([], (), revision=1, catalog="wiped")) == "it has no shard map"


def test_the_last_few_models_may_go_only_in_the_same_catalog_further_on() -> None:
    few = view([model()], (MAP,), revision=10)
    assert refusal(few, view([], (MAP,), revision=11)) == ""
    assert refusal(few, view([], (MAP,), revision=10)) == "it is empty"
    assert refusal(few, view([], (MAP,), revision=11, catalog="other")) == "it is empty"
    without_map = view([model()], (), revision=10)
    assert refusal(without_map, view([], (), revision=5, catalog="wiped")) == "it is empty"


def test_a_delta_may_remove_a_few_models_but_not_most() -> None:
    few = view([model()], (MAP,), revision=10)
    assert delta_refusal(few, few.after(ViewChange(Delta.of(11, (), (("acme", "churn"),))))) == ""
    assert delta_refusal(HELD, HELD.after(ViewChange(Delta.of(11, (), tuple(names(20)))))) == ""
    gone = HELD.after(ViewChange(Delta.of(11, (), tuple(names(21)))))
    assert delta_refusal(HELD, gone) == "it lost 21 of 40 models"


def test_after_a_later_thaw_everything_may_be_lost_but_the_shard_map() -> None:
    def thawed(number: int | None, generations: tuple[Generation, ...] = (MAP,), revision: int = 5) -> View:
        return successor(EMPTY, Catalog.build("restored", revision, []), generations, FLEET, number)

    assert refusal(HELD, thawed(0)) == "it is empty"
    assert refusal(HELD, thawed(1)) == ""
    assert refusal(HELD, thawed(1, ())) == "it has no shard map"
    assert refusal(HELD, thawed(1, (replace(MAP, seed=8),))).startswith("it deals by seed 8")
    held = successor(HELD, thawed(1).catalog, (MAP,), FLEET, 1)
    assert held.after(no_change(cells=(replace(FLEET[0], address="a:9"),))).thaw == 1
    # A manager that lags behind, or another backup.
    assert refusal(held, HELD) == "it is from before the thaw that is held"
    # One of the release before, which knows of no thaws.
    assert successor(held, held.catalog, (MAP,), FLEET).thaw == 1


def test_another_seed_is_refused_unless_it_was_changed_on_purpose() -> None:
    models = list(HELD.catalog)
    mistaken = replace(MAP, number=2, seed=8)
    problem = "it deals by seed 8, and the held shard map by 7"
    assert refusal(HELD, view(models, (mistaken, MAP), revision=11)) == problem
    assert refusal(HELD, view(models, (mistaken,), revision=11, catalog="other")) == problem
    assert delta_refusal(HELD, HELD.after(no_change(generations=(mistaken, MAP)))) == problem

    meant = replace(mistaken, seed_since=2)
    reseeded = HELD.after(no_change(generations=(meant, MAP)))
    assert delta_refusal(HELD, reseeded) == ""
    assert refusal(HELD, reseeded) == ""
    # A manager that lags behind, or a backup, has the old one still.
    back = view(models, (replace(MAP, number=3),), revision=12)
    assert refusal(reseeded, back) == "it deals by seed 7, and the held shard map by 8"
