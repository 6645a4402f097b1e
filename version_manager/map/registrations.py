"""What etcd says of the cells: each one's record, and what it speaks, which lies under a key of its own.

    cells/<id>            lease 7    who and where it is
    cells/<id>/protocol   lease 7    counts for the record of the same lease

A version manager of the release before writes the record alone. What a newer one said of the cell that
was joined there may stand beside it until that one's lease ends: it is of another lease, and another cell
process. Pure.
"""

from __future__ import annotations

from dataclasses import replace

from version_manager.map.keys import CellKey, ProtocolKey, RegistrationKey
from version_manager.map.records import Record, Spoken
from version_manager.model.fleet import Cell


class Registrations:
    """The last good word of each key; `image` feeds it."""

    def __init__(self) -> None:
        # With the lease that each lies under.
        self._cells: dict[str, tuple[Cell, int]] = {}
        self._spoken: dict[str, tuple[Spoken, int]] = {}

    def take(self, key: RegistrationKey, record: Record, lease: int) -> None:
        match key, record:
            case CellKey(), Cell():
                self._cells[key.id] = record, lease
            case ProtocolKey(), Spoken():
                self._spoken[key.id] = record, lease

    def drop(self, key: RegistrationKey) -> None:
        known: dict[str, tuple[Cell, int]] | dict[str, tuple[Spoken, int]]
        known = self._cells if isinstance(key, CellKey) else self._spoken
        known.pop(key.id, None)

    def cell(self, name: str) -> Cell | None:
        """The cell as it is to be served; None: it is not registered."""
        cell, lease = self._cells.get(name, (None, 0))
        spoken, spoken_under = self._spoken.get(name, (None, 0))
        if cell is None or spoken is None or spoken_under != lease:
            return cell
        return replace(cell, protocol=spoken.protocol)
