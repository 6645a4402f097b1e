"""What `router.loads` counts, and where `router.balance` puts predictions, written plainly."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from statistics import median_high

import numpy as np

from router.copies import Copies

SLOTS = 64
LEAST_OF_ONE = 8
SLACK = 16
MOVING = 0.001
MOVING_A_SECOND = 10.0
MOST_MOVING = 64.0


@dataclass
class CellLoad:
    most_of_one: int = LEAST_OF_ONE
    slots: Counter[int] = field(default_factory=Counter)
    latency: float = 0.0
    tail: float = 0.0
    # Of this period: what each tenant's last answer took, and whether it was served well last.
    seconds: dict[int, float] = field(default_factory=dict)
    well: dict[int, bool] = field(default_factory=dict)
    # When the second began in which predictions are counted, how many they are, and a second before that.
    since: float = 0.0
    taken: int = 0
    before: float = 0.0

    @property
    def in_flight(self) -> int:
        return self.slots.total()

    def begin(self, slot: int) -> None:
        self.slots[slot % SLOTS] += 1

    def end(self, slot: int) -> None:
        self.slots[slot % SLOTS] -= 1

    def note_answer(self, slot: int, seconds: float) -> None:
        self.latency = self.latency + (seconds - self.latency) / 16 if self.latency else seconds
        if not self.tail:
            self.tail = 2 * seconds
        else:
            self.tail *= 1.1 if seconds > self.tail else 1.1 ** (-5 / 95.0)
        self.seconds[slot % SLOTS] = float(np.float32(seconds))
        self.note_well(slot)

    def note_well(self, slot: int) -> None:
        self.well[slot % SLOTS] = True

    def note_failure(self, slot: int) -> None:
        self.well[slot % SLOTS] = False

    def weigh(self, slot: int) -> int:
        """Everybody's up to a bound each, and all of this tenant's own."""
        others = sum(min(count, self.most_of_one) for at, count in self.slots.items() if at != slot % SLOTS)
        return others + self.slots[slot % SLOTS]

    def take(self, now: float) -> None:
        if now - self.since >= 1.0:
            self.before, self.taken, self.since = self.rate(now), 0, now
        self.taken += 1

    def rate(self, now: float) -> float:
        if not self.since or now - self.since < 1.0:
            return self.before
        return self.taken / (now - self.since)

    def turn(self) -> tuple[int, int, int, float]:
        well = sum(self.well.values())
        told = well, len(self.well) - well, len(self.seconds), median_high(self.seconds.values() or [0.0])
        self.seconds, self.well = {}, {}
        return told


class Loads:
    def __init__(self) -> None:
        self.cells: dict[str, CellLoad] = {}
        self.most_of_one = LEAST_OF_ONE

    def of(self, cell: str) -> CellLoad:
        return self.cells.setdefault(cell, CellLoad(self.most_of_one))

    def forget(self, cells: list[str]) -> None:
        for cell in cells:
            self.cells.pop(cell, None)

    def weigh_anew(self) -> None:
        shared = [
            sum(min(count, load.most_of_one) for count in load.slots.values()) for load in self.cells.values()
        ]
        mean = sum(shared) // max(1, len(shared))
        self.most_of_one = max(LEAST_OF_ONE, (self.most_of_one + mean) // 2)
        for load in self.cells.values():
            load.most_of_one = self.most_of_one


@dataclass
class Route:
    """Of one model: what `router.routes.Route` keeps for its balance."""

    name: tuple[str, str]
    cells: tuple[str, ...]
    near: int
    slot: int
    copies: int = 1
    asked: int = 0
    since: float = 0.0
    moved: set[str] = field(default_factory=set)


class Balance:
    def __init__(self, loads: Loads, copies: Copies) -> None:
        self._loads, self._copies = loads, copies
        self._due = 0.0
        self.moves = MOST_MOVING
        self._counted = 0.0

    def place(self, route: Route, now: float) -> tuple[str, ...]:
        """The cells that one request is to try, in their order."""
        if now >= self._due:
            self._loads.weigh_anew()
            self._due = now + 1.0
        if route.near <= 1:
            return route.cells
        near, copies = route.cells[: route.near], min(route.copies, route.near)
        route.asked += 1
        self.moves = min(MOST_MOVING, self.moves + MOVING + MOVING_A_SECOND * (now - self._counted))
        self._counted = now
        if now - route.since >= 1.0:
            self._look(route, now)

        def busy(cell: str) -> int:
            return self._loads.of(cell).weigh(route.slot)

        turn = route.asked % copies
        first = min([*near[turn:copies], *near[:turn]], key=busy)
        if busy(first) > SLACK:
            bound = max(SLACK, 1.5 * (1 + sum(map(busy, near))) / route.near)
            at = near.index(first)
            to = next((cell for cell in [*near[at:], *near[:at]] if busy(cell) <= bound), first)
            if to in near[: route.copies] or to in route.moved or self.moves >= 1:
                if to not in near[: route.copies] and to not in route.moved:
                    self.moves -= 1
                    route.moved.add(to)
                first = to
        self._loads.of(first).take(now)
        return (first, *[cell for cell in route.cells if cell != first])

    def _look(self, route: Route, now: float) -> None:
        is_new, seconds = not route.since, now - route.since
        is_busy = route.asked >= 50 * seconds or route.copies > 1
        if self._copies.hot if is_new else is_busy:
            mean = sum(self._loads.of(cell).rate(now) / route.near for cell in route.cells[: route.near])
            route.copies = self._copies.note(route.name, 0 if is_new else route.asked, mean, now)
        if seconds >= 60:
            route.moved.clear()
        route.asked, route.since = 0, now
