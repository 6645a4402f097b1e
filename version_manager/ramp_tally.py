"""What cells counted, added up over all of them, though each begins anew when it starts again."""

from __future__ import annotations

from typing import NamedTuple

from croupier.latencies import BUCKETS, unpacked
from version_manager.cells.registry import Registry
from version_manager.ramp_bounds import Sample


class _Counts(NamedTuple):
    """Of one cell, since it began. Loads as it told them: none in a cell of the release before."""

    asked: int = 0
    hits: int = 0
    first_bucket: int = 0
    buckets: tuple[int, ...] = ()

    def loads(self) -> list[int]:
        return unpacked(self.first_bucket, self.buckets)


class Tally:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[str, _Counts] = {}
        self._asked = 0
        self._hits = 0
        self._loads = [0] * BUCKETS

    def sample(self, requests: int, failed: int) -> Sample:
        """With what routers counted."""
        known: dict[str, _Counts] = {}
        for name, heard in self._registry.heard.items():
            load, work = heard.cell.load, heard.work
            now = _Counts(load.requests, load.hits)
            if work is not None:
                now = now._replace(first_bucket=work.first_load_bucket, buckets=tuple(work.load_buckets))
            known[name] = now
            # When it counted what it had when it was first heard, nobody here knows.
            self._add(now, self._known.get(name, now))
        self._known = known
        return Sample(requests, failed, self._asked, self._hits, tuple(self._loads))

    def _add(self, now: _Counts, before: _Counts) -> None:
        # Most cells load nothing in most seconds.
        loads = [0] if now[2:] == before[2:] else _less(now, before)
        if now.asked < before.asked or now.hits < before.hits or min(loads) < 0:
            before, loads = _Counts(), now.loads()
        self._asked += now.asked - before.asked
        self._hits += now.hits - before.hits
        if any(loads):
            self._loads = [known + more for known, more in zip(self._loads, loads, strict=True)]


def _less(now: _Counts, before: _Counts) -> list[int]:
    """By how much its loads have grown, bucket by bucket."""
    return [count - then for count, then in zip(now.loads(), before.loads(), strict=True)]
