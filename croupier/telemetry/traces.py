"""Spans of requests: W3C trace context in and out, and whether there is a span at all is decided first.

    caller's `traceparent` ──sampled──▶ a span, whose own `traceparent` goes on with what is called
                           ──not─────▶ none, and nothing is called on its behalf either
    no `traceparent`       ──one in 1 / ratio──▶ a span that begins a trace

Who begins a trace is not asked of each request: it is drawn how many go by before the next one does. A
request that is not sampled and fails, or takes long, gets a span made afterwards: of it alone, since what
it called knew of no trace.

Of a span go out its name, times, code, and attributes of bounded size: no payload, no feature, no token.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from enum import IntEnum
from random import Random
from typing import NamedTuple, TypeAlias

from croupier.codes import Code
from croupier.telemetry.trace_parent import trace_parent

TRACEPARENT = b"traceparent"
TRACESTATE = b"tracestate"

Value: TypeAlias = str | int | float | bool

# https://www.w3.org/TR/trace-context/: a later version may have more behind the flags.
_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1
# Of the calls that a process serves, those that may have a span of their own in a second, and at once.
MOST_PER_SECOND = 500.0
# Of what others want to have carried along: `key=value` with commas between.
_MEMBER = re.compile(
    rb"((?:[a-z][_0-9a-z\-*/]{0,255}|[a-z0-9][_0-9a-z\-*/]{0,240}@[a-z][_0-9a-z\-*/]{0,13}))"
    rb"=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
)
_MOST_STATE, _MOST_MEMBERS = 512, 32
# Of one text of an attribute.
_MOST_TEXT = 256
# Of SplitMix64: G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
_GAMMA, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_ALL = 0xFFFFFFFFFFFFFFFF
# As objects, what C has no integer for.
_ABOVE = 1 << 64


class Kind(IntEnum):
    """Whose end of a call a span is; the numbers are those of OTLP."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


# To look a member up takes longer than most that is done with it.
_INTERNAL, _SERVER = Kind.INTERNAL, Kind.SERVER


class Parent(NamedTuple):
    """The span that the caller said this is part of."""

    trace_id: int
    span_id: int
    is_sampled: bool
    state: bytes = b""


def parse(parents: Sequence[bytes], states: Sequence[bytes] = ()) -> Parent | None:
    """What a caller's metadata say; None if that is nothing, or is not as the standard has it."""
    if len(parents) != 1 or (found := _PARENT.fullmatch(parents[0])) is None:
        return None
    version, trace, span, flags, more = found.groups()
    trace_id, span_id = int(trace, 16), int(span, 16)
    if version == b"ff" or (version == b"00" and more) or not trace_id or not span_id:
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & _SAMPLED), _state(states) if states else b"")


def _state(states: Sequence[bytes]) -> bytes:
    """What others want to have carried along; b"" if any of it is not as the standard has it, or too much."""
    members: dict[bytes, bytes] = {}
    joined = b",".join(states)
    if len(joined) > _MOST_STATE:
        return b""
    for member in joined.split(b","):
        if not (member := member.strip(b" \t")):
            continue
        found = _MEMBER.fullmatch(member)
        if found is None or found[1] in members:
            return b""
        members[found[1]] = member
    return b",".join(members.values()) if len(members) <= _MOST_MEMBERS else b""


class Span:
    """What one part did in a trace. Times are nanoseconds since 1970."""

    __slots__ = (
        "attributes",
        "began",
        "code",
        "ended",
        "kind",
        "name",
        "parent_id",
        "span_id",
        "state",
        "trace_high",
        "trace_low",
        "tracer",
    )

    def __init__(
        self,
        name: str,
        kind: Kind,
        trace_id: int,
        span_id: int,
        parent_id: int,
        state: bytes,
        began: int,
        tracer: Tracer,
    ) -> None:
        high, low = divmod(trace_id, _ABOVE)
        self.fill(name, kind, high, low, span_id, parent_id, state, began, tracer)

    def fill(
        self,
        name: str,
        kind: int,
        trace_high: int,
        trace_low: int,
        span_id: int,
        parent_id: int,
        state: bytes,
        began: int,
        tracer: Tracer,
    ) -> None:
        """What `__init__` does, which takes objects in a tuple: compiled, this takes C's integers."""
        self.name, self.kind = name, kind
        self.trace_high, self.trace_low = trace_high, trace_low
        self.span_id, self.parent_id = span_id, parent_id
        self.state, self.began, self.tracer = state, began, tracer
        self.ended: int = 0
        self.code: int = 0
        self.attributes: dict[str, Value] = {}

    @property
    def trace_id(self) -> int:
        return self.trace_high * _ABOVE + self.trace_low

    def note(self, key: str, value: Value) -> None:
        """Say something more of it."""
        self.attributes[key] = value[:_MOST_TEXT] if isinstance(value, str) else value

    def pairs(self) -> tuple[tuple[bytes, bytes], ...]:
        """The metadata of what is called on its behalf."""
        parent = (TRACEPARENT, trace_parent(self.trace_high, self.trace_low, self.span_id))
        return (parent, (TRACESTATE, self.state)) if self.state else (parent,)

    def child(self, name: str, kind: Kind = _INTERNAL) -> Span:
        tracer, high, low = self.tracer, self.trace_high, self.trace_low
        return tracer.new(name, kind, high, low, self.span_id, self.state, tracer.now())

    def past(self, name: str, seconds: float, **attributes: Value) -> None:
        """Something took so long on its behalf, and has just ended."""
        now = self.tracer.now()
        self.between(name, now - int(seconds * 1e9), now, **attributes)

    def between(self, name: str, began: int, ended: int, **attributes: Value) -> None:
        """Something was done on its behalf in that time."""
        span = self.child(name)
        span.began, span.ended = began, ended
        for key, value in attributes.items():
            span.note(key, value)
        self.tracer.emit(span)

    def end(self, code: int = Code.OK) -> None:
        """It is over; once."""
        if not self.ended:
            self.ended, self.code = self.tracer.now(), code
            self.tracer.emit(self)


# The span that a task works for, where a call is served in one (`croupier/transport/steps.py`).
current: ContextVar[Span | None] = ContextVar("span", default=None)


class Tracer:
    """Begins spans, and gives those that have ended to `emit`, which takes no time and raises nothing.

    `ratio` of the requests that belong to no trace begin one: the next that does comes after `until` others,
    which whoever takes requests counts down (`due`). A caller says itself that it is sampled, and could take
    everybody's place at the collector: so many a second have a span, and no more. `now` is in nanoseconds
    since 1970.
    """

    def __init__(
        self,
        ratio: float,
        emit: Callable[[Span], None],
        *,
        rng: Random,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self.ratio, self.emit, self.now = ratio, emit, now
        self._random, self._state = rng.random, rng.getrandbits(64)
        self._left, self._since = MOST_PER_SECOND, 0
        self.until = self._gap()

    def begin(self, name: str, values: Callable[[bytes], tuple[bytes, ...]]) -> Span | None:
        """The span of a call of the method at the path `name`; `values` looks up its metadata.

        None: it is not sampled.
        """
        if parents := values(TRACEPARENT):
            parent = parse(parents, values(TRACESTATE))
            if parent is not None:
                return self.span(name, Kind.SERVER, parent) if parent.is_sampled and self._may() else None
        self.until -= 1.0
        return self.root(name) if self.due(1) else None

    def due(self, count: int) -> list[int]:
        """Which of `count` requests, by which `until` was just counted down, begin a trace: their places."""
        found = []
        while self.until < 0.0:
            found.append(count + int(self.until))
            self.until += 1.0 + self._gap()
        return found

    def root(self, name: str) -> Span | None:
        """The span of a call that begins a trace; None: there are too many."""
        return self._begun(name, _SERVER) if self._may() else None

    def _gap(self) -> float:
        """How many go by before the next one: each of them had the same chance."""
        if not 0.0 < self.ratio < 1.0:
            return math.inf if self.ratio <= 0.0 else 0.0
        return math.floor(math.log1p(-self._random()) / math.log1p(-self.ratio))

    def _may(self) -> bool:
        now, most = self.now(), MOST_PER_SECOND
        self._left = min(most, self._left + max(0, now - self._since) * 1e-9 * most)
        self._since = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def span(self, name: str, kind: Kind, parent: Parent | None) -> Span:
        """A span, whether or not it would be sampled."""
        if parent is None:
            return self._begun(name, kind)
        high, low = divmod(parent.trace_id, _ABOVE)
        return self.new(name.removeprefix("/"), kind, high, low, parent.span_id, parent.state, self.now())

    def _begun(self, name: str, kind: int) -> Span:
        """A span that begins a trace."""
        # As arguments they would be made in any order.
        high, low = self._id(), self._id()
        return self.new(name.removeprefix("/"), kind, high, low, 0, b"", self.now())

    def new(
        self, name: str, kind: int, trace_high: int, trace_low: int, parent_id: int, state: bytes, began: int
    ) -> Span:
        span = Span.__new__(Span)
        span.fill(name, kind, trace_high, trace_low, self._id(), parent_id, state, began, self)
        return span

    def _id(self) -> int:
        """One that comes again after 2⁶⁴ others; 0 stands for none."""
        self._state = (self._state + _GAMMA) & _ALL
        mixed = self._state
        mixed = (mixed ^ mixed >> 30) * _FIRST & _ALL
        mixed = (mixed ^ mixed >> 27) * _SECOND & _ALL
        return mixed ^ mixed >> 31 or 1

    def afterwards(
        self,
        name: str,
        values: Callable[[bytes], tuple[bytes, ...]],
        seconds: float,
        code: int,
        attributes: Mapping[str, Value],
    ) -> None:
        """Make a span of a call that ends now and turned out to be worth one."""
        span = self.span(name, Kind.SERVER, parse(values(TRACEPARENT), values(TRACESTATE)))
        span.began -= int(seconds * 1e9)
        for key, value in attributes.items():
            span.note(key, value)
        span.end(code)
