"""A refusal is told at once, unless its tenant has very many: on a loop whose time a test makes."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from croupier.errors import CroupierError, NotFound, QuotaExceeded
from router.concurrency import CellsBusy
from router.pacing import BURST, LONGEST, MOST_BYTES, MOST_HELD, RATE, Pacing

AT_ONCE = round(RATE * BURST)


@dataclass
class Caller:
    """Is refused, and notes when it is told."""

    pacing: Pacing = field(default_factory=Pacing)
    now: float = 1000.0
    told: list[float] = field(default_factory=list)
    _due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _count: int = 0

    def call_later(self, seconds: float, call: Callable[..., None], *args: Any) -> None:
        self._count += 1
        heapq.heappush(self._due, (self.now + seconds, self._count, lambda: call(*args)))

    def refuse(
        self,
        tenant: str = "acme",
        error: Exception | None = None,
        size: int = 10,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        def tell() -> None:
            self.told.append(self.now)
            then()

        self.pacing.tell(CellsBusy() if error is None else error, tenant, size, self.now, tell)

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while self._due and self._due[0][0] <= until:
            self.now, _, call = heapq.heappop(self._due)
            call()
        self.now = until


@pytest.fixture
def caller(monkeypatch: pytest.MonkeyPatch) -> Caller:
    found = Caller()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: found)
    return found


def test_callers_that_come_again_at_once_are_refused_so_many_times_a_second(caller: Caller) -> None:
    def again() -> None:
        # Each takes a tenth of a millisecond, or a caller that is told at once would go on for ever.
        caller.call_later(1e-4, lambda: caller.refuse(then=again))

    for _ in range(256):
        caller.refuse(then=again)
    caller.wait(2.0)
    assert len(caller.told) == pytest.approx(2.0 * RATE + AT_ONCE, rel=0.15)


def test_who_is_refused_in_the_usual_way_is_told_at_once(caller: Caller) -> None:
    for _ in range(1000):
        before = len(caller.told)
        caller.refuse()
        assert len(caller.told) == before + 1
        caller.wait(1.01 / RATE)


def test_one_tenant_does_not_hold_up_what_others_are_told(caller: Caller) -> None:
    for _ in range(2 * AT_ONCE):
        caller.refuse()
    assert (len(caller.told), caller.pacing.held) == (AT_ONCE + 1, AT_ONCE - 1)
    caller.refuse("globex")
    assert len(caller.told) == AT_ONCE + 2


@pytest.mark.parametrize(
    ("error", "size", "is_paced"),
    [
        (QuotaExceeded("too many"), 10, True),
        (NotFound("no model"), 10, False),
        (CellsBusy(), MOST_BYTES + 1, False),
    ],
)
def test_refusals_of_small_requests_alone_are_held(
    caller: Caller, error: CroupierError, size: int, is_paced: bool
) -> None:
    for _ in range(2 * AT_ONCE):
        caller.refuse(error=error, size=size)
    assert (caller.pacing.held > 0) is is_paced


def test_what_is_held_is_bounded_and_told_in_the_end(caller: Caller) -> None:
    count = AT_ONCE + MOST_HELD + 500
    for _ in range(count):
        caller.refuse()
    assert caller.pacing.held == MOST_HELD
    caller.wait(LONGEST)
    assert (caller.pacing.held, len(caller.told)) == (0, count)
