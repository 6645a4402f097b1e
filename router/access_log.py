"""Requests that leave a line in the log: those that took long, and a sample of all.

A line says whose request it was and for what, how it ended, how long that took, and which cells were tried;
never what was asked or answered. What may be anybody's word (the caller's id) is one field's value, whatever
is in it (`croupier/telemetry/logs.py`), and so many of one kind, a method and a code, are written at once and
in a second: a cell that hangs makes thousands slow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from croupier.request_ids import Named
from croupier.telemetry.logs import ACCESS
from router.units import Unit

_log = logging.getLogger(__name__)
_access = logging.getLogger(ACCESS)
# Cells that are named in a line; the items of one request may have been at all of them.
_MOST_CELLS = 8


class AccessLog:
    """Slow are requests of `slow_seconds` and more, 0 for none; `ratio` of the others are logged as well.

    `random` gives numbers from 0 to 1. Only what takes `from_seconds` has to be told.
    """

    def __init__(self, slow_seconds: float, ratio: float, *, random: Callable[[], float]) -> None:
        self._slow_seconds = slow_seconds or inf
        self._ratio = ratio
        self._random = random
        self.from_seconds = 0.0 if ratio > 0.0 else self._slow_seconds

    def ended(
        self,
        caller: Named,
        method: str,
        code: str,
        seconds: float,
        units: Sequence[Unit],
        tenant: Callable[[], str],
    ) -> None:
        """A request has ended, after `units` were tried for it; `tenant` tells whose it is."""
        if seconds >= self._slow_seconds:
            log, level, words = _log, logging.WARNING, f"slow: {method} {code}"
        elif self._random() < self._ratio:
            log, level, words = _access, logging.INFO, f"{method} {code}"
        else:
            return
        if log.isEnabledFor(level):
            fields = {"method": method, "code": code, "tenant": tenant(), **_about(units)}
            fields["ms"] = round(seconds * 1e3, 3)
            log.log(level, words, extra={"request_id": str(caller.request_id), "fields": fields})


def _about(units: Sequence[Unit]) -> dict[str, Any]:
    """The model of the first, how many there are, and what was tried for any."""
    found: dict[str, Any] = {}
    targets = (unit.target for unit in units)
    if (target := next((one for one in targets if one is not None), None)) is not None:
        found["model"] = target.model
    if len(units) > 1:
        found["items"] = len(units)
    # Whose answer came after a cell had loaded the model for it, as far as the cell said so.
    if cold := sum(unit.is_cold for unit in units):
        found["cold"] = cold
    cells = list(dict.fromkeys(cell for unit in units for cell in unit.cells[: unit.tried]))
    left_out = len(cells) - _MOST_CELLS
    found["attempts"] = max((unit.tried for unit in units), default=0)
    found["cells"] = ",".join(cells[:_MOST_CELLS]) + (f",+{left_out}" if left_out > 0 else "")
    return found
