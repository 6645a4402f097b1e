"""What cells are told of a request beside what is asked, and its spans: one for each call to a cell.

And one for requests that nobody traced and that came to trouble: made afterwards, of the router alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from croupier.codes import Code
from croupier.errors import CroupierError
from croupier.request_ids import Named
from croupier.telemetry.traces import Kind, Span, Tracer
from croupier.transport.status import code_of
from router.cells import Metadata
from router.fanout import Fanout, Whole

if TYPE_CHECKING:
    from router.attempt import CellCall, Outcome, Started


# So many a second get a span made afterwards, and so many at once.
_LATE_PER_SECOND = 20.0
# To look a member up takes longer than most that is done with it.
_CLIENT = Kind.CLIENT
# Ends that are nobody's wish, and not the caller's fault.
_TROUBLE = frozenset(
    code.name
    for code in (
        Code.UNKNOWN,
        Code.DEADLINE_EXCEEDED,
        Code.RESOURCE_EXHAUSTED,
        Code.INTERNAL,
        Code.UNAVAILABLE,
        Code.DATA_LOSS,
    )
)


class LateSpans:
    """Spans of requests that were not sampled, and turned out to be in trouble or slow; some a second.

    `slow_seconds` is infinity for none; `clock` is monotonic, in seconds.
    """

    def __init__(self, tracer: Tracer, slow_seconds: float, *, clock: Callable[[], float]) -> None:
        self._tracer = tracer
        self._slow_seconds = slow_seconds
        self._clock = clock
        self._tokens, self._since = _LATE_PER_SECOND, clock()

    def ended(
        self,
        caller: Named,
        method: str,
        code: str,
        seconds: float,
        tenant: Callable[[], str],
        values: Callable[[bytes], tuple[bytes, ...]],
    ) -> None:
        """A request has ended; `values` looks up its metadata."""
        if caller.span is not None or (code not in _TROUBLE and seconds < self._slow_seconds):
            return
        now = self._clock()
        self._tokens = min(_LATE_PER_SECOND, self._tokens + (now - self._since) * _LATE_PER_SECOND)
        self._since = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            about = {"croupier.tenant": tenant(), "croupier.request_id": str(caller.request_id)}
            self._tracer.afterwards(method, values, seconds, Code[code], about)


class Told:
    """The exchange of one request, with whose calls `metadata` go."""

    __slots__ = ("_exchange", "_metadata")

    def __init__(self, exchange: Whole | Fanout, metadata: Metadata) -> None:
        self._exchange = exchange
        self._metadata = metadata

    def start(self, call: CellCall, timeout: float | None) -> Started:
        return self._exchange.start(call, timeout, self._metadata)

    def outcomes(self, call: CellCall, response: bytes) -> list[Outcome]:
        return self._exchange.outcomes(call, response)

    def refusal(self, outcome: bytes) -> CroupierError | None:
        return self._exchange.refusal(outcome)


class Traced:
    """As `Told`, of a request whose calls are spans below `span`, of which their cells are told."""

    __slots__ = ("_exchange", "_metadata", "_number", "_span")

    def __init__(self, exchange: Whole | Fanout, span: Span, metadata: Metadata) -> None:
        self._exchange = exchange
        self._span = span
        self._metadata = metadata
        self._number = 0

    def start(self, call: CellCall, timeout: float | None) -> Started:
        self._number += 1
        span = self._span.child("attempt", _CLIENT)
        span.note("croupier.cell", call.cell)
        span.note("croupier.attempt", self._number)
        span.note("croupier.items", len(call.units))
        try:
            started = self._exchange.start(call, timeout, self._metadata + span.pairs())
        except CroupierError as error:
            span.end(code_of(error))
            raise
        # It ends with the call, however that ends.
        started.span = span
        return started

    def outcomes(self, call: CellCall, response: bytes) -> list[Outcome]:
        return self._exchange.outcomes(call, response)

    def refusal(self, outcome: bytes) -> CroupierError | None:
        return self._exchange.refusal(outcome)
