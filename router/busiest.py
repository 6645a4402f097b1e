"""Who has a row in a table of `tallies`: those that ask for most, lately.

While there is room, everybody. Then those without a row are counted in a **sketch** (Apache DataSketches'
frequent items), whose memory does not depend on how many they are, and whoever asked for clearly more than
somebody with a row takes it over. Both are compared over this period and the one before.

Of requests of those without, only as many a second are looked at as cost next to nothing, each for as many as
it stands for. See docs/decisions/0039-rates.md.
"""

from __future__ import annotations

from heapq import nsmallest

from datasketches import frequent_strings_sketch

from router.tallies import Table

# Seconds of a period.
PERIOD = 30.0
# The size of a sketch: it is right where a name has more than about a four-thousandth of what it has seen.
_LG_SIZE = 13
# Names of one second that may take over a row.
_MOST_CANDIDATES = 64
# Requests without a row that are looked at in a second, about; and the most that one of them may stand for.
_OFFERED = 2000
_MOST_ONE_IN = 4096


class Busiest:
    """Decides for `table`. `settle` is to be called once a second."""

    def __init__(self, table: Table, *, now: float) -> None:
        self._table = table
        table.offer = self.offer
        self._turned_at = now
        self._young, self._old = _sketch(), _sketch()
        # Those that asked for more than whoever has a row and asked for the least; and how much they did.
        self._candidates: dict[str, int] = {}
        self._least = 0
        self._offered = 0

    def offer(self, name: str) -> None:
        """Somebody asks who has no row."""
        table = self._table
        if len(table) < table.room:
            table.admit(name)
            return
        self._offered += 1
        self._young.update(name, table.one_in)
        asked = self._asked(name)
        if asked > self._least and (name in self._candidates or len(self._candidates) < _MOST_CANDIDATES):
            self._candidates[name] = asked

    def settle(self, now: float) -> None:
        """Give rows to those that ask for most."""
        table = self._table
        if self._candidates:
            self._replace()
        if now - self._turned_at >= PERIOD:
            self._turned_at = now
            self._young, self._old = _sketch(), self._young
            table.turn()
            self._least = min(table.weights(), default=0)
        if self._offered > 2 * _OFFERED and table.one_in < _MOST_ONE_IN:
            table.one_in *= 2
        elif self._offered < _OFFERED // 2 and table.one_in > 1:
            table.one_in //= 2
        self._offered = 0

    def close(self) -> None:
        """Decide no more, and let the sketches go: their library complains of those that outlive it."""
        self._table.offer = _nobody
        del self._young, self._old

    def _replace(self) -> None:
        table = self._table
        weights = table.weights()
        lightest = nsmallest(len(self._candidates), range(len(weights)), key=weights.__getitem__)
        wanting = sorted(self._candidates.items(), key=lambda one: -one[1])
        self._candidates = {}
        for place, (name, asked) in zip(lightest, wanting, strict=False):
            # Or two that are about as busy would take the row from each other.
            if asked <= 1.25 * weights[place]:
                break
            table.admit(name, place, self._young.get_lower_bound(name), asked)
        self._least = min(table.weights(), default=0)

    def _asked(self, name: str) -> int:
        """For how much at least, as far as sketches can tell."""
        asked: int = self._young.get_lower_bound(name) + self._old.get_lower_bound(name)
        return asked


def _nobody(name: str) -> None:
    """Whoever asks."""


def _sketch() -> frequent_strings_sketch:
    return frequent_strings_sketch(_LG_SIZE)
