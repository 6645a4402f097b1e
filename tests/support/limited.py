"""Cells with a limit that a test gives them, instead of one that is found out."""

from __future__ import annotations

from collections.abc import Iterable

from router.concurrency import Limit
from router.loads import FEW, CellLoad, Loads


class Given(Limit):
    """It is `limit`, whatever is seen."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.limit = limit

    def after(self, *_: float) -> float:
        return self.limit


def limited(limit: float) -> CellLoad:
    """The load of a cell that may have so many calls in flight, and has none."""
    load = CellLoad("a", Given(limit))
    _begin(load)
    return load


def limited_loads(limit: float, cells: Iterable[str]) -> Loads:
    """The same of all cells, those of `cells` among them from now on."""
    loads = Loads(lambda: Given(limit))
    for cell in cells:
        _begin(loads.of(cell))
    return loads


def _begin(load: CellLoad) -> None:
    """Nothing is limited that has nearly nothing to do."""
    for slot in range(FEW + 1):
        load.begin(slot)
    load.look(1.0)
    for slot in range(FEW + 1):
        load.end(slot)
