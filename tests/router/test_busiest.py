"""Who is counted: those who ask for most, whatever the others are, and as soon as they do."""

from random import Random

import pytest
from support.tallies_twin import routes_of, unit_of

from router.busiest import PERIOD, Busiest
from router.tallies import Table, Tallies


class World:
    """A table of tenants, and who asks how often in a second; seconds pass by hand."""

    def __init__(self, room: int) -> None:
        self.now, self.rng = 0.0, Random(3)
        self.table = Table(room, lambda: self.now, seed=9)
        self.busiest = Busiest(self.table, now=0.0)
        other = Table(1, lambda: self.now, seed=9)
        Busiest(other, now=0.0)
        self.tallies = Tallies(self.table, other, slow_seconds=1.0)

    def pass_seconds(self, seconds: int, rates: dict[str, int]) -> None:
        for _ in range(seconds):
            asked = [name for name, rate in rates.items() for _ in range(rate)]
            self.rng.shuffle(asked)
            for name in asked:
                self.tallies.refused(name, 0, 0.001)
            self.now += 1.0
            self.busiest.settle(self.now)

    def counted(self) -> set[str]:
        return set(self.table.names)


def many(count: int, rate: int = 1) -> dict[str, int]:
    return {f"small-{at}": rate for at in range(count)}


def test_while_there_is_room_everybody_is_counted_from_the_first_request_on() -> None:
    world = World(room=10)
    world.pass_seconds(1, many(10))
    assert world.counted() == set(many(10))
    assert [world.table.state(place)[1] for place in range(10)] == [1] * 10


def test_who_comes_late_and_asks_for_more_is_counted_within_seconds() -> None:
    world = World(room=20)
    world.pass_seconds(5, many(1000))
    world.pass_seconds(2, {**many(1000), "late": 50})
    assert "late" in world.counted()
    # What is counted is what was asked since then, and no estimate.
    place = world.table.names.index("late")
    assert world.table.state(place)[1] <= 100
    before = world.table.state(place)
    world.pass_seconds(3, {**many(1000), "late": 50})
    assert world.table.state(place) == (before[0], before[1] + 150)


def test_who_asks_for_nothing_any_more_makes_room_after_two_periods() -> None:
    world = World(room=2)
    world.pass_seconds(3, {"once": 1000, "other": 1000})
    later = {"now": 30, "also": 20}
    world.pass_seconds(int(2 * PERIOD) + 3, later)
    assert world.counted() == {"now", "also"}


def test_those_who_ask_for_most_stay_whatever_comes_and_goes() -> None:
    world = World(room=30)
    large = {f"large-{at}": 20 + at for at in range(20)}
    for second in range(40):
        passing = {f"passing-{second}-{at}": 1 for at in range(500)}
        world.pass_seconds(1, {**passing, **large})
    assert set(large) <= world.counted()
    changes = world.table.changes
    for second in range(40, 60):
        world.pass_seconds(1, {**{f"passing-{second}-{at}": 1 for at in range(500)}, **large})
    admissions = [world.table.state(world.table.names.index(name))[0] for name in large]
    assert max(admissions) < changes


def test_equals_do_not_take_rows_from_each_other() -> None:
    world = World(room=50)
    world.pass_seconds(10, many(100, rate=10))
    changes = world.table.changes
    world.pass_seconds(int(PERIOD) * 3, many(100, rate=10))
    assert world.table.changes - changes <= 100


def test_of_a_flood_only_some_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    world, looked_at = World(room=1), 0
    offer = world.busiest.offer

    def count(name: str) -> None:
        nonlocal looked_at
        looked_at += 1
        offer(name)

    world.table.offer = count
    for _ in range(8):
        looked_at = 0
        world.pass_seconds(1, many(20_000))
    assert looked_at < 5000
    assert world.table.one_in >= 8
    world.pass_seconds(10, many(10))
    assert world.table.one_in == 1


def test_versions_are_counted_by_name() -> None:
    world = World(room=5)
    routes = routes_of(["acme"])
    world.tallies.ended("acme", [unit_of(routes, "acme", "m1")], 0.01)
    assert world.tallies.versions.names == ["acme/m1/1"]
