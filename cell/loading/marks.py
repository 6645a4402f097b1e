"""When the steps of a load ended, for who waits for it: each began when the one before ended.

    queue   it had its turn
    disk    a thread has looked into the local disk's file: read it, and checked its digest
    store   the same of what the object store has
    check   it is of a form and an engine that this cell knows
    build   there is room, and the engine has made it ready

A load belongs to nobody, and most are in no trace: all are marked, which takes less than to ask who waits.
Who is traced is told by spans; who waited for long, by a line in the log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import NamedTuple

from croupier.request_ids import RequestId
from croupier.telemetry.traces import Span

_log = logging.getLogger(__name__)

# Who waited for so long for a model has a line in the log.
SLOW_SECONDS = 1.0


class Mark(NamedTuple):
    """`at` is on the clock of `time.monotonic`."""

    step: str
    at: float


class Marks(list[Mark]):
    """Those of one load."""

    def __call__(self, step: str) -> None:
        self.append(Mark(step, time.monotonic()))


def tell(span: Span, marks: Sequence[Mark]) -> None:
    """Spans for the steps of a load that ends now, as far as `span`, which waited for it, was there."""
    now, clock, began = span.tracer.now(), time.monotonic(), span.began
    for step, at in marks:
        ended = now - int((clock - at) * 1e9)
        if ended > began:
            span.between(step, began, ended)
            began = ended


def log_if_slow(marks: Sequence[Mark], artifact: bytes, since: float, request_id: RequestId | None) -> None:
    """Say what a load that ends now did while a request has waited, `since` that moment, if that was long."""
    now = time.monotonic()
    if now - since < SLOW_SECONDS:
        return
    fields: dict[str, object] = {"artifact": artifact.hex(), "ms": round((now - since) * 1e3)}
    for step, at in marks:
        if at > since:
            fields[f"{step}_ms"] = round((at - since) * 1e3)
            since = at
    told = {} if request_id is None else {"request_id": str(request_id)}
    _log.warning("slow: a request waited for its model", extra={**told, "fields": fields})
