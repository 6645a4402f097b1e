import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from support.fakes import eventually, metric

from croupier.deadline import Deadline
from croupier.errors import (
    CroupierError,
    DeadlineExceeded,
    FailedPrecondition,
    InternalError,
    InvalidRequest,
    Unavailable,
)
from router.attempt import Attempts, CellUnreachable, NoCell, Outcome, Unit
from router.budget import RetryBudget
from router.pick import Health

PATIENCE = 0.05
HAND = ("a", "b", "c")
HANG = "hang"


class Fleet:
    """Cells that do, call by call, what their script says; the last line again and again."""

    def __init__(self, **scripts: Any) -> None:
        self.scripts = {cell: list(lines) for cell, lines in scripts.items()}
        self.calls: list[tuple[str, list[bytes]]] = []
        self.timeouts: list[float | None] = []
        self.cancelled: list[str] = []
        self.release = asyncio.Event()

    async def send(self, cell: str, units: Sequence[Unit], timeout: float | None) -> Sequence[Outcome]:
        self.calls.append((cell, [unit.payload for unit in units]))
        self.timeouts.append(timeout)
        lines = self.scripts.get(cell, [b"ok"])
        line = lines.pop(0) if len(lines) > 1 else lines[0]
        if line == HANG:
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.cancelled.append(cell)
                raise
            line = b"late"
        if isinstance(line, Exception):
            raise line
        if isinstance(line, dict):
            return [line.get(unit.payload, unit.payload + cell.encode()) for unit in units]
        return [line + b" " + cell.encode()] * len(units)

    @property
    def asked(self) -> list[str]:
        return [cell for cell, _ in self.calls]


def attempts(budget: float = 100.0, *, patience: float = PATIENCE, threshold: int = 3) -> Attempts:
    now = time.monotonic()
    tokens = RetryBudget(now=now, share=0.0, per_second=0.0, most=budget)
    tokens._tokens = budget
    health = Health(threshold=threshold, first=60.0, longest=60.0)
    return Attempts(health, tokens, clock=time.monotonic, patience=patience)


def within(seconds: float) -> Deadline:
    return Deadline.after(seconds, time.monotonic())


def down() -> CellUnreachable:
    return CellUnreachable("down")


async def one(fleet: Fleet, runner: Attempts | None = None, *, seconds: float = 10.0) -> bytes:
    unit = Unit(b"?", HAND)
    await (runner or attempts()).run([unit], fleet.send, within(seconds))
    return unit.answer()


async def test_the_first_cell_answers_and_no_other_is_asked() -> None:
    fleet = Fleet()
    assert await one(fleet) == b"ok a"
    assert fleet.asked == ["a"]
    assert 9.0 < (fleet.timeouts[0] or 0) <= 10.0


@pytest.mark.parametrize("error", [down(), Unavailable("busy")])
async def test_unavailable_goes_on_to_the_next_cell(error: Exception) -> None:
    fleet = Fleet(a=[error], b=[error])
    before = metric("croupier_router_retries_total")
    assert await one(fleet) == b"ok c"
    assert fleet.asked == ["a", "b", "c"]
    assert metric("croupier_router_retries_total") == before + 2


@pytest.mark.parametrize(
    "error", [InvalidRequest("bad"), FailedPrecondition("no"), InternalError("bug"), DeadlineExceeded("late")]
)
async def test_any_other_error_is_the_answer(error: CroupierError) -> None:
    fleet = Fleet(a=[error])
    with pytest.raises(type(error)) as caught:
        await one(fleet)
    assert caught.value is error
    assert fleet.asked == ["a"]


async def test_a_whole_hand_that_is_down_is_told_at_once_and_nobody_outside_it_is_asked() -> None:
    fleet = Fleet(a=[down()], b=[down()], c=[Unavailable("full", retry_after=2.0)])
    with pytest.raises(Unavailable, match="full") as caught:
        await one(fleet)
    assert caught.value.retry_after == 2.0
    assert fleet.asked == ["a", "b", "c"]


async def test_without_a_cell_there_is_nobody_to_ask() -> None:
    unit = Unit(b"?", ())
    await attempts().run([unit], Fleet().send, within(10.0))
    with pytest.raises(NoCell) as caught:
        unit.answer()
    assert caught.value.retry_after > 0


async def test_an_empty_budget_ends_the_retries() -> None:
    runner = attempts(budget=1.0)
    before = metric("croupier_router_retries_denied_total")
    fleet = Fleet(a=[down()], b=[down()])
    with pytest.raises(Unavailable):
        await one(fleet, runner)
    assert fleet.asked == ["a", "b"]
    fleet = Fleet(a=[down()])
    with pytest.raises(Unavailable):
        await one(fleet, runner)
    assert fleet.asked == ["a"]
    assert metric("croupier_router_retries_denied_total") == before + 2
    assert await one(Fleet(), runner) == b"ok a"


async def test_a_hung_cell_costs_an_attempts_time_and_cools_down() -> None:
    runner, fleet = attempts(), Fleet(a=[HANG])
    began = time.monotonic()
    assert await one(fleet, runner) == b"ok b"
    assert time.monotonic() - began < 2.0
    assert fleet.asked == ["a", "b"]
    assert fleet.cancelled == ["a"]
    assert runner.health.is_cooling("a", time.monotonic())


async def test_a_slow_answer_is_not_thrown_away_and_heals_the_cell() -> None:
    runner, fleet = attempts(), Fleet(a=[HANG], b=[HANG], c=[down()])
    asking = asyncio.create_task(one(fleet, runner))
    await eventually(lambda: len(fleet.asked) == 3, "all three are asked")
    assert runner.health.is_cooling("a", time.monotonic())
    fleet.release.set()
    assert await asking in (b"late a", b"late b")
    assert not all(runner.health.is_cooling(cell, time.monotonic()) for cell in "ab")


async def test_a_cell_that_answers_others_is_slow_and_not_hung() -> None:
    runner, fleet = attempts(), Fleet(a=[HANG, b"quick"])
    asking = asyncio.create_task(one(fleet, runner))
    await eventually(lambda: fleet.asked == ["a"], "the slow one")
    assert await one(fleet, runner) == b"quick a"
    assert await asking == b"ok b"
    assert not runner.health.is_cooling("a", time.monotonic())


async def test_without_a_budget_a_silent_cell_is_waited_for() -> None:
    runner, fleet = attempts(budget=0.0), Fleet(a=[HANG])
    asking = asyncio.create_task(one(fleet, runner))
    await eventually(lambda: runner.health.is_cooling("a", time.monotonic()), "the cell is overdue")
    fleet.release.set()
    assert await asking == b"late a"
    assert fleet.asked == ["a"]


async def test_a_caller_in_a_hurry_gets_a_second_chance() -> None:
    runner, fleet = attempts(patience=60.0), Fleet(a=[HANG])
    assert await one(fleet, runner, seconds=0.4) == b"ok b"
    assert not runner.health.is_cooling("a", time.monotonic())


async def test_short_silences_in_a_row_cool_a_cell_down() -> None:
    runner = attempts(patience=60.0, threshold=2)
    for _ in range(2):
        assert await one(Fleet(a=[HANG]), runner, seconds=0.2) == b"ok b"
    assert runner.health.is_cooling("a", time.monotonic())


async def test_the_deadline_ends_everything() -> None:
    fleet = Fleet(a=[HANG], b=[HANG], c=[HANG])
    with pytest.raises(DeadlineExceeded):
        await one(fleet, seconds=0.3)
    assert sorted(fleet.cancelled) == ["a", "b", "c"]


async def test_a_cancelled_request_cancels_its_calls() -> None:
    fleet = Fleet(a=[HANG], b=[HANG])
    asking = asyncio.create_task(one(fleet))
    await eventually(lambda: len(fleet.asked) >= 2, "two calls")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert fleet.cancelled[:2] == ["a", "b"]


async def test_a_bug_in_a_call_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        await one(Fleet(a=[ZeroDivisionError()]))


async def test_units_for_one_cell_share_a_call_and_each_goes_its_own_way_after() -> None:
    fleet = Fleet(a=[{b"2": Unavailable("busy"), b"3": InvalidRequest("bad"), b"4": Unavailable("busy")}])
    units = [Unit(b"1", ("a", "b")), Unit(b"2", ("a", "b")), Unit(b"3", ("a", "b")), Unit(b"4", ("a", "c"))]
    units.append(Unit(b"5", ("b", "a")))
    fleet.scripts |= {"b": [{}], "c": [{}]}
    await attempts().run(units, fleet.send, within(10.0))
    assert [unit.outcome for unit in units if isinstance(unit.outcome, bytes)] == [b"1a", b"2b", b"4c", b"5b"]
    assert isinstance(units[2].outcome, InvalidRequest)
    assert fleet.calls == [
        ("a", [b"1", b"2", b"3", b"4"]),
        ("b", [b"5"]),
        ("b", [b"2"]),
        ("c", [b"4"]),
    ]


async def test_a_unit_with_an_outcome_is_not_tried() -> None:
    fleet = Fleet(a=[{}])
    settled = Unit(b"1", ("a",), outcome=InvalidRequest("bad name"))
    busy = Unit(b"2", ("a",), outcome=Unavailable("no shard map"))
    units = [settled, busy, Unit(b"3", ("a",))]
    await attempts().run(units, fleet.send, within(10.0))
    assert fleet.calls == [("a", [b"3"])]
    assert units[2].answer() == b"3a"


async def test_units_of_a_hung_cell_go_on_while_the_others_are_done() -> None:
    fleet = Fleet(a=[HANG], b=[{}])
    units = [Unit(b"1", ("a", "b")), Unit(b"2", ("b", "a"))]
    await attempts().run(units, fleet.send, within(10.0))
    assert [unit.answer() for unit in units] == [b"1b", b"2b"]
    assert fleet.cancelled == ["a"]


async def test_the_deadline_takes_only_what_has_no_answer() -> None:
    fleet = Fleet(a=[HANG], b=[{}])
    units = [Unit(b"1", ("a",)), Unit(b"2", ("b",))]
    await attempts().run(units, fleet.send, within(0.2))
    assert isinstance(units[0].outcome, DeadlineExceeded)
    assert units[1].answer() == b"2b"
