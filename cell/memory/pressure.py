"""How many bytes models may take now, from what the process really takes: the books reconciled.

The books say what models take (`used`); the kernel says what everything takes (`measured`). The difference
is what the books do not know: the process itself, requests, free slots of the arena, what the allocator
holds back. So models may take the limit, less a margin, less that difference:

    limit ─┬───────────────────────────────────────────────
           │  a margin, half of it for what comes between two measurements
           ├── shed      above this new loads are refused, until it is below `target` again
           ├── target    what is aimed at
           │  the difference, at least what the process took at its start
           ├──
           │  models: at most the capacity that was configured
    0 ─────┴───────────────────────────────────────────────

The capacity shrinks at once and grows by steps, so that it does not swing with every request's buffers. It
never falls below a share of the most that it can be: a cell without room for any model would call each too
large for it, for good. It sheds then instead, which passes.
"""

from __future__ import annotations

from dataclasses import dataclass

_MARGIN = 0.08
_STEP = 1 / 32
_LEAST = 1 / 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """`capacity` bytes for models, and whether new loads are to be refused."""

    capacity: int
    sheds: bool


class Pressure:
    """Verdicts from successive measurements, for a process of at most `limit` bytes.

    `configured` is the capacity when memory suffices; `base` what the process took without any model.
    """

    def __init__(self, limit: int, configured: int, base: int) -> None:
        self._base = base
        self._target = limit - int(_MARGIN * limit)
        self._shed = limit - int(_MARGIN * limit) // 2
        self._most = max(0, min(configured, self._target - base))
        self._verdict = Verdict(self._most, sheds=False)

    @property
    def verdict(self) -> Verdict:
        return self._verdict

    def reconcile(self, measured: int, used: int) -> Verdict:
        """What follows from `measured` bytes of the process and `used` bytes of models in the books."""
        allowed = self._target - max(measured - used, self._base)
        capacity = self._capacity(allowed)
        self._verdict = Verdict(capacity, self._sheds(measured, allowed))
        return self._verdict

    def _capacity(self, allowed: int) -> int:
        now = self._verdict.capacity
        grown = min(self._most, now + int(self._most * _STEP))
        if allowed < now:
            return max(allowed, self._least)
        return grown if allowed >= grown else now

    @property
    def _least(self) -> int:
        return int(self._most * _LEAST)

    def _sheds(self, measured: int, allowed: int) -> bool:
        if measured > self._shed or allowed < self._least:
            return True
        return self._verdict.sheds and measured > self._target
