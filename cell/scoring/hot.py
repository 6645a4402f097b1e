"""The hot path: requests that are answered in the turn in which they came: no task, no future, no lease.

    read      natively, if the request is plain (`codec/plain.pyx`)
    find      its models, if they are resident, or load in no time: small, and the file in the page cache
    add       its rows to the others' (`score.pyx`), while there is little to score
    run       one native call for all of them
    answer    each by itself, as protobuf (`encode.pyx`); all leave in one write a connection

It happens between two turns of the event loop, so a model that was found stays (`score.pyx` sees to it that
it outlives the loads of others). When a read has brought much, the calls behind wait in the `backlog`, from
which owners are served in turns, some in each turn of the loop; what comes meanwhile takes its place there.
A plain call with a cold model waits for that (`cold.py`) and then comes here again. One that an old shard map
dealt is refused at once: its router may send very many; and so is one for which nothing is loaded. What
cannot go this way (not plain, long work by itself, no time left) is handed back, and `pipeline.py` serves it:
slower, in a task of its own, with the same answer. Of a request with many items each goes its own way.

A load on the event loop takes the loop's turn, so that there are few: they have a part of the time
(`_Spare`), and none is begun while others wait for theirs. One cold model now and then is here at once; a
storm of them goes through the load queue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from cell.codec.fence import Fence, StaleMap
from cell.codec.plain import STALE, Plain, read_infer, read_items
from cell.engines import Scorer
from cell.loading.host import Host
from cell.loading.refusals import ColdLoads
from cell.scoring.backlog import Backlog
from cell.scoring.encode import infer_answer, item_answer
from cell.scoring.latency import COLD_QUEUE, HOT_QUEUE, HOT_SCORE
from cell.scoring.queuebounds import SHED, Overloaded
from cell.scoring.score import Scoring
from croupier.fairness import Who
from croupier.fields import join_first
from croupier.priorities import NAMES, known
from croupier.protocol import COLD_ANSWER, cold_answer
from croupier.telemetry.metrics import LoopCounter
from croupier.transport.http2.limits import MAX_MESSAGE_BYTES
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.status import from_error

_ANSWERED = LoopCounter("croupier_cell_hot_rows_total", "Requests and items answered by the hot path")

# So much is scored at one go, in nanoseconds by the models' own estimates, and one request with more is for a
# thread: every other connection waits meanwhile. The general way costs more.
MOST_NANOSECONDS = 300_000.0

# Of a request, its rows apart.
_LEAST_NANOSECONDS = 3_000.0
# Of an item beside its row: reading it, and its answer.
_ITEM_NANOSECONDS = 1_500.0
# Of a load of a small model.
_LOAD_NANOSECONDS = 80_000.0
# Of a model that is waited for: reading its request, and its place in the queue of work. In a burst, whose
# first requests find nothing in the processor's caches, it is twice what a loop of them takes.
_COLD_NANOSECONDS = 16_000.0
# What loads on the hot path may take of the event loop: this part of its time, and at once no more than that.
_LOAD_SHARE = 0.1
_MOST_LOAD_SECONDS = 0.00025

# The results of a PredictRequest by item, each as its bytes; None where there is none yet.
Results: TypeAlias = list[bytes | None]


class Answered(NamedTuple):
    """What has become of a read's calls, beside those that are answered.

    `left` have to go the general way, with the results they have. `cold` wait for artifacts, of which each is
    said whose it is. `some_wait` for the next turn: then call again when others have had theirs.
    """

    left: list[tuple[ServerCall, Results]]
    cold: list[tuple[ServerCall, dict[bytes, Who]]]
    some_wait: bool


class _Spare:
    """Time for loads: `_LOAD_SHARE` of what passes, saved up to `_MOST_LOAD_SECONDS`."""

    __slots__ = ("_left", "_since")

    def __init__(self) -> None:
        self._left, self._since = _MOST_LOAD_SECONDS, 0.0

    def take(self, seconds: float, now: float) -> bool:
        """Whether there are so many seconds; then they are spent."""
        self._left = min(_MOST_LOAD_SECONDS, self._left + _LOAD_SHARE * (now - self._since))
        self._since = now
        if self._left < seconds:
            return False
        self._left -= seconds
        return True


class _Read:
    """What is answered at one go: calls with their places in `scoring`, and who is `left` or `cold`."""

    __slots__ = (
        "cold",
        "hits",
        "inferring",
        "is_again",
        "left",
        "loaded",
        "now",
        "predicting",
        "scoring",
    )

    def __init__(self, now: float, is_again: bool) -> None:
        self.now = now
        # Its calls were here before, and are counted.
        self.is_again = is_again
        # Models that were loaded in it: their first use is the miss that was counted.
        self.loaded: set[bytes] = set()
        # Uses of models that were here, to be counted.
        self.hits = 0
        self.scoring = Scoring()
        self.inferring: list[tuple[ServerCall, int]] = []
        self.predicting: list[tuple[ServerCall, list[int]]] = []
        self.left: list[tuple[ServerCall, Results]] = []
        self.cold: list[tuple[ServerCall, dict[bytes, Who]]] = []


class HotPath:
    """Answers the calls of one read.

    `max_rows` bounds the rows or items of one request, `max_answer` the bytes of its answer; `fence` keeps
    out what an old shard map dealt.
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
        fence: Fence | None = None,
    ) -> None:
        self._host = host
        self._fence = fence or Fence()
        self._stale = from_error(StaleMap())
        self._not_loaded = from_error(ColdLoads())
        self._overloaded = from_error(Overloaded())
        self._infer_path = infer_path
        self._max_rows = max_rows
        self._clock = clock
        self._most = most_nanoseconds
        self._max_answer = max_answer
        self._backlog = Backlog()
        self._spare = _Spare()

    def answer(self, calls: Sequence[ServerCall] = ()) -> Answered:
        """Answer what can be answered at once, of `calls` and of those that wait."""
        read = _Read(self._clock(), is_again=False)
        try:
            if self._backlog:
                self.put_off(calls, read.now)
                self._take_turns(read)
            else:
                self._take_all(calls, read)
            self._run(read)
        finally:
            read.scoring.let_go()
        self._reply(read)
        return Answered(read.left, read.cold, bool(self._backlog))

    def answer_again(self, calls: Sequence[ServerCall]) -> tuple[list[tuple[ServerCall, Results]], int]:
        """Answer calls whose models were waited for, and are here, as many as fit one go.

        Returns those that have to go the general way all the same, and how many of `calls` were looked at.
        """
        read = _Read(self._clock(), is_again=True)
        taken = 0
        try:
            while taken < len(calls) and not self._is_full(read.scoring):
                self._take_in(calls[taken], read)
                taken += 1
            self._run(read)
        finally:
            read.scoring.let_go()
        self._reply(read)
        return read.left, taken

    def _run(self, read: _Read) -> None:
        """Score what was taken in."""
        if not len(read.scoring):
            return
        began = self._clock()
        read.scoring.run()
        seconds = self._clock() - began
        HOT_SCORE.observe(seconds)
        observe = (COLD_QUEUE if read.is_again else HOT_QUEUE).observe
        for call, _ in (*read.inferring, *read.predicting):
            observe(began - call.arrived)
            if call.span is not None:
                call.span.past("score", seconds, rows=len(read.scoring))

    def put_off(self, calls: Sequence[ServerCall], now: float | None = None) -> None:
        """Have calls wait for the turns to come, or refuse them while what waits stands."""
        now = self._clock() if now is None else now
        for priority, call in self._backlog.put(calls, now):
            self.refuse(priority, call)

    def refuse(self, priority: int, call: ServerCall) -> None:
        """Tell a call that too much waits here."""
        SHED.values[NAMES[priority],] += 1
        call.fail(self._overloaded.code, self._overloaded.message, self._overloaded.details)

    def _take_all(self, calls: Sequence[ServerCall], read: _Read) -> None:
        """As they came, which is no matter while all fit."""
        scoring, most, most_size, take_in = read.scoring, self._most, self._max_answer, self._take_in
        for taken, call in enumerate(calls):
            # `_is_full`, without a call for each.
            if scoring.cost >= most or scoring.size >= most_size:
                self.put_off(calls[taken:], read.now)
                return
            take_in(call, read)

    def _take_turns(self, read: _Read) -> None:
        scoring = read.scoring
        while not self._is_full(scoring) and (taken := self._backlog.take(read.now)) is not None:
            who, call = taken
            cost = scoring.cost
            self._take_in(call, read)
            self._backlog.charge(who, _LEAST_NANOSECONDS + scoring.cost - cost)

    def _is_full(self, scoring: Scoring) -> bool:
        return scoring.cost >= self._most or scoring.size >= self._max_answer

    def _take_in(self, call: ServerCall, read: _Read) -> None:
        if call.deadline <= read.now:
            read.left.append((call, []))
        elif call.path == self._infer_path:
            self._take_infer(call, read)
        elif (items := read_items(call.message, self._max_rows, self._fence)) is None:
            read.left.append((call, []))
        elif not self._is_cold(call, items, read):
            scoring = read.scoring
            most, most_size = scoring.cost + self._most, scoring.size + self._max_answer
            read.predicting.append((call, [self._add(item, read, most, most_size) for item in items]))
            # Behind them, so that no item goes the general way, which costs more, for what all of them cost.
            scoring.charge(_ITEM_NANOSECONDS * len(items))

    def _take_infer(self, call: ServerCall, read: _Read) -> None:
        """The way of nearly every request: one look-up, one row."""
        plain = read_infer(call.message, self._fence)
        if plain is STALE:
            call.fail(self._stale.code, self._stale.message, self._stale.details)
            return
        scorer = None if plain is None else self._host.find(plain.artifact, read.now)
        scoring, place = read.scoring, -1
        if scorer is not None:
            assert plain is not None
            place = self._score(
                plain, scorer, read, scoring.cost + self._most, scoring.size + self._max_answer
            )
        elif plain is not None:
            if plain.resident_only and not self._host.has(plain.artifact):
                call.fail(self._not_loaded.code, self._not_loaded.message, self._not_loaded.details)
                return
            if self._is_cold(call, (plain,), read):
                return
            place = self._add(plain, read, scoring.cost + self._most, scoring.size + self._max_answer)
        if place < 0:
            read.left.append((call, []))
        else:
            read.inferring.append((call, place))

    def _is_cold(self, call: ServerCall, plains: Sequence[Plain | bytes | None], read: _Read) -> bool:
        """Whether models of a call are not here; then it is among the cold ones."""
        cold: dict[bytes, Who] = {}
        places: list[int] = []
        most = read.scoring.cost + self._most
        for place, plain in enumerate(plains):
            if isinstance(plain, Plain) and plain.artifact not in cold:
                artifact = plain.artifact
                # What is loaded for nobody here is refused in the general way.
                if not self._host.has(artifact) and not plain.resident_only:
                    places.append(place)
                    if not self._load(call, plain, read, most):
                        cold[artifact] = known(plain.priority), plain.owner
        if places:
            call.noted = COLD_ANSWER if len(plains) == 1 else cold_answer(places, call.noted)
        if not cold:
            return False
        read.scoring.charge(_COLD_NANOSECONDS * len(cold))
        if read.is_again:
            # It was here a moment ago: something is wrong with it, which the general way says.
            read.left.append((call, []))
        else:
            read.cold.append((call, cold))
        return True

    def _add(self, plain: Plain | bytes, read: _Read, most: float, most_size: int) -> int:
        """The place of an item among those to score; -1 if it cannot be, or costs too much."""
        if not isinstance(plain, Plain):
            return -1
        scorer = self._host.find(plain.artifact, read.now)
        return -1 if scorer is None else self._score(plain, scorer, read, most, most_size)

    def _score(self, plain: Plain, scorer: Scorer, read: _Read, most: float, most_size: int) -> int:
        """The place of what has its model here; it is counted once, here or where it goes from here."""
        place = -1 if plain.rows > self._max_rows else read.scoring.add(plain, scorer, most, most_size)
        is_counted = read.is_again
        if read.loaded and plain.artifact in read.loaded:
            read.loaded.discard(plain.artifact)
            is_counted = True
        if place < 0:
            self._host.take_back(plain.artifact)
            if is_counted:
                self._host.was_counted(plain.artifact)
        elif not is_counted:
            read.hits += 1
        return place

    def _load(self, call: ServerCall, plain: Plain, read: _Read, most: float) -> bool:
        """Load a model at once, if there is time for that; whether it is here."""
        host, scoring = self._host, read.scoring
        if host.is_loading or scoring.cost + _LOAD_NANOSECONDS > most:
            return False
        if not self._spare.take(_LOAD_NANOSECONDS / 1e9, read.now):
            return False
        scoring.charge(_LOAD_NANOSECONDS)
        began = self._clock()
        if host.load_now(plain.artifact, plain.owner) is None:
            return False
        if call.span is not None:
            call.span.past("load", self._clock() - began)
        read.loaded.add(plain.artifact)
        return True

    def _reply(self, read: _Read) -> None:
        scoring = read.scoring
        _ANSWERED.values[()] += len(scoring)
        self._host.count_hits(read.hits)
        for call, place in read.inferring:
            call.reply(infer_answer(scoring, place))
        took_us = int((self._clock() - read.now) * 1e6)
        for call, places in read.predicting:
            if min(places) < 0:
                read.left.append((call, [_result(scoring, place, took_us) for place in places]))
            else:
                call.reply(join_first([item_answer(scoring, place, took_us) for place in places]))


def _result(scoring: Scoring, place: int, took_us: int) -> bytes | None:
    return None if place < 0 else item_answer(scoring, place, took_us)
