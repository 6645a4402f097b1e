"""The loop of a worker: it sends what is due, whether or not what came before was answered.

    due? ──▶ on a line each, in turn ──▶ flushed ──▶ sent: how late is counted
     └──no──▶ a timer, up to shortly before it is; then the loop goes round without sleep

A latency counts from the moment at which a request was *due*, as it was planned before the run: what waits
since the server, the connection or this loop fell behind has waited, and a slow answer cannot hide the
requests that came behind it. What was not even sent in the time that it may take to be answered has failed.

A closed loop sends the next request when one was answered: due is when it is sent.

What is this loop's own fault shows as lateness: other processes on the same core, and cores that slept.
Those take tens of microseconds to wake up, which is why the loop goes round, before something is due, for as
long as it was late lately. Garbage is not collected meanwhile (`worker`).
"""

from __future__ import annotations

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from croupier.transport.http2.counted_call import CountedCall, Counts
from croupier_bench.cells import ASKING
from croupier_bench.ends import UNSENT, Ends
from croupier_bench.lines import Line, Outbox
from croupier_bench.source import Ahead, Asking
from croupier_bench.streams import Asked, Streams
from croupier_bench.timer import Timer

PREDICT_STREAM = b"/croupier.prediction.v1.PredictionService/PredictStream"

# Requests that are sent before answers are looked for.
_AT_ONCE = 64
# Overdue calls are looked for so often.
_SWEEP_SECONDS = 0.02
# How long before something is due the loop stays awake.
_LEAST_AWAKE, _MOST_AWAKE = 30e-6, 300e-6
# One round without anything to do takes less; what takes longer was another process's time.
_MOST_IDLE = 50e-6
# A closed loop does not ask at once again for what has failed.
_AGAIN_SECONDS = 0.01
# 2^64 over the golden ratio: spreads consecutive numbers evenly.
_SPREAD = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a loop works with. `kept` is the share of answers that are looked at, and `asks_cells` that of the
    requests that ask which cell answers.

    On the clock of `time.monotonic`, it begins at `begin`, and its warm-up lasts until the start that
    `counts` know.
    """

    feed: Ahead
    asking: Asking
    lines: Sequence[Line]
    outbox: Outbox
    counts: Counts
    ends: Ends
    classes: int
    begin: float
    timeout: float
    kept: float = 0.0
    asks_cells: float = 0.0
    worker: int = 0
    workers: int = 1


class Sender(ABC):
    """What both loops share: the next requests, and the lines that they go out on in turn."""

    def __init__(self, setup: Setup) -> None:
        self.started = 0
        self.due_by_second: dict[int, int] = {}
        self.sent_by_class = [0] * setup.classes
        # Seconds that went by with nothing to do, and not asleep.
        self.idle = 0.0
        self.is_over = asyncio.Event()
        self._feed = setup.feed
        self._lines, self._outbox = setup.lines, setup.outbox
        self._counts, self._ends = setup.counts, setup.ends
        self._begin, self._timeout = setup.begin, setup.timeout
        self._worker, self._workers = setup.worker, setup.workers
        self._kept_below = round(setup.kept * 2**32)
        self._asks_below = round(setup.asks_cells * 2**32)
        self._streams = Streams(setup.lines, setup.counts, setup.ends)
        self._message, self._metadata = setup.asking.message, setup.asking.metadata
        self._paths = [setup.asking.path(number) for number in range(setup.classes)]
        self._is_stream = [path == PREDICT_STREAM for path in self._paths]
        self._loop = asyncio.get_running_loop()
        self._timer = Timer(self._on_time)
        self._next_sweep = 0.0
        self._is_stopped = False
        # The piece that is being sent, and the place in it of the next one.
        self._times: list[float] = []
        self._kinds: list[int] = []
        self._models: list[int] = []
        self._at = 0
        self._taken = 0

    @property
    def under_way(self) -> int:
        return self.started - self._counts.ended

    def close(self) -> None:
        self._timer.close()
        self._streams.close()

    @abstractmethod
    def _on_time(self) -> None:
        """The timer has gone off, or was late."""

    def _has_next(self) -> bool:
        return self._at < len(self._times) or self._next_piece()

    def _next_piece(self) -> bool:
        """Come to the next requests; False after the last one."""
        part = None if self._is_stopped else self._feed.take()
        self._taken += self._at
        self._at = 0
        if part is None:
            self._times, self._kinds, self._models = [], [], []
            return False
        self._times = (part.due + self._begin).tolist()
        self._kinds, self._models = part.class_index.tolist(), part.model_index.tolist()
        return True

    def _start(self, line: Line, due: float) -> CountedCall | None:
        """Put the next request on its way, if `line` takes it; None for one that is no call of its own."""
        at = self._at
        self._at = at + 1
        kind, model = self._kinds[at], self._models[at]
        number = (self._taken + at) * self._workers + self._worker
        self.started += 1
        if due >= self._counts.start:
            self.sent_by_class[kind] += 1
        place = number * _SPREAD >> 32 & 0xFFFFFFFF
        is_kept = place < self._kept_below
        message, pairs = self._message(kind, model, number), self._metadata(kind, model)
        if self._is_stream[kind]:
            self._streams.send(self._paths[kind], message, pairs, Asked(kind, model, number, due, is_kept))
            return None
        if place < self._asks_below:
            pairs, is_kept = (*pairs, ASKING), True
        call = CountedCall(
            self._paths[kind], message, self._timeout, pairs, kind, model, number, due, is_kept
        )
        line.send(call)
        return call

    def _note_due(self, due: float) -> None:
        if (since := due - self._counts.start) >= 0:
            second = int(since)
            self.due_by_second[second] = self.due_by_second.get(second, 0) + 1

    def _sweep(self, now: float) -> None:
        self._next_sweep = now + _SWEEP_SECONDS
        for line in self._lines:
            line.expire(now - self._timeout)
        self._streams.expire(now - self._timeout)


class OpenLoop(Sender):
    """Sends requests when they are due; `never_sleeps` where there are cores to spare."""

    def __init__(self, setup: Setup, *, never_sleeps: bool = False) -> None:
        super().__init__(setup)
        self._never_sleeps = never_sleeps
        self._awake = _LEAST_AWAKE
        self._set_to = 0.0
        # Since when there was nothing to do, and how many had ended by then; 0 when there was.
        self._idle_since = 0.0
        self._ended = 0

    def begin(self) -> None:
        self._next_piece()
        self._turn()

    def stop(self) -> None:
        """Send no more."""
        self._is_stopped = True
        self._taken += self._at
        self._times, self._at = [], 0
        self._timer.set(0.0)

    def _turn(self) -> None:
        now = time.monotonic()
        if self._idle_since and self._counts.ended == self._ended:
            self.idle += min(now - self._idle_since, _MOST_IDLE)
        self._idle_since = 0.0
        if self._at < len(self._times) and self._times[self._at] <= now:
            now = self._send_due(now)
        if not self._has_next() and not self.under_way:
            self.is_over.set()
            return
        if now >= self._next_sweep:
            self._sweep(now)
        self._wait(now)

    def _send_due(self, now: float) -> float:
        """Send what is due at `now`, or a part of it if it is much; returns what time it is then."""
        times, lines = self._times, self._lines
        end = min(len(times), self._at + _AT_ONCE)
        give_up = now - self._timeout
        calls = []
        self._outbox.touched = []
        while (at := self._at) < end and (due := times[at]) <= now:
            self._note_due(due)
            if due <= give_up:
                self._miss(due, now)
            elif (call := self._start(lines[(self._taken + at) % len(lines)], due)) is not None:
                calls.append(call)
        self._outbox.flush()
        now = time.monotonic()
        self._counts.sent(calls, now)
        self._streams.sent(now)
        return now

    def _miss(self, due: float, now: float) -> None:
        """Nobody waits for it any more."""
        self.started += 1
        self._ends.fail(self._kinds[self._at], due, now, UNSENT)
        self._at += 1

    def _wait(self, now: float) -> None:
        due = self._times[self._at] if self._times else math.inf
        if due - now <= self._awake or self._never_sleeps:
            self._idle_since, self._ended = now, self._counts.ended
            self._loop.call_soon(self._turn)
        else:
            self._set_to = min(due - self._awake, self._next_sweep)
            self._timer.set(self._set_to)

    def _on_time(self) -> None:
        late = time.monotonic() - self._set_to
        wanted = min(max(1.5 * late, _LEAST_AWAKE), _MOST_AWAKE)
        self._awake += (wanted - self._awake) / 16
        self._turn()


class ClosedLoop(Sender):
    """Keeps `streams` requests under way on each line until `end`."""

    def __init__(self, setup: Setup, *, streams: int, end: float) -> None:
        super().__init__(setup)
        self._width, self._end = streams, end
        self._streams.on_ended = self._on_ended

    def begin(self) -> None:
        self._next_sweep = time.monotonic()
        self._timer.set(self._next_sweep)
        for line in self._lines:
            line.on_ended = self._on_ended
            self._refill(line, self._width)

    def stop(self) -> None:
        self._is_stopped = True

    def _refill(self, line: Line, count: int) -> None:
        now = time.monotonic()
        calls = []
        for _ in range(count):
            if self._is_stopped or now >= self._end or not self._has_next():
                break
            self._note_due(now)
            if (call := self._start(line, now)) is not None:
                calls.append(call)
        self._counts.sent(calls, now)
        self._streams.sent(now)

    def _on_ended(self, line: Line, answered: int, failed: int) -> None:
        if answered:
            self._refill(line, answered)
        if failed:
            self._loop.call_later(_AGAIN_SECONDS, self._refill, line, failed)

    def _on_time(self) -> None:
        now = time.monotonic()
        self._sweep(now)
        if (self._is_stopped or now >= self._end) and not self.under_way:
            self.is_over.set()
        else:
            self._timer.set(self._next_sweep)
