"""When the steps of a load ended, for who waits for it and is traced: each began when the one before ended.

    queue   it had its turn
    disk    a thread has looked into the local disk's file: read it, and checked its digest
    store   the same of what the object store has
    check   it is of a form and an engine that this cell knows
    build   there is room, and the engine has made it ready

A load belongs to nobody, and most are in no trace: all are marked, which takes less than to ask who waits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from croupier.telemetry.traces import Span


class Mark(NamedTuple):
    """`at` is on the clock of `time.perf_counter`."""

    step: str
    at: float


class Marks(list[Mark]):
    """Those of one load."""

    def __call__(self, step: str) -> None:
        self.append(Mark(step, time.perf_counter()))


def tell(span: Span, marks: Sequence[Mark]) -> None:
    """Spans for the steps of a load that ends now, as far as `span`, which waited for it, was there."""
    now, clock, began = span.tracer.now(), time.perf_counter(), span.began
    for step, at in marks:
        ended = now - int((clock - at) * 1e9)
        if ended > began:
            span.between(step, began, ended)
            began = ended
