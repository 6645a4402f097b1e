"""Which cell of the hand gets a request, by how busy each is."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from support.attempts import artifact

from protos.inference.v2 import inference_pb2
from router.balance import Balance
from router.concurrency import Limit
from router.copies import Copies
from router.loads import Loads
from router.remembered import Route
from router.route import Deal
from router.routes import Routes
from router.units import Unit
from router.view import EMPTY
from version_manager.model.encode import write_model
from version_manager.model.release import WHOLE, Model
from version_manager.model.resolve import Target

HAND = ("a", "b", "c", "d")
BEHIND = ("x", "y")
SLACK = 16
OWN, OTHER = b"\x05", b"\x06"


class World:
    """One model of a tenant, whose cells have what tests say in flight, of as many tenants as it takes."""

    def __init__(self, near: int = 4, owner: bytes = OWN) -> None:
        self.now, self.loads, self.copies = 1000.0, Loads(), Copies()
        self.balance = Balance(self.loads, self.copies)
        targets = ((WHOLE, Target("acme", "churn", 1, artifact("churn"))),)
        cells = HAND + BEHIND
        self.route = Route(write_model(Model("acme", "churn", {})), targets, cells, cells, near=near)
        self.routes = Routes(lambda *_: self.route, lambda: 0.0, deal=lambda *_: Deal(owner))
        self.routes.follow(EMPTY)

    def other_model(self, near: int = 4) -> None:
        """From now on another one is asked for, of the same tenant on the same cells."""
        targets = ((WHOLE, Target("acme", "other", 1, artifact("other"))),)
        cells = HAND + BEHIND
        self.route = Route(write_model(Model("acme", "other", {})), targets, cells, cells, near=near)
        self.routes = Routes(lambda *_: self.route, lambda: 0.0, deal=lambda *_: Deal(OWN))
        self.routes.follow(EMPTY)

    def unit(self) -> Unit:
        request = inference_pb2.ModelInferRequest(model_name="churn").SerializeToString()
        [unit] = self.routes.infer("acme", request)
        return unit

    def busy(self, **counts: int) -> World:
        for cell, count in counts.items():
            for number in range(count):
                self.loads.of(cell).begin(number)
        return self

    def place(self) -> tuple[str, ...]:
        unit = self.unit()
        self.balance.place([unit], self.now)
        return unit.cells

    def ask(self, count: int, *, keep: bool = False) -> Counter[str]:
        """Ask so often in a second; each call has ended before the next one, unless it is to be kept."""
        asked: Counter[str] = Counter()
        for _ in range(count):
            self.now += 1 / count
            first = self.place()[0]
            asked[first] += 1
            self.loads.of(first).begin(5)
            if not keep:
                self.loads.of(first).end(5)
        return asked


def test_a_model_stays_with_its_first_cell() -> None:
    assert World().place() == HAND + BEHIND
    assert World().busy(a=2, b=1, c=1, d=1).place() == HAND + BEHIND
    assert World().busy(a=SLACK).place() == HAND + BEHIND


def test_a_cell_above_its_bound_is_passed_over_for_the_next_of_the_hand() -> None:
    assert World().busy(a=30, b=10, c=10, d=10).place() == ("b", "a", "c", "d", *BEHIND)
    # Or for the one behind it, if that has too much as well.
    assert World().busy(a=40, b=40, c=2, d=2).place() == ("c", "a", "b", "d", *BEHIND)


def moved(world: World, models: int) -> int:
    """How many of so many further models move from the first cell, each asked for once."""
    count = 0
    for _ in range(models):
        world.other_model()
        count += world.place()[0] != "a"
    return count


def test_few_models_move_to_cells_that_have_to_load_them() -> None:
    world = World().busy(a=30, b=10, c=10, d=10)
    assert world.place()[0] == "b"
    before = world.route, world.routes
    assert moved(world, 500) == 63
    # Of a thousand requests one may have one more loaded; what moved before is there.
    assert moved(world, 4600) == 5
    world.route, world.routes = before
    assert {world.place()[0] for _ in range(100)} == {"b"}


def test_where_few_are_asked_for_some_move_every_second() -> None:
    world = World().busy(a=30, b=10, c=10, d=10)
    assert moved(world, 500) == 64
    world.now += 1.0
    assert moved(world, 500) == 10


def test_what_moved_is_forgotten_where_nobody_asks_for_it() -> None:
    world = World().busy(a=30, b=10, c=10, d=10)
    assert world.place()[0] == "b"
    before = world.route, world.routes
    assert moved(world, 500) == 63
    world.route, world.routes = before
    world.now += 59.0
    assert world.place()[0] == "b"
    world.now += 60.0
    assert moved(world, 500) == 64
    world.route, world.routes = before
    assert world.place()[0] == "a"


def test_a_hot_model_moves_among_the_cells_that_serve_it() -> None:
    world = World()
    for _ in range(8):
        world.ask(3000)
    hot = world.route, world.routes
    world.busy(a=3, b=3, c=3, d=3)
    world.busy(a=40)
    assert moved(world, 500) == 64
    world.route, world.routes = hot
    assert "a" not in {world.place()[0] for _ in range(40)}


def test_where_all_have_much_to_do_nothing_moves() -> None:
    assert World().busy(a=60, b=50, c=45, d=50).place() == HAND + BEHIND


def test_nothing_outside_what_may_be_chosen_from_is_put_first() -> None:
    assert World(near=2).busy(a=60, b=60).place() == HAND + BEHIND
    assert World(near=2).busy(a=60).place()[0] == "b"
    assert World(near=1).busy(a=60).place() == HAND + BEHIND
    assert World(near=0).busy(a=60).place() == HAND + BEHIND
    assert World(near=99).route.near == len(HAND + BEHIND)


def test_a_cell_that_is_passed_over_is_found_late_all_the_same() -> None:
    world = World()
    world.loads = Loads(Limit)
    world.balance = Balance(world.loads, world.copies)
    late = world.busy(a=40).loads.of("a")
    for seconds in (0.001, 0.5):
        for slot in range(40):
            late.note_delay(slot, seconds)
        world.now += 1.0
        assert world.place()[0] == "b"
    assert late.limit == 20.0


def test_what_one_other_tenant_has_in_flight_moves_nobody() -> None:
    world = World()
    for _ in range(1000):
        world.loads.of("a").begin(OTHER[0])
    assert world.place() == HAND + BEHIND
    # Its own requests move on.
    other = World(owner=OTHER)
    for _ in range(1000):
        other.loads.of("a").begin(OTHER[0])
    assert other.place()[0] == "b"


def test_a_hot_model_is_served_by_four_cells_in_turns_and_later_by_one_again() -> None:
    world = World()
    assert world.ask(3000) == {"a": 3000}
    for _ in range(8):
        asked = world.ask(3000)
    assert asked == {"a": 750, "b": 750, "c": 750, "d": 750}
    assert world.copies.known(world.now)["acme", "churn"].copies == 4
    # Some other model of the hand is asked for much more, for long.
    for _ in range(100):
        for cell in HAND:
            for _ in range(2):
                world.loads.of(cell).begin(1)
                world.loads.of(cell).end(1)
        asked = world.ask(10)
    assert asked == {"a": 10}


def test_the_less_busy_one_of_the_copies_is_asked() -> None:
    world = World()
    for _ in range(6):
        world.ask(3000)
    world.busy(a=3, b=2, c=9)
    assert {world.place()[0] for _ in range(9)} == {"b"}


def test_a_route_that_is_made_anew_knows_that_its_model_is_hot() -> None:
    world = World()
    for _ in range(6):
        world.ask(3000)
    fresh = World()
    world.route = fresh.route
    world.routes = fresh.routes
    assert world.ask(3000).keys() == {"a", "b", "c"}


def test_a_burst_is_bounded_in_each_cell() -> None:
    asked = World().ask(400, keep=True)
    assert max(asked.values()) <= 1.5 * 400 / 4 + 1


@given(
    st.lists(st.integers(0, 60), min_size=4, max_size=4),
    st.integers(0, 6),
    st.integers(1, 3),
)
def test_it_only_ever_changes_which_one_is_first(busy: list[int], near: int, seconds: int) -> None:
    world = World(near=near).busy(**dict(zip(HAND, busy, strict=True)))
    for _ in range(seconds):
        world.ask(100)
    placed = world.place()
    cells = HAND + BEHIND
    assert placed == (placed[0], *[cell for cell in cells if cell != placed[0]])
    assert placed[0] in cells[: max(near, 1)]


def test_a_unit_that_was_not_routed_is_left_as_it_is() -> None:
    unit = Unit(b"?", HAND)
    World().balance.place([unit], 1.0)
    assert unit.cells == HAND
