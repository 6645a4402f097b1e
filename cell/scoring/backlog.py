"""Calls that were too many for one go, by whose they are: owners take turns (`fairness.py`).

Who is in here waits for a turn of the event loop and for what others had scored less, not for all that stands
before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from cell.codec.plain import owner_at_end
from cell.scoring.fairness import Shares
from croupier.transport.http2.server_call import ServerCall


class Backlog:
    """Calls that wait; the one who takes them says what they cost."""

    def __init__(self) -> None:
        self._shares = Shares()
        self._calls: dict[int, deque[ServerCall]] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def put(self, calls: Iterable[ServerCall]) -> None:
        for call in calls:
            owner = owner_at_end(call.message)
            self._calls.setdefault(owner, deque()).append(call)
            self._shares.join(owner)

    def take(self) -> tuple[int, ServerCall] | None:
        """The owner whose turn it is, and its first call that somebody still waits for."""
        while (owner := self._shares.next()) is not None:
            calls = self._calls[owner]
            call = calls.popleft()
            if not calls:
                del self._calls[owner]
                self._shares.leave(owner)
            if call.is_open:
                return owner, call
        return None

    def charge(self, owner: int, cost: float) -> None:
        self._shares.charge(owner, cost)
