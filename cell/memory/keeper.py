"""What this process really takes, and what is done about it: evict, then refuse loads, never be killed.

`MemoryKeeper.look` measures and acts on the verdict of `Pressure`; the cell calls it four times a second. A
look reads one or two small files of the kernel's, has the arena move what can be moved, and
changes the capacity of the residency, whose victims give their memory back at once.

What counts is what the limit is about: of a control group's limit the group's memory, of the machine's that
of all processes, both without the caches that the kernel can drop; of one that an operator set, this
process's resident memory.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cell.memory.arena import Arena
from cell.memory.capacity import Read, read_file, tightest_limit
from cell.memory.pressure import Pressure
from croupier.errors import Unavailable
from croupier.telemetry.metrics import Counter, Gauge
from croupier.telemetry.stalls import section

_LIMIT = Gauge("croupier_cell_memory_limit_bytes", "What this process may take")
_MEASURED = Gauge("croupier_cell_memory_measured_bytes", "What it takes")
_ACCOUNTED = Gauge("croupier_cell_memory_accounted_bytes", "What models take by the books")
_SLACK = Gauge("croupier_cell_memory_slack_bytes", "Free slots in the arena's partly filled segments")
_CAPACITY = Gauge("croupier_cell_memory_capacity_bytes", "What models may take now")
_PRESSED = Counter("croupier_cell_memory_evictions_total", "Models that went because memory was short")
_SHED = Counter("croupier_cell_memory_refused_loads_total", "Loads refused because memory was short")

_SECONDS = 0.25
_RETRY_AFTER = 0.5
_TIDY_BYTES = 4 << 20


class MemoryShort(Unavailable):
    """Too little memory for another model. Ours, passing."""

    reason = "OVERLOADED"


class Keeps(Protocol):
    """Whoever holds the models."""

    @property
    def used(self) -> int:
        """Bytes of the models by the books."""
        ...

    def resize(self, capacity: int) -> int:
        """Have room for `capacity` bytes from now on; how many models went for it."""
        ...


@dataclass(frozen=True, slots=True)
class Measure:
    """The limit of this process, and what counts against it."""

    limit: int
    taken: Callable[[], int]

    @classmethod
    def of(cls, limit_set: int, read: Read = read_file) -> Measure:
        """There are three cases: a limit that an operator set, a control group's, and the machine's."""
        limit, group = tightest_limit(read)
        if 0 < limit_set < limit:
            return cls(limit_set, lambda: resident_bytes(read))
        if group:
            return cls(limit, lambda: max(resident_bytes(read), group_bytes(group, read)))
        return cls(limit, lambda: max(resident_bytes(read), machine_bytes(limit, read)))


def resident_bytes(read: Read = read_file) -> int:
    """This process's resident memory; 0 where nobody says."""
    fields = (read("/proc/self/statm") or "0 0").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def group_bytes(group: str, read: Read = read_file) -> int:
    """A control group's memory, of version 2 or 1, without the file cache that goes first."""
    for total, cache in (
        ("memory.current", "inactive_file"),
        ("memory.usage_in_bytes", "total_inactive_file"),
    ):
        text = read(f"{group}/{total}")
        if text is not None:
            return int(text) - _number(read(f"{group}/memory.stat"), cache)
    return 0


def machine_bytes(total: int, read: Read = read_file) -> int:
    """What all processes take of the machine's memory, so that nothing but caches could give it back."""
    available = _number(read("/proc/meminfo"), "MemAvailable:")
    return total - 1024 * available if available else 0


def _number(text: str | None, wanted: str) -> int:
    for line in (text or "").splitlines():
        name, *values = line.split()
        if name == wanted:
            return int(values[0])
    return 0


class MemoryKeeper:
    """Keeps what is measured within its limit.

    `capacity` is what models may take when there is enough, `base` what this process took without them.
    """

    def __init__(
        self,
        measure: Measure,
        capacity: int,
        arena: Arena,
        *,
        base: int,
        trim: Callable[[], object] | None = None,
    ) -> None:
        self._taken = measure.taken
        self._arena = arena
        self._trim = trim or _find_trim()
        self._pressure = Pressure(measure.limit, capacity, base)
        self._capacity = capacity
        self._limit = measure.limit
        self._measured = 0
        _LIMIT.set(measure.limit)

    def check(self) -> None:
        """Whether a model may be loaded now.

        Raises:
            MemoryShort: it may not.
        """
        if self._pressure.verdict.sheds:
            _SHED.inc()
            raise MemoryShort("this cell has too little memory for another model", retry_after=_RETRY_AFTER)

    def told(self) -> dict[str, int | bool]:
        """What it measured last and what followed, with how the arena stands; in bytes."""
        arena = self._arena
        return {
            "limit": self._limit,
            "measured": self._measured,
            "capacity": self._capacity,
            "sheds": self._pressure.verdict.sheds,
            "arena_capacity": arena.capacity,
            "arena_used": arena.used,
            "arena_committed": arena.committed,
            "arena_slack": arena.slack,
        }

    def look(self, models: Keeps) -> None:
        """Measure, and evict or allow what follows from it."""
        self._arena.tidy(_TIDY_BYTES)
        measured = self._measured = self._taken()
        verdict = self._pressure.reconcile(measured, models.used)
        evicted = 0
        if verdict.capacity != self._capacity:
            self._capacity = verdict.capacity
            evicted = models.resize(verdict.capacity)
            _PRESSED.inc(evicted)
        if evicted or verdict.sheds:
            # What sessions of other engines freed lies in the C library's lists until now.
            self._trim()
        _MEASURED.set(measured)
        _ACCOUNTED.set(models.used)
        _SLACK.set(self._arena.slack)
        _CAPACITY.set(verdict.capacity)

    async def run(self, models: Keeps) -> None:
        """Look for as long as the process lives."""
        while True:
            with section("memory"):
                self.look(models)
            await asyncio.sleep(_SECONDS)


def _find_trim() -> Callable[[], object]:
    """glibc's malloc_trim, or nothing where there is none."""
    function = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return (lambda: None) if function is None else (lambda: function(0))
