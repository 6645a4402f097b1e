"""How much a scenario asks, and how that changes: its table [load]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from croupier_bench.keys import Table

OPEN, CLOSED = "open", "closed"
POISSON, CONSTANT = "poisson", "constant"
STEADY, STEPS, BURSTS, WAVE = "steady", "steps", "bursts", "wave"

MAX_RATE = 10_000_000
MAX_SECONDS = 7 * 86_400
MAX_WORKERS = 256
MAX_CONNECTIONS = 65_536
# Of a closed loop, on all connections together.
MAX_UNDER_WAY = 1_000_000
_STREAMS = 32
_MAX_STEPS = 10_000
_MAX_TIMES = 1_000
# Of what repeats itself.
_MIN_PERIOD = 0.01


@dataclass(frozen=True, slots=True)
class Shape:
    """How the rate changes, from the end of the warm-up on; until then it is as at that moment.

    steps     each of `rates` for `every` seconds, the last one until the end
    bursts    `times` as much in the last `lasts` seconds of each `every`
    wave      a sine around the rate, of `period` seconds: with `depth` 1 from nothing to twice as much
    """

    kind: str = STEADY
    rates: tuple[float, ...] = ()
    every: float = 0.0
    times: float = 1.0
    lasts: float = 0.0
    period: float = 0.0
    depth: float = 0.0

    @classmethod
    def read(cls, table: Table) -> Self:
        """Raises ScenarioError."""
        kind = table.choice("kind", (STEADY, STEPS, BURSTS, WAVE))
        shape = cls(kind)
        if kind == STEPS:
            rates = table.rates("rates", most_of_them=_MAX_STEPS, most=MAX_RATE)
            shape = cls(kind, rates, table.seconds("every", least=_MIN_PERIOD, most=MAX_SECONDS))
        elif kind == BURSTS:
            times = table.number("times", least=1, most=_MAX_TIMES)
            every = table.seconds("every", least=_MIN_PERIOD, most=MAX_SECONDS)
            lasts = table.seconds("lasts", above=True, most=every)
            shape = cls(kind, times=times, every=every, lasts=lasts)
        elif kind == WAVE:
            period = table.seconds("period", least=_MIN_PERIOD, most=MAX_SECONDS)
            shape = cls(kind, period=period, depth=table.number("depth", 0.5, least=0, most=1))
        table.end()
        return shape

    def write(self) -> dict[str, Any]:
        """The table that is read as this."""
        told: dict[str, Any] = {"kind": self.kind}
        if self.kind == STEPS:
            told |= {"rates": list(self.rates), "every": self.every}
        elif self.kind == BURSTS:
            told |= {"times": self.times, "every": self.every, "lasts": self.lasts}
        elif self.kind == WAVE:
            told |= {"period": self.period, "depth": self.depth}
        return told


@dataclass(frozen=True, slots=True)
class Load:
    """`rate` is a second and of all workers together; 0 in a closed loop, which has none.

    `connections` are all of them; `streams` is how many requests a closed loop has under way on each.
    """

    mode: str = OPEN
    rate: float = 0.0
    arrivals: str = POISSON
    seconds: float = 30.0
    warm_up: float = 2.0
    shape: Shape = Shape()
    workers: int = 1
    connections: int = 8
    streams: int = _STREAMS
    timeout: float = 5.0

    @classmethod
    def read(cls, table: Table) -> Self:
        """Raises ScenarioError."""
        mode = table.choice("mode", (OPEN, CLOSED), OPEN)
        seconds = table.seconds("seconds", 30.0, most=MAX_SECONDS, above=True)
        warm_up = table.seconds("warm_up", 2.0, most=86_400)
        workers = table.whole("workers", 1, least=1, most=MAX_WORKERS)
        connections = table.whole("connections", max(8, workers), least=1, most=MAX_CONNECTIONS)
        if connections < workers:
            raise table.error("connections", f"{connections} for {workers} workers: each has one at least")
        timeout = table.seconds("timeout", 5.0, most=3_600, above=True)
        if mode == CLOSED:
            streams = _read_streams(table, connections)
            rate, arrivals, shape = 0.0, POISSON, Shape()
        else:
            if table.has("streams"):
                raise table.error("streams", 'an open loop sends when it is time: it takes mode = "closed"')
            streams = _STREAMS
            arrivals = table.choice("arrivals", (POISSON, CONSTANT), POISSON)
            below = table.table("shape")
            shape = Shape() if below is None else Shape.read(below)
            rate = _read_rate(table, shape)
        table.end()
        return cls(mode, rate, arrivals, seconds, warm_up, shape, workers, connections, streams, timeout)

    def write(self) -> dict[str, Any]:
        """The table that is read as this."""
        told: dict[str, Any] = {
            "mode": self.mode,
            "seconds": self.seconds,
            "warm_up": self.warm_up,
            "workers": self.workers,
            "connections": self.connections,
            "timeout": self.timeout,
        }
        if self.mode == CLOSED:
            return told | {"streams": self.streams}
        told |= {"rate": self.rate} if self.shape.kind != STEPS else {}
        return told | {"arrivals": self.arrivals, "shape": self.shape.write()}


def _read_streams(table: Table, connections: int) -> int:
    for name in ("rate", "arrivals", "shape"):
        if table.has(name):
            raise table.error(name, "a closed loop has none: it asks again when it is answered")
    streams = table.whole("streams", _STREAMS, least=1, most=MAX_UNDER_WAY)
    if streams * connections > MAX_UNDER_WAY:
        raise table.error(
            "streams", f"{streams} on each of {connections} connections are more than {MAX_UNDER_WAY} in all"
        )
    return streams


def _read_rate(table: Table, shape: Shape) -> float:
    """That of steps is the highest of theirs."""
    if shape.kind != STEPS:
        return table.rate("rate", most=MAX_RATE / shape.times)
    highest = max(shape.rates)
    if table.rate("rate", highest, most=MAX_RATE) != highest:
        raise table.error("rate", f"leave it out: the steps of the shape say it, up to {highest:g}")
    return highest
