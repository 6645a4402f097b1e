"""How long calls to cells take: a histogram for each cell, zone and code, kept while the view has the cell.

A cell that hangs shows in its own series: calls that were given up count as CANCELLED.
"""

from __future__ import annotations

from collections.abc import Mapping

from croupier.telemetry.metrics import SECONDS, Durations, LoopHistogram
from router.view import KnownCell

_SECONDS = LoopHistogram(
    "croupier_router_attempt_seconds",
    "Calls to cells, each attempt by itself",
    SECONDS,
    ["zone", "cell", "code"],
)
# Cells with series of their own; the others of a large fleet share one for each zone, without a name.
MOST_NAMED = 100


class CellSeconds:
    """The durations that the channel to a cell writes."""

    def __init__(self) -> None:
        self._zones: dict[str, str] = {}
        self._named: dict[str, Durations] = {}
        self._others: dict[str, Durations] = {}

    def follow(self, cells: Mapping[str, KnownCell]) -> None:
        """Know the cells of a view, and forget those that are gone from it."""
        zones = {name: known.cell.zone for name, known in cells.items()}
        for name, zone in self._zones.items():
            if zones.get(name) != zone and self._named.pop(name, None) is not None:
                _SECONDS.forget(zone, name)
        for zone in self._others.keys() - zones.values():
            del self._others[zone]
            _SECONDS.forget(zone, "")
        self._zones = zones

    def of(self, cell: str) -> Durations:
        """Where the calls to a cell of the view that was followed last are counted."""
        zone = self._zones.get(cell, "")
        if (found := self._named.get(cell)) is not None:
            return found
        if len(self._named) < MOST_NAMED:
            found = self._named[cell] = _SECONDS.durations(zone, cell)
            return found
        return self._others.setdefault(zone, _SECONDS.durations(zone, ""))
