"""When a router says that it is behind, and when it looks for a newer shard map."""

from dataclasses import replace

import pytest
from support.fakes import generation, metric, model, no_change, view

from router.stale import Stale, Waiter
from router.view import View
from router.wheel import Wheel
from version_manager.model.fleet import Cell

NAMES = ["a", "b", "c", "d"]
OLD, NEW = generation(NAMES), generation(NAMES, number=2)
VIEW = view([model()], (OLD,), [Cell(name, "zone-0", f"{name}:1") for name in NAMES])
NEWER = view([model()], (NEW, OLD), held=VIEW)


class Router:
    def __init__(self) -> None:
        self.now, self.looked, self.hears = 1000.0, 0, True
        self.told: list[bool] = []
        self.wheel = Wheel()
        self.stale = Stale(self.wheel, clock=lambda: self.now, seconds=5.0)
        self.stale.attend(self.look, lambda: self.hears, self.told.append)
        self.stale.follow(VIEW)

    def look(self) -> None:
        self.looked += 1

    def refused(self, *cells: str, number: int = 1) -> None:
        again = lambda until: None  # noqa: E731
        waiter = Waiter(self.stale, "acme", number, self.now, again, lambda error: None)
        self.stale.hold(waiter, cells)

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + 0.25)
            self.wheel.advance(self.now)


def test_a_newer_map_is_looked_for_once_it_is_not_just_on_its_way_and_then_once_a_second() -> None:
    router = Router()
    router.refused("a")
    router.now += 0.01
    router.wheel.advance(router.now)
    assert router.looked == 0
    router.wait(0.05)
    assert router.looked == 1
    for _ in range(10):
        router.refused("a")
    router.wait(3)
    assert router.looked == 3


@pytest.mark.parametrize("stays", [VIEW, VIEW.after(no_change(removed_cells=("d",)))])
def test_a_router_without_a_manager_is_behind_once_a_cell_has_refused_its_map_for_long(stays: View) -> None:
    router = Router()
    router.hears = False
    router.refused("a")
    router.wait(4)
    router.stale.follow(stays)
    assert router.told == []
    router.wait(2)
    assert (router.told, metric("croupier_router_behind")) == ([True], 1)
    router.stale.follow(NEWER)
    assert (router.told, metric("croupier_router_behind")) == ([True, False], 0)
    router.wait(60)
    assert router.told == [True, False]


@pytest.mark.parametrize(("cells", "is_behind"), [("a", False), ("ab", True)])
def test_while_it_hears_a_manager_half_of_the_fleet_has_to_say_so(cells: str, is_behind: bool) -> None:
    """A cell that errs takes no router down with it."""
    router = Router()
    router.refused(*cells)
    router.wait(60)
    assert router.stale.is_behind is is_behind


def test_cells_that_refused_an_earlier_map_say_nothing_of_this_one() -> None:
    router = Router()
    router.hears = False
    router.refused("a", "b")
    router.wait(4)
    router.stale.follow(NEWER)
    router.wait(60)
    assert not router.stale.is_behind
    assert len(router.wheel) == 0


def test_a_step_of_a_ramp_is_a_newer_map() -> None:
    router = Router()
    router.stale.follow(NEWER)
    router.refused("a", number=2)
    router.hears = False
    router.wait(10)
    assert router.stale.is_behind
    router.stale.follow(replace(NEWER, ramp=500))
    assert not router.stale.is_behind
