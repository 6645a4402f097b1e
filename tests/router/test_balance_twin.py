"""Loads and balance as compiled, beside the same written plainly: whatever happens, they say the same."""

from __future__ import annotations

from random import Random

import pytest
from support.attempts import artifact
from support.reference import loads as plain

from protos.inference.v2 import inference_pb2
from router.balance import Balance
from router.copies import Copies
from router.loads import Loads
from router.remembered import Route
from router.route import Deal
from router.routes import Routes
from router.view import EMPTY
from version_manager.model.encode import write_model
from version_manager.model.release import WHOLE, Model
from version_manager.model.resolve import Target

CELLS = tuple("abcdefgh")
STEPS = 5_000
SELDOM = 1200


class Both:
    """The same models on the same cells, twice."""

    def __init__(self, random: Random) -> None:
        self.random, self.now = random, 1000.0
        self.loads, self.plain_loads = Loads(), plain.Loads()
        self.balance = Balance(self.loads, Copies())
        self.plain_balance = plain.Balance(self.plain_loads, Copies())
        # Of the tenants, each of which has one model.
        self.slots: dict[str, int] = {}
        self.routes = Routes(
            lambda view, tenant, ask: self.made[ask.model],
            lambda: 0.0,
            deal=lambda view, tenant: Deal(bytes([self.slots[tenant]])),
        )
        self.routes.follow(EMPTY)
        self.made: dict[str, Route] = {}
        self.plain_routes: list[plain.Route] = []
        # Of the first ones the last is asked for often, and those behind them hardly twice.
        for number, near in enumerate([*range(6), *random.choices(range(2, 6), k=SELDOM)]):
            self._add(f"model-{number}", near)
        self.passed = 0
        # What was begun and has not ended: the cell's load, twice, and whose it was.
        self.begun: list[tuple[object, plain.CellLoad, int]] = []

    def _add(self, name: str, near: int) -> None:
        cells = tuple(self.random.sample(CELLS, 5))
        slot = self.random.randrange(256)
        targets = ((WHOLE, Target("acme", name, 1, artifact(name))),)
        self.made[name] = Route(write_model(Model("acme", name, {})), targets, cells, cells, near=near)
        self.slots[name] = slot
        self.plain_routes.append(plain.Route(("acme", name), cells, near, slot))

    def place(self) -> None:
        # One of them is asked for much more than the others.
        number = min(self.random.randrange(40), 5)
        if self.random.random() < 0.6:
            number = self.random.randrange(6, 6 + SELDOM)
        route = self.plain_routes[number]
        request = inference_pb2.ModelInferRequest(model_name=route.name[1]).SerializeToString()
        [unit] = self.routes.infer(route.name[1], request)
        self.balance.place([unit], self.now)
        assert unit.cells == self.plain_balance.place(route, self.now)
        self.passed += route.copies == 1 and unit.cells != route.cells
        for _ in range(self.random.randrange(3)):
            self.begin(unit.cells[0], route.slot)

    def begin(self, cell: str, slot: int) -> None:
        one, other = self.loads.of(cell), self.plain_loads.of(cell)
        one.begin(slot)
        other.begin(slot)
        self.begun.append((one, other, slot))

    def end(self) -> None:
        if self.begun:
            one, other, slot = self.begun.pop(self.random.randrange(len(self.begun)))
            for load in (one, other):
                load.end(slot)

    def crowd(self) -> None:
        """Very much comes to one cell, and very much has ended elsewhere."""
        cell = self.random.choice(CELLS)
        for _ in range(self.random.randrange(80)):
            self.begin(cell, self.random.randrange(256))
            self.end()

    def note(self) -> None:
        cell, slot, seconds = (
            self.random.choice(CELLS),
            self.random.randrange(256),
            self.random.expovariate(220),
        )
        how = self.random.choice(["note_answer", "note_well", "note_failure"])
        for loads in (self.loads, self.plain_loads):
            getattr(loads.of(cell), how)(slot, *([seconds] if how == "note_answer" else []))

    def turn(self) -> None:
        cell = self.random.choice(CELLS)
        assert self.loads.of(cell).turn() == self.plain_loads.of(cell).turn()

    def forget(self) -> None:
        if self.random.random() < 0.05:
            cells = self.random.sample(CELLS, 2)
            self.loads.forget(cells)
            self.plain_loads.forget(cells)

    def wait(self) -> None:
        self.now += self.random.expovariate(220)

    def check(self) -> None:
        assert self.loads.most_of_one == self.plain_loads.most_of_one
        for cell in CELLS:
            one, other, slot = self.loads.of(cell), self.plain_loads.of(cell), self.random.randrange(256)
            assert (one.in_flight, one.weigh(slot)) == (other.in_flight, other.weigh(slot))
            assert (one.latency, one.tail) == pytest.approx((other.latency, other.tail))
            assert one.rate(self.now) == pytest.approx(other.rate(self.now))


@pytest.mark.parametrize("seed", range(6))
def test_both_say_the_same(seed: int) -> None:
    both = Both(Random(seed))
    acts = [both.place] * 6 + [both.end] * 5 + [both.note] * 2 + [both.wait] * 4 + [both.crowd] * 2
    acts += [both.turn, both.forget]
    hot = denied = 0
    for _ in range(STEPS):
        both.random.choice(acts)()
        hot += both.plain_routes[5].copies > 1
        denied += both.plain_balance.moves < 1
        both.check()
    assert hot
    assert denied
    assert both.passed
