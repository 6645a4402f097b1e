"""How many rows go into one call of an expensive model: as many as keep it within a latency target.

Additive increase, multiplicative decrease, as Clipper does it (Crankshaw et al., NSDI 2017, section 4.3): a
full call within the target lets the next be a little larger, a call beyond it makes the next a tenth smaller,
or smaller by as much as it was too slow. So each model finds its own size, on this machine and under this
load, and finds it again when either changes.

Pure: who measures passes seconds in.
"""

from __future__ import annotations

from croupier.bounded import Bounded

_STEP = 2
_BACK_OFF = 0.9
# A model that was not asked for long begins anew.
_MOST_KNOWN = 4_096


class BatchSizes:
    """Sizes by artifact, from `first` rows up to `most`; `target` is in seconds of one call."""

    def __init__(self, most: int, target: float, first: int = 32) -> None:
        self._most = most
        self._target = target
        self._first = min(first, most)
        # Rows of a call, and seconds of a row.
        self._sizes: Bounded[bytes, tuple[float, float]] = Bounded(_MOST_KNOWN)

    def of(self, digest: bytes, most: int = 0) -> int:
        """Rows of the next call; `most`, above 0, is the model's own bound."""
        known = self._sizes.get(digest)
        size = int(known[0]) if known else self._first
        return max(1, min(size, most) if most else size)

    def is_known(self, digest: bytes) -> bool:
        """Whether its calls were seen."""
        return self._sizes.get(digest) is not None

    def row_seconds(self, digest: bytes) -> float:
        """About what a row takes; of a model that was never seen, so much that its first call is a whole
        one.
        """
        known = self._sizes.get(digest)
        return known[1] if known else self._target / self._first

    def seen(self, digest: bytes, rows: int, seconds: float) -> None:
        """A call of so many rows took so long."""
        known = self._sizes.get(digest)
        size, row_seconds = known or (float(self._first), seconds / rows)
        if seconds > self._target:
            # Of a small call that was slow: the size was not to blame further than that.
            size = min(size, max(1.0, rows * min(_BACK_OFF, self._target / seconds)))
        elif rows >= int(size):
            size = min(float(self._most), size + _STEP)
        self._sizes[digest] = size, (row_seconds + seconds / rows) / 2
