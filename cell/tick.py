"""Requests that are answered in the tick in which they came: no task, no future, no lease.

    read      natively, if the request is plain (`plain.pyx`)
    find      its model, if it is resident
    add       its rows to the tick's others (`scoring.pyx`), while the tick stays short
    run       one native call for all of them
    answer    each by itself, as protobuf; all leave in one write a connection

It happens between two turns of the event loop, so a model that was found stays. What cannot go this way
(not plain, a cold model, much work, no time left) is handed back, and `pipeline.py` serves it: slower,
in a task of its own, with the same answer. Of a request with many items each goes its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from cell.host import Host
from cell.plain import Plain, read_infer, read_items
from cell.scoring import Scoring
from croupier.fields import join_first
from croupier.telemetry.metrics import Counter
from croupier.transport.server_session import ServerCall

_ANSWERED = Counter("croupier_cell_tick_rows_total", "Requests and items answered in the tick they came in")

# Of a tick, in nanoseconds by the models' own estimates. Longer work is for a thread: every other connection
# waits for a tick, and a switch to a thread and back costs some 100 µs.
MOST_NANOSECONDS = 500_000.0

# The results of a PredictRequest by item, each as its bytes; None where there is none yet.
Results: TypeAlias = list[bytes | None]


class Ticks:
    """Answers the calls of one read; `max_rows` bounds the rows or items of one request."""

    def __init__(
        self,
        host: Host,
        *,
        infer_path: str,
        max_rows: int,
        clock: Callable[[], float],
        most_nanoseconds: float = MOST_NANOSECONDS,
    ) -> None:
        self._host = host
        self._infer_path = infer_path
        self._max_rows = max_rows
        self._clock = clock
        self._most = most_nanoseconds

    def answer(self, calls: Sequence[ServerCall]) -> list[tuple[ServerCall, Results]]:
        """Answer what can be answered at once; returns the other calls, with the results they have."""
        now = self._clock()
        scoring = Scoring()
        inferring: list[tuple[ServerCall, int]] = []
        predicting: list[tuple[ServerCall, list[int]]] = []
        left: list[tuple[ServerCall, Results]] = []
        for call in calls:
            if call.deadline <= now:
                left.append((call, []))
            elif call.path == self._infer_path:
                place = self._add(read_infer(call.message), scoring, now)
                if place < 0:
                    left.append((call, []))
                else:
                    inferring.append((call, place))
            elif (items := read_items(call.message, self._max_rows)) is None:
                left.append((call, []))
            else:
                predicting.append((call, [self._add(item, scoring, now) for item in items]))
        if len(scoring):
            scoring.run()
            _ANSWERED.inc(len(scoring))
        for call, place in inferring:
            call.reply(scoring.infer_answer(place))
        took_us = int((self._clock() - now) * 1e6)
        for call, places in predicting:
            if min(places) < 0:
                left.append((call, [_result(scoring, place, took_us) for place in places]))
            else:
                call.reply(join_first([scoring.item_answer(place, took_us) for place in places]))
        return left

    def _add(self, plain: Plain | bytes | None, scoring: Scoring, now: float) -> int:
        """The place of a request or an item in `scoring`; -1 if it cannot be scored there."""
        if not isinstance(plain, Plain) or plain.rows > self._max_rows:
            return -1
        scorer = self._host.find(plain.artifact, now)
        return -1 if scorer is None else scoring.add(plain, scorer, self._most)


def _result(scoring: Scoring, place: int, took_us: int) -> bytes | None:
    return None if place < 0 else scoring.item_answer(place, took_us)
