"""Plain calls that wait for their models without a task: answered once, whatever becomes of the loads."""

from __future__ import annotations

import math
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.cells import Clock, SumScorer, digest
from support.residency import resident
from support.waiting import eventually

from cell.engines import ArtifactRefused
from cell.loading.host import Host
from cell.loading.slices import Slices
from cell.residency.residency import Residency
from cell.scoring.cold import ColdCalls
from croupier.errors import InternalError, Unavailable
from croupier.request_ids import RequestId
from croupier.telemetry.logs import fields_of
from croupier.telemetry.traces import Kind, Span, Tracer

A, B, C = map(digest, "abc")


@dataclass
class Call:
    """Stands in for a `ServerCall`."""

    deadline: float = math.inf
    is_open: bool = True
    on_cancel: Callable[[], None] | None = None
    failures: list[tuple[int, str]] = field(default_factory=list)
    span: Any = None
    arrived: float = field(default_factory=time.monotonic)
    request_id: RequestId = field(default_factory=lambda: RequestId("mine"))

    def fail(self, code: int, message: str, details: bytes = b"") -> None:
        self.failures.append((code, message))
        self.is_open = False

    def hang_up(self) -> None:
        self.is_open = False
        if self.on_cancel is not None:
            self.on_cancel()


class Loads:
    """Loads that end when told to."""

    def __init__(self) -> None:
        self.begun: list[bytes] = []
        self.done: dict[bytes, Callable[[Any], None]] = {}
        self.make_room: dict[bytes, Callable[[int], None]] = {}

    def expected_seconds(self, key: bytes) -> float:
        return 0.0

    def begin(
        self,
        key: bytes,
        make_room: Callable[[int], None],
        done: Callable[[Any], None],
        mark: Callable[[str], None],
    ) -> Any:
        self.begun.append(key)
        mark("store")
        self.make_room[key], self.done[key] = make_room, done
        return lambda: None


class Bench:
    def __init__(self, at_once: int = 100) -> None:
        self.clock = Clock()
        self.loads = Loads()
        self.residency: Residency[Any] = Residency(1000)
        self.host = Host(self.residency, self.loads, clock=self.clock, rng=random.Random(1))  # type: ignore[arg-type]
        self.waiting: list[Callable[[], None]] = []
        self.slices = Slices(self.clock, self.waiting.append)
        self.again: list[list[Any]] = []
        self.alone: list[Any] = []
        self.at_once = at_once
        self.cold = ColdCalls(self.host, self.slices, again=self._again, alone=self.alone.append)

    def _again(self, calls: Sequence[Any]) -> int:
        taken = [*calls[: self.at_once]]
        self.again.append(taken)
        # What they wait for is here, and stays until they are answered.
        assert all(self.residency._entries[key].leases for key in resident(self.residency))
        return len(taken)

    def wait(self, *keys: bytes, call: Call | None = None, owner: int = 0) -> Call:
        call = call or Call()
        self.cold.wait(call, dict.fromkeys(keys, (0, owner)), is_single=len(keys) == 1)  # type: ignore[arg-type]
        return call

    def end(self, key: bytes, error: Exception | None = None) -> None:
        """In a slice, as loads end."""

        def end() -> None:
            self.loads.make_room[key](10)
            self.loads.done[key](error or SumScorer())

        self.slices.add(end)

    def turn(self) -> None:
        waiting = [*self.waiting]
        self.waiting.clear()
        for go_on in waiting:
            go_on()

    def leases(self) -> int:
        return sum(self.residency._entries[key].leases for key in resident(self.residency))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.host.close()


async def test_those_whose_loads_ended_together_are_answered_together(bench: Bench) -> None:
    calls = [bench.wait(A), bench.wait(B), bench.wait(A)]
    bench.turn()
    assert bench.loads.begun == [A, B]
    assert bench.again == []
    bench.end(A)
    bench.end(B)
    bench.turn()
    assert bench.again == [[calls[0], calls[2], calls[1]]]
    assert bench.leases() == 0
    assert [call.on_cancel for call in calls] == [None] * 3


async def test_one_waits_for_all_of_its_models(bench: Bench) -> None:
    call = bench.wait(A, B)
    bench.turn()
    bench.end(A)
    bench.turn()
    assert bench.again == []
    assert bench.leases() == 1
    bench.end(B)
    bench.turn()
    assert bench.again == [[call]]
    assert bench.leases() == 0


async def test_of_many_models_a_few_join_at_a_time(bench: Bench) -> None:
    keys = [digest(f"{number}") for number in range(20)]
    bench.wait(*keys)
    for begun in (8, 16, 16):
        bench.turn()
        assert len(bench.loads.begun) == begun
    bench.end(keys[0])
    bench.turn()
    assert len(bench.loads.begun) == 17
    assert bench.leases() == 1


async def test_those_that_do_not_fit_a_tick_come_in_the_next_turn() -> None:
    bench = Bench(at_once=2)
    calls = [bench.wait(A) for _ in range(5)]
    bench.turn()
    bench.end(A)
    for count in (2, 4, 5):
        bench.turn()
        assert sum(map(len, bench.again)) == count
        assert bench.leases() == 5 - count
    assert [call for answered in bench.again for call in answered] == calls
    assert bench.waiting == []


@pytest.mark.parametrize(("error", "code"), [(ArtifactRefused("broken"), 9), (Unavailable("away"), 14)])
async def test_a_failure_is_the_calls_of_a_single_model(bench: Bench, error: Exception, code: int) -> None:
    call = bench.wait(A)
    bench.turn()
    bench.end(A, error)
    bench.turn()
    assert call.failures == [(code, str(error))]
    assert (bench.again, bench.alone) == ([], [])


async def test_of_several_models_the_general_way_says_which_failed(bench: Bench) -> None:
    call = bench.wait(A, B, C)
    bench.turn()
    bench.end(A)
    bench.end(B, ArtifactRefused("broken"))
    bench.turn()
    assert bench.alone == [call]
    assert call.failures == []
    assert bench.leases() == 0
    bench.end(C)
    bench.turn()
    assert bench.alone == [call]


async def test_a_bug_is_told_by_the_general_way(bench: Bench) -> None:
    call = bench.wait(A)
    bench.turn()
    bench.end(A, InternalError("secret"))
    bench.turn()
    assert (bench.alone, call.failures) == ([call], [])


async def test_who_hangs_up_leaves_its_loads_and_holds_nothing(bench: Bench) -> None:
    early, late = bench.wait(A), bench.wait(A, B)
    early.hang_up()
    bench.turn()
    bench.end(A)
    bench.turn()
    assert bench.leases() == 1
    late.hang_up()
    assert bench.leases() == 0
    bench.end(B)
    bench.turn()
    assert (bench.again, bench.alone) == ([], [])
    assert bench.leases() == 0


async def test_a_deadline_is_kept_while_a_load_takes_its_time(bench: Bench) -> None:
    call = bench.wait(A, call=Call(deadline=bench.clock.now))
    bench.turn()
    await eventually(lambda: bool(call.failures), "the deadline")
    assert [code for code, _ in call.failures] == [4]


async def test_what_has_come_meanwhile_is_answered_at_once(bench: Bench) -> None:
    bench.wait(A)
    bench.turn()
    bench.end(A)
    bench.turn()
    call = bench.wait(A)
    bench.turn()
    assert bench.again[-1] == [call]
    assert bench.loads.begun == [A]


async def test_who_waited_for_long_has_a_line_and_who_is_traced_has_spans(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[Span] = []
    call = Call(arrived=time.monotonic() - 5.0)
    call.span = Tracer(1.0, ended.append, rng=random.Random(1)).span("Predict", Kind.SERVER, None)
    bench.wait(A, B, call=call)
    bench.turn()
    bench.end(A)
    bench.end(B)
    bench.turn()
    (line,) = caplog.records
    assert fields_of(line).items() >= {"request_id": "mine", "artifact": B.hex()}.items()
    *steps, load = ended
    assert (load.name, load.attributes, load.parent_id) == ("load", {"models": 2}, call.span.span_id)
    assert {(step.name, step.parent_id) for step in steps} <= {
        ("queue", load.span_id),
        ("store", load.span_id),
    }
