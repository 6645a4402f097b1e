"""Callers that note how each request ended, and when: refusals are answers here, not failures.

A caller goes over a channel, which connects anew when the connection ends.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.calling import TIMEOUT, Done, Requests
from bench.openloop import Floats, Moments
from croupier.codes import Code
from croupier.transport.client import Channel
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.status import to_error

# Beside the codes of gRPC: it was answered, and not rightly; or nothing was heard of it.
WRONG, UNHEARD = -1, -2
_NAMES = {WRONG: "another answer", UNHEARD: "no answer", **{code.value: code.name for code in Code}}


@dataclass(frozen=True, slots=True)
class Ends:
    """By request: when it was due, the seconds from then to its end and until it was sent, its code, and what
    was said of it if it failed.
    """

    due: Floats
    seconds: Floats
    lateness: Floats
    codes: NDArray[np.int64]
    words: NDArray[np.str_]

    @property
    def since_sent(self) -> Floats:
        return self.seconds - self.lateness

    def answered_within(self, seconds: float) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (self.codes == Code.OK) & (self.seconds <= seconds)
        return found

    def by_name(self) -> Counter[str]:
        found = np.unique(self.codes, return_counts=True)
        return Counter({name_of(int(code)): int(count) for code, count in zip(*found, strict=True)})


def name_of(code: int) -> str:
    return _NAMES.get(code, f"code {code}")


@dataclass(slots=True)
class Notes:
    """What came of requests so far, by number; `words` counts what was said of those that failed."""

    codes: dict[int, int] = field(default_factory=dict)
    ended: dict[int, float] = field(default_factory=dict)
    said: dict[int, str] = field(default_factory=dict)
    words: Counter[str] = field(default_factory=Counter)

    def note(self, number: int, code: int, words: str = "") -> None:
        self.codes[number] = code
        self.ended[number] = time.perf_counter()
        if code:
            self.said[number] = words
            self.words[f"{name_of(code)}: {words}"] += 1

    def ends(self, moments: Moments) -> Ends:
        """Of an open loop's requests; those that nothing was heard of took for ever."""
        numbers = range(len(moments.due))
        ended = np.array([self.ended.get(number, np.inf) for number in numbers])
        codes = np.array([self.codes.get(number, UNHEARD) for number in numbers], dtype=np.int64)
        words = np.array([self.said.get(number, "") for number in numbers], dtype=np.str_)
        return Ends(moments.due, ended - moments.due, moments.lateness, codes, words)


class NotingCaller:
    """`timeout` in seconds is what the peer is told. One that `heeds` retries when it may."""

    def __init__(
        self, channel: Channel, notes: Notes, timeout: float = TIMEOUT, *, heeds: bool = False
    ) -> None:
        self._channel = channel
        self._notes = notes
        self._timeout = timeout
        self._heeds = heeds
        self._loop = asyncio.get_running_loop()

    def start(self, load: Requests, number: int, done: Done) -> None:
        def ended(call: ClientCall) -> None:
            is_right = call.code == Code.OK and load.is_answer(number, call.message)
            code = call.code or (Code.OK if is_right else WRONG)
            self._notes.note(number, code, call.status_message)
            if self._heeds and call.code:
                error = to_error(call.code, call.status_message, call.details)
                self._loop.call_later(getattr(error, "retry_after", 0.0), partial(done, number, is_right))
            else:
                done(number, is_right)

        tenant = (b"croupier-tenant", load.tenant(number))
        self._channel.start(load.path, load.message(number), self._timeout, ended, (tenant,))


def callers(
    channels: Sequence[Channel], notes: Notes, timeout: float = TIMEOUT, *, heeds: bool = False
) -> list[NotingCaller]:
    return [NotingCaller(channel, notes, timeout, heeds=heeds) for channel in channels]
