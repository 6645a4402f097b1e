"""Requests that are answered in the tick in which they came: no task, no future, no lease.

    read      natively, if the request is plain (`plain.pyx`)
    find      its model, if it is resident, or loads in no time: small, and its file in the page cache
    add       its rows to the tick's others (`scoring.pyx`), while the tick stays short
    run       one native call for all of them
    answer    each by itself, as protobuf; all leave in one write a connection

It happens between two turns of the event loop, so a model that was found stays (`scoring.pyx` sees to it that
it outlives the loads of others). When a tick has become long, the calls behind wait in the `backlog`, from
which owners are served in turns, a tick in each turn of the loop; what comes meanwhile takes its place there.
What cannot go this way (not plain, a cold model, long work by itself, no time left) is handed back, and
`pipeline.py` serves it: slower, in a task of its own, with the same answer. Of a request with many items each
goes its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from cell.backlog import Backlog
from cell.engines import Scorer
from cell.host import Host
from cell.plain import Plain, read_infer, read_items
from cell.scoring import Scoring
from croupier.fields import join_first
from croupier.telemetry.metrics import Counter
from croupier.transport.limits import MAX_MESSAGE_BYTES
from croupier.transport.server_session import ServerCall

_ANSWERED = Counter("croupier_cell_tick_rows_total", "Requests and items answered in the tick they came in")

# A tick ends when it has so much to score, in nanoseconds by the models' own estimates, and one request with
# more is for a thread: every other connection waits meanwhile. The general way costs 120 µs more.
MOST_NANOSECONDS = 300_000.0

# Of a request, its rows apart.
_LEAST_NANOSECONDS = 3_000.0
# Of a load, measured with 16 kB.
_LOAD_NANOSECONDS = 80_000.0

# The results of a PredictRequest by item, each as its bytes; None where there is none yet.
Results: TypeAlias = list[bytes | None]


class _Tick:
    """What has been taken in: calls with their places in `scoring`, and those that are `left`."""

    __slots__ = ("inferring", "left", "most", "most_size", "now", "predicting", "scoring")

    def __init__(self, now: float) -> None:
        self.now = now
        self.scoring = Scoring()
        # What `scoring` may cost with the call that is taken in now, and how large its answers may be.
        self.most = 0.0
        self.most_size = 0
        self.inferring: list[tuple[ServerCall, int]] = []
        self.predicting: list[tuple[ServerCall, list[int]]] = []
        self.left: list[tuple[ServerCall, Results]] = []


class Ticks:
    """Answers the calls of one read.

    `max_rows` bounds the rows or items of one request, `max_answer` the bytes of its answer.
    """

    def __init__(
        self,
        host: Host,
        *,
        infer_path: str,
        max_rows: int,
        clock: Callable[[], float],
        most_nanoseconds: float = MOST_NANOSECONDS,
        max_answer: int = MAX_MESSAGE_BYTES,
    ) -> None:
        self._host = host
        self._infer_path = infer_path
        self._max_rows = max_rows
        self._clock = clock
        self._most = most_nanoseconds
        self._max_answer = max_answer
        self._backlog = Backlog()

    def answer(self, calls: Sequence[ServerCall] = ()) -> tuple[list[tuple[ServerCall, Results]], bool]:
        """Answer what can be answered at once, of `calls` and of those that wait.

        Returns the calls that have to go the general way, with the results they have, and whether some wait
        for the next tick: then call again when others have had their turn.
        """
        tick = _Tick(self._clock())
        try:
            if self._backlog:
                self._backlog.put(calls)
                self._take_turns(tick)
            else:
                self._take_all(calls, tick)
            tick.scoring.run()
        finally:
            tick.scoring.let_go()
        _ANSWERED.inc(len(tick.scoring))
        self._reply(tick)
        return tick.left, bool(self._backlog)

    def _take_all(self, calls: Sequence[ServerCall], tick: _Tick) -> None:
        """As they came, which is no matter while all fit."""
        for taken, call in enumerate(calls):
            if self._is_full(tick.scoring):
                self._backlog.put(calls[taken:])
                return
            self._take_in(call, tick)

    def _take_turns(self, tick: _Tick) -> None:
        scoring = tick.scoring
        while not self._is_full(scoring) and (taken := self._backlog.take()) is not None:
            owner, call = taken
            cost = scoring.cost
            self._take_in(call, tick)
            self._backlog.charge(owner, _LEAST_NANOSECONDS + scoring.cost - cost)

    def _is_full(self, scoring: Scoring) -> bool:
        return scoring.cost >= self._most or scoring.size >= self._max_answer

    def _take_in(self, call: ServerCall, tick: _Tick) -> None:
        tick.most = tick.scoring.cost + self._most
        tick.most_size = tick.scoring.size + self._max_answer
        if call.deadline <= tick.now:
            tick.left.append((call, []))
        elif call.path == self._infer_path:
            place = self._add(read_infer(call.message), tick)
            if place < 0:
                tick.left.append((call, []))
            else:
                tick.inferring.append((call, place))
        elif (items := read_items(call.message, self._max_rows)) is None:
            tick.left.append((call, []))
        else:
            tick.predicting.append((call, [self._add(item, tick) for item in items]))

    def _add(self, plain: Plain | bytes | None, tick: _Tick) -> int:
        """The place of a request or an item among those to score; -1 if it cannot be, or costs too much."""
        if not isinstance(plain, Plain) or plain.rows > self._max_rows:
            return -1
        scorer = self._host.find(plain.artifact, tick.now) or self._load(plain.artifact, tick)
        return -1 if scorer is None else tick.scoring.add(plain, scorer, tick.most, tick.most_size)

    def _load(self, artifact: bytes, tick: _Tick) -> Scorer | None:
        scoring = tick.scoring
        if scoring.cost + _LOAD_NANOSECONDS > tick.most:
            return None
        scorer = self._host.load_now(artifact)
        if scorer is not None:
            scoring.charge(_LOAD_NANOSECONDS)
        return scorer

    def _reply(self, tick: _Tick) -> None:
        scoring = tick.scoring
        for call, place in tick.inferring:
            call.reply(scoring.infer_answer(place))
        took_us = int((self._clock() - tick.now) * 1e6)
        for call, places in tick.predicting:
            if min(places) < 0:
                tick.left.append((call, [_result(scoring, place, took_us) for place in places]))
            else:
                call.reply(join_first([scoring.item_answer(place, took_us) for place in places]))


def _result(scoring: Scoring, place: int, took_us: int) -> bytes | None:
    return None if place < 0 else scoring.item_answer(place, took_us)
