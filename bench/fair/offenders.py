"""Ways of taking more than one's share, and ways round a limit: what a process does, with what.

Everybody has the same limits, ordinary tenants far below them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from bench.catalog import Load
from bench.fair import acts
from bench.fair.acts import Act
from bench.fair.wares import Wares
from version_manager.model.limits import Limits

LIMITS = Limits(rate=100, in_flight=32, cold_loads=20, rows=5_000, bytes=2**24)
# Of what it may, an offender asks for so much.
_TIMES = 10
_RATE = 100.0
_FILL_SECONDS = 0.5
_ITEMS = 512
# Of a processor, in each of two threads.
_SLOW_SHARE = 0.28


@dataclass(frozen=True, slots=True)
class Offender:
    """`load` by the number of a turn. It is at it for `fill` seconds before others are looked at."""

    kind: str
    act: Act
    load: Callable[[Wares, int], Load]
    fill: float = _FILL_SECONDS


def offenders(seconds: float, streams: int) -> Mapping[str, Offender]:
    """For turns of so many seconds."""
    each = cold_asked(seconds, 1)
    found = (
        Offender("rate", partial(acts.open_loop, rate=_TIMES * _RATE), lambda wares, _: wares.one()),
        # Within its rate: it is for cold models alone that it is refused.
        Offender(
            "cold",
            partial(acts.open_loop, rate=_RATE),
            lambda wares, turn: wares.cold_ones(turn * each, each),
        ),
        Offender("large", partial(acts.closed_loop, streams=1), lambda wares, _: wares.large()),
        # A client that comes back when it is told to: it is slow that this one is, and nothing else.
        Offender("slow", partial(acts.closed_loop, streams=8, heeds=True), lambda wares, _: wares.slow()),
        Offender("streams", partial(acts.streams, count=streams), lambda wares, _: wares.one(), 1.5),
    )
    return {one.kind: one for one in found}


def controls() -> Mapping[str, Offender]:
    """What takes as much of the processors as the slow model does within its limits, and asks the fleet for
    nothing: who is apart (`machines`) notices none of it.
    """
    burner = Offender("burner", partial(acts.burned, share=_SLOW_SHARE), lambda wares, _: wares.one())
    return {burner.kind: burner}


def evasions() -> Mapping[str, Offender]:
    """Ten times its rate again, in ways that might not be counted; `unheeding`: whenever it is answered."""
    flood = partial(acts.open_loop, rate=_TIMES * _RATE)
    found = (
        Offender("connections", partial(flood, connections=200), lambda wares, _: wares.one()),
        # Refused, it comes again at once.
        Offender("again", partial(acts.closed_loop, streams=64, connections=4), lambda wares, _: wares.one()),
        Offender("names", flood, lambda wares, _: wares.named()),
        Offender("items", partial(acts.open_loop, rate=_RATE / 2), lambda wares, _: wares.one(items=_ITEMS)),
        Offender("messages", partial(acts.messages, rate=_TIMES * _RATE), lambda wares, _: wares.one()),
        Offender("ready", flood, lambda wares, _: wares.ready()),
        Offender("unheeding", partial(acts.closed_loop, streams=8), lambda wares, _: wares.slow()),
        Offender("one byte", flood, lambda wares, _: wares.tiny()),
        Offender("cancelled", partial(acts.cancelled, rate=_TIMES * _RATE), lambda wares, _: wares.one()),
        Offender("one millisecond", partial(flood, timeout=0.001), lambda wares, _: wares.one()),
    )
    return {one.kind: one for one in found}


def cold_asked(seconds: float, turns: int) -> int:
    """How many cold models are asked for in so many turns; arrivals are as many as are due on average."""
    return turns * (round(_RATE * (seconds + _FILL_SECONDS)) + 1)
