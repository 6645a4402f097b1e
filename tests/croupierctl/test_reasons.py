"""Explanations say what the router would do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.errors import InvalidRequest, NotFound
from croupierctl.reasons import explain
from router.breakers import Breakers
from router.pick import pick
from router.route import NoShardMap, route
from router.view import EMPTY, successor
from sharding.generation import Generation, Seat
from version_manager.model.catalog import Catalog
from version_manager.model.fleet import Cell, CellState
from version_manager.model.release import Model, Release, Split, Version
from version_manager.model.resolve import Ask, resolve

VERSIONS = {number: Version(number, bytes([number]) * 32, 1000 * number, "onnx") for number in (1, 2)}
RELEASE = Release(5, (Split(1, 9000), Split(2, 1000)), {"new": 2})
SEATS = tuple(Seat(f"cell-{n}", f"zone-{'abcd'[n % 4]}") for n in range(8))
CELLS = {seat.cell: Cell(seat.cell, seat.zone, f"10.0.0.1:{n}") for n, seat in enumerate(SEATS)}


def world(release=RELEASE, sizes=(3,), cells=CELLS):
    """Generations from the active one back, with hands of `sizes`."""
    model = Model("acme", "churn", VERSIONS, release)
    generations = tuple(Generation(len(sizes) - n, 7, size, SEATS) for n, size in enumerate(sizes))
    return successor(EMPTY, Catalog.build("", 0, [model]), generations, cells.values())


def decisions(view, **ask):
    return explain(view, "acme", Ask("churn", **ask))


def about(found, kind):
    return [decision for decision in found if decision.about == kind]


def with_state(view_cells, name, state):
    cell = view_cells[name]
    return {**view_cells, name: Cell(cell.id, cell.zone, cell.address, state=state)}


@given(st.text("abcdefgh0123456789", min_size=1))
def test_a_keys_version_is_the_routers(key):
    view = world()
    found = decisions(view, key=key)
    (choice,) = about(found, "version")
    expected = resolve(view.catalog, "acme", Ask("churn", key=key), 0)
    assert choice.facts["version"] == expected.version
    (artifact,) = about(found, "artifact")
    assert artifact.facts["artifact"] == expected.artifact
    low, high = (0, 8999) if expected.version == 1 else (9000, 9999)
    assert low <= choice.facts["point"] <= high
    assert f"points {low:,} to {high:,} are version {expected.version}'s" in choice.words


def test_an_exact_version():
    (choice,) = about(decisions(world(), version=2), "version")
    assert choice.facts == {"version": 2, "rule": "exact"}


def test_a_label():
    (choice,) = about(decisions(world(), label="new"), "version")
    assert choice.words == "label new is on version 2"


def test_without_a_key_every_version_of_the_split_is_told():
    found = decisions(world())
    assert "at random" in about(found, "version")[0].words
    first, second = about(found, "artifact")
    assert first.words.startswith("90 %: version 1 is 010101010101… (onnx, 1,000 bytes)")
    assert second.words.startswith("10 %: version 2")


def test_all_traffic_on_one_version():
    found = decisions(world(Release(1, (Split(2, 10_000),))))
    assert about(found, "version")[0].words == "all traffic goes to version 2"
    assert len(about(found, "artifact")) == 1


def test_the_release_is_told():
    (release,) = about(decisions(world()), "release")
    expected = "release 5: of every 10,000 requests version 1 gets 9,000, version 2 gets 1,000"
    assert release.words == f"{expected}; label new is on version 2"


def test_a_model_without_a_release_serves_exact_versions():
    view = world(None)
    assert "only exact versions" in about(decisions(view, version=1), "release")[0].words
    with pytest.raises(NotFound):
        decisions(view)


def test_the_hand_and_its_order_are_the_routers():
    view = world()
    found = decisions(view)
    assert about(found, "hand")[0].facts["cells"] == list(view.current.hand("acme"))
    assert about(found, "order")[0].facts["cells"] == list(route(view, "acme", "churn"))
    order = pick(route(view, "acme", "churn"), view.cells, Breakers(), 0.0)
    cells = about(found, "cell")
    assert [cell.facts["cell"] for cell in cells] == list(order)
    assert [cell.facts["asked"] for cell in cells] == [True, False, False]
    assert cells[0].words.endswith("is asked now: the first of the order")
    assert cells[1].words.endswith(f"is asked if {order[0]} fails")


def test_a_draining_cell_comes_after_the_active_ones():
    first, second, third = route(world(), "acme", "churn")
    found = about(decisions(world(cells=with_state(CELLS, first, CellState.DRAINING))), "cell")
    assert [cell.facts["cell"] for cell in found] == [second, third, first]
    assert found[0].words.endswith(f"now: the first that can be, after {first}")
    assert "it is draining" in found[2].words


def test_a_cell_that_is_not_registered_is_not_asked():
    first, second, third = route(world(), "acme", "churn")
    rest = {name: cell for name, cell in CELLS.items() if name != first}
    found = about(decisions(world(cells=rest)), "cell")
    assert [cell.facts["cell"] for cell in found] == [second, third, first]
    assert found[2].words == f"{first} is not asked: it is not registered, so it has no address"


def test_no_cell_is_left():
    found = about(decisions(world(cells={})), "cell")
    assert "UNAVAILABLE" in found[0].words
    assert len(found) == 4


def test_only_draining_cells_are_left():
    states = CELLS
    for name in CELLS:
        states = with_state(states, name, CellState.DRAINING)
    assert "though draining" in about(decisions(world(cells=states)), "cell")[0].words


def test_the_previous_hand_stands_behind():
    view = world(sizes=(2, 4))
    found = decisions(view)
    (previous,) = about(found, "previous hand")
    gone = [cell for cell in view.previous.hand("acme") if cell not in view.current.hand("acme")]
    assert f"generation 1 dealt {', '.join(gone)} as well" in previous.words
    last = about(found, "cell")[-1]
    assert last.facts["cell"] in gone
    assert last.words.endswith("it is of the previous hand alone")


def test_the_same_hand_before():
    (previous,) = about(decisions(world(sizes=(3, 3))), "previous hand")
    assert previous.words == "generation 1 dealt the same cells"


def test_what_the_router_refuses_is_refused():
    with pytest.raises(NotFound):
        explain(world(), "acme", Ask("nothing"))
    with pytest.raises(NotFound):
        decisions(world(), label="old")
    with pytest.raises(InvalidRequest):
        decisions(world(), label="new", version=1)
    with pytest.raises(NoShardMap):
        decisions(world(sizes=()))
