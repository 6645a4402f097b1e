"""What long latencies came of: the load's own processor, something in the router, or what nobody names. Pure.

Requests that were due one after another and took long are one stall. It is the sender's if a turn of its loop
took most of it: then its core was not its own. Of the router's, it is what the router has noted of its loop
(`/debug/stalls`): `scheduler` if it had no processor, which is the machine's; whatever else there is of it is
ours. What neither has noted is most likely of the machine, the kernel or the upstream: how much of that comes
straight from the upstream, with no proxy between, stands beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.openloop import Moments
from croupier.telemetry.stalls import BEAT, SCHEDULER, TIMER

LONG = 1e-3
SENDER, UNKNOWN = "sender", "nobody's"
# Of the machine: nothing in a router can change it.
FOREIGN = (SENDER, UNKNOWN, SCHEDULER)
# Requests that are due so long after a long one ended are another matter.
_APART = 2e-3


@dataclass(frozen=True, slots=True)
class Noted:
    """What a router says of one: when it was noted, by our clock, and why."""

    at: float
    seconds: float
    kind: str
    where: str

    def overlaps(self, begin: float, end: float) -> bool:
        """Whether it was between: it is noted by the beat after it."""
        return self.at - self.seconds - BEAT - TIMER <= end and begin <= self.at


@dataclass(frozen=True, slots=True)
class Stall:
    """`seconds` is the longest latency in it."""

    begin: float
    end: float
    seconds: float
    cause: str
    where: str = ""

    @property
    def is_ours(self) -> bool:
        return self.cause not in FOREIGN


def stalls(moments: Moments, noted: Sequence[Noted] = ()) -> list[Stall]:
    """The longest first."""
    found = [_explained(begin, end, longest, moments, noted) for begin, end, longest in _clusters(moments)]
    return sorted(found, key=lambda stall: -stall.seconds)


def is_calm(moments: Moments, found: Iterable[Stall]) -> NDArray[np.bool_]:
    """Which requests were not due in a stall of the machine."""
    calm = np.ones(len(moments.due), dtype=bool)
    for stall in found:
        if not stall.is_ours:
            calm &= (moments.due < stall.begin) | (moments.due > stall.end)
    return calm


def noted(told: Iterable[dict[str, Any]], clock_behind: float) -> list[Noted]:
    """From entries of `/debug/stalls`; `clock_behind` is what to add to seconds since 1970 for our clock."""
    return [Noted(one["at"] + clock_behind, one["seconds"], one["kind"], one["where"]) for one in told]


def causes(found: Iterable[Stall]) -> dict[str, int]:
    return dict(Counter(stall.cause for stall in found))


def _clusters(moments: Moments) -> list[tuple[float, float, float]]:
    """Begin, end and longest latency of each."""
    is_long = np.isfinite(moments.latencies) & (moments.latencies > LONG)
    found: list[tuple[float, float, float]] = []
    for due, latency in zip(moments.due[is_long].tolist(), moments.latencies[is_long].tolist(), strict=True):
        if found and due <= found[-1][1] + _APART:
            begin, end, longest = found[-1]
            found[-1] = (begin, max(end, due + latency), max(longest, latency))
        else:
            found.append((due, due + latency, latency))
    return found


def _explained(begin: float, end: float, longest: float, moments: Moments, noted: Sequence[Noted]) -> Stall:
    ends, lengths = moments.gaps[:, 0], moments.gaps[:, 1]
    ours = np.minimum(ends, end) - np.maximum(ends - lengths, begin)
    if float(np.clip(ours, 0.0, None).sum()) >= longest / 2:
        return Stall(begin, end, longest, SENDER)
    near = [one for one in noted if one.overlaps(begin, end)]
    if near:
        most = max(near, key=lambda one: one.seconds)
        return Stall(begin, end, longest, most.kind, most.where)
    return Stall(begin, end, longest, UNKNOWN)
