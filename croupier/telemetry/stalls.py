"""What keeps an event loop from turning, for how long, and why: always on, at no cost to a turn.

    beat        a timer of the loop. As late as it is, so late is a request that comes then. It comes rarely
                while the loop has little to do
    section     around work that is rare and may be long (`with section("swap")`): timed whole, and named
    collection  of the garbage collector, which tells of itself: timed whole

A **stall** is a millisecond or more. What a section or a collection explains is told once, by its name. The
rest is told by what became of the time, from the kernel's books of this thread and this process:

    scheduler   the thread could have run and had to wait for a processor: others had them
    threads     it slept while other threads of this process were at work: for the interpreter's lock, most
                likely. Their sections are named: work in a thread is no stall, but may be the cause of one
    blocked     it slept, in a call that waits, or for a thread without a name that had that lock
    loop        it worked: a callback that has no name. One that works for longer than `SAMPLE_AFTER` is
                looked at meanwhile, by a signal, which shows the line of native calls as well

A section of which most did not go into its own work is told in the same way, with its name. See decision 37.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Protocol

from croupier.telemetry.admin import View, some, whereabouts

BEAT = 0.01
# While the loop has next to nothing to do: waking for a beat is then most of what the process does.
IDLE_BEAT = 0.1
_IDLE_SHARE = 0.02
STALL = 0.001
# A timer of uvloop's may come so much later by itself: it counts in whole milliseconds.
TIMER = 0.001
SAMPLE_AFTER = 0.02
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_KEPT = 50

SCHEDULER, THREADS, BLOCKED, LOOP, COLLECTION = "scheduler", "threads", "blocked", "loop", "collection"


class Observer(Protocol):
    def observe(self, value: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Used:
    """Seconds so far: by the clock, on a processor by this thread and by the process, waiting for one."""

    clock: float
    thread: float
    process: float
    waited: float

    def since(self, before: Used) -> Used:
        return Used(
            self.clock - before.clock,
            self.thread - before.thread,
            self.process - before.process,
            self.waited - before.waited,
        )


class Books:
    """What the kernel has written down of the thread that makes this."""

    def __init__(self) -> None:
        self._schedstat = -1
        # Not Linux, or not told here: then all that a thread did not work, it was not let.
        with suppress(OSError):
            self._schedstat = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)

    def __call__(self) -> Used:
        waited = 0.0
        if self._schedstat >= 0:
            waited = int(os.pread(self._schedstat, 64, 0).split()[1]) * 1e-9
        return Used(time.monotonic(), time.thread_time(), time.process_time(), waited)

    def close(self) -> None:
        if self._schedstat >= 0:
            os.close(self._schedstat)
            self._schedstat = -1


@dataclass(frozen=True, slots=True)
class Stall:
    """`at` in seconds since 1970; `where` names a section, sections of other threads, or lines of code."""

    at: float
    kind: str
    seconds: float
    thread_seconds: float
    where: str


def kind_of(late: float, used: Used, *, beat: float = 0.0, is_beside: bool = False) -> str:
    """What most of `late` went into, of `used.clock` seconds of which the first `beat` were meant to pass.

    `is_beside`: other threads had sections meanwhile. One that holds the interpreter's lock and is not let
    run has taken no time of a processor either.
    """
    worked = min(used.thread, late)
    # A loop without work sleeps until the beat is due, and what is beyond that it did not want.
    slept = used.clock - used.thread - used.waited - beat
    if used.waited >= max(worked, slept):
        return SCHEDULER
    if worked >= slept:
        return LOOP
    return THREADS if is_beside or used.process - used.thread >= late / 2 else BLOCKED


class Stalls:
    """Records the stalls of the running loop; `observe` gives whoever counts those of a kind.

    `start` and `close` are called in the loop's thread. `on_beat` is told how many seconds late each beat
    was, and when that was. One in a process is told of sections and collections: the one that was started
    last.
    """

    def __init__(
        self,
        observe: Callable[[str], Observer],
        *,
        books: Callable[[], Used] | None = None,
        beat: float = BEAT,
        idle_beat: float = IDLE_BEAT,
        on_beat: Callable[[float, float], None] = lambda late, now: None,
    ) -> None:
        self._observe = observe
        self._own = Books() if books is None else None
        self._books: Callable[[], Used] = books or self._own  # type: ignore[assignment]
        self._busy_beat, self._idle_beat = beat, idle_beat
        self._beat = beat
        self._on_beat = on_beat
        self._thread = threading.get_ident()
        self._timer: asyncio.TimerHandle | None = None
        self._last = self._books()
        # Where others want the processor too, the scheduler's are many and name nobody.
        self._ours: deque[Stall] = deque(maxlen=_KEPT)
        self._schedulers: deque[Stall] = deque(maxlen=_KEPT)
        # Since the last beat: what sections and collections have explained, and those of other threads.
        self._explained = 0.0
        self._beside: dict[str, None] = {}
        # By thread, those that have not ended.
        self._at_work: dict[int, str] = {}
        self._collecting: Used | None = None
        self._sampled = ""
        self._samples = False
        self.count = 0

    def start(self) -> None:
        """Begin; with samples where the signal is free, in a main thread."""
        global _recorder
        _recorder = self
        gc.callbacks.append(self._collected)
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL:
            signal.signal(signal.SIGALRM, self._look)
            # Calls that it comes in between go on by themselves.
            signal.siginterrupt(signal.SIGALRM, False)
            self._samples = True
        self._last = self._books()
        self._wind()

    def close(self) -> None:
        global _recorder
        if _recorder is self:
            _recorder = None
        if self._timer is not None:
            self._timer.cancel()
            gc.callbacks.remove(self._collected)
        if self._samples:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
        if self._own is not None:
            self._own.close()

    @property
    def views(self) -> dict[str, View]:
        return {
            "stalls": lambda _: {
                "count": self.count,
                "ours": some(self.ours, _told),
                "scheduler": some(self.schedulers, _told),
            }
        }

    @property
    def ours(self) -> list[Stall]:
        """The last that this process made itself, the latest first."""
        return list(reversed(self._ours))

    @property
    def schedulers(self) -> list[Stall]:
        """The last that came of having no processor, the latest first."""
        return list(reversed(self._schedulers))

    def _wind(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._beat, self._turn)
        if self._samples:
            signal.setitimer(signal.ITIMER_REAL, self._beat + SAMPLE_AFTER)

    def _turn(self) -> None:
        now = self._books()
        used = now.since(self._last)
        due = self._beat + TIMER
        late = used.clock - due
        if late >= STALL and self._explained < late / 2:
            beside = list(dict.fromkeys([*self._beside, *self._at_work.values()]))
            kind = kind_of(late, used, beat=due, is_beside=bool(beside))
            where = ", ".join(beside) if kind == THREADS else self._sampled
            self._note(kind, late, used.thread, where)
        self._explained = 0.0
        self._beside.clear()
        self._sampled = ""
        # Not what came since `now`: this is no part of a stall.
        self._last = now
        self._on_beat(max(0.0, late), now.clock)
        is_idle = used.thread < _IDLE_SHARE * used.clock
        self._beat = self._idle_beat if is_idle else self._busy_beat
        self._wind()

    def _note(self, kind: str, seconds: float, thread_seconds: float, where: str) -> None:
        self.count += 1
        self._observe(kind).observe(seconds)
        kept = self._schedulers if kind == SCHEDULER else self._ours
        kept.append(Stall(time.time(), kind, seconds, thread_seconds, where))

    def begins(self, name: str) -> Used | None:
        """A section begins; None in another thread than the loop's."""
        thread = threading.get_ident()
        if thread == self._thread:
            return self._books()
        self._at_work[thread] = name
        return None

    def ends(self, name: str, began: Used | None, where: str = "") -> None:
        """It ends, in the same thread."""
        if began is None:
            self._at_work.pop(threading.get_ident(), None)
            self._beside[name] = None
            return
        used = self._books().since(began)
        if used.clock < STALL:
            return
        self._explained += used.clock
        kind = kind_of(used.clock, used, is_beside=bool(self._beside or self._at_work))
        self._note(name if kind == LOOP else kind, used.clock, used.thread, where or name)

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting = self.begins(COLLECTION)
        else:
            self.ends(COLLECTION, self._collecting, f"collection of generation {info['generation']}")

    def _look(self, _: int, frame: FrameType | None) -> None:
        self._sampled = whereabouts(frame)


_recorder: Stalls | None = None


class section:  # noqa: N801 - it reads as the statement that it makes
    """Work that is rare and may take long, by a name of our own: as a kind of stall, it labels a metric."""

    __slots__ = ("_began", "_name", "_recorder")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._recorder = _recorder
        self._began = _recorder.begins(self._name) if _recorder is not None else None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._recorder is not None:
            self._recorder.ends(self._name, self._began)


def _told(stall: Stall) -> object:
    return {
        "at": stall.at,
        "kind": stall.kind,
        "seconds": stall.seconds,
        "thread_seconds": stall.thread_seconds,
        "where": stall.where,
    }
