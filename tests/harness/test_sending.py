from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from support.harness import echo, looping, part

from croupier.codes import Code
from croupier.transport.http2.server_call import ServerCall
from croupier_bench.ends import UNSENT
from croupier_bench.lines import LATE
from croupier_bench.sending import ClosedLoop, OpenLoop

Handler = Callable[[list[ServerCall]], None]


def silent(calls: list[ServerCall]) -> None: ...


def held_up(seconds: float) -> Handler:
    """Holds up the loop that it shares with the load when the first request comes."""
    came = False

    def handle(calls: list[ServerCall]) -> None:
        nonlocal came
        if not came:
            came = True
            time.sleep(seconds)
        echo(calls)

    return handle


async def test_all_are_sent_once_over_all_lines_in_turn() -> None:
    arrived: list[int] = []

    def note(calls: list[ServerCall]) -> None:
        arrived.extend(int(call.message) for call in calls)
        echo(calls)

    due = np.linspace(0, 0.05, 600).tolist()
    async with looping(note, lines=3) as loop:
        sender = await loop.play(part(due[:250]), part([]), part(due[250:]))
        seen = loop.seen(sender)
        assert sorted(arrived) == [*range(600)]
        assert {line.calls for line in loop.lines} == {0}
    assert (seen.due, seen.sent, seen.answered, seen.failed.count) == (600, 600, 600, 0)
    assert (sender.started, sender.under_way, sender.sent_by_class) == (600, 0, [600])
    assert loop.looked_at == []


async def test_nothing_is_sent_before_it_is_due() -> None:
    async with looping(echo) as loop:
        sender = await loop.play(part(np.linspace(0, 0.03, 100).tolist()))
        seen = loop.seen(sender)
    assert seen.late.count == 100
    assert seen.late.sum > 0
    assert seen.latency.sum >= seen.since.sum
    assert seen.late.counts[0] < 100


async def test_a_load_that_is_held_up_is_late_for_whatever_was_due_meanwhile() -> None:
    async with looping(held_up(0.05)) as loop:
        sender = await loop.play(part([0.0, 0.002, 0.004, 0.006]))
        seen = loop.seen(sender)
    # Of 50 ms that the first one takes at least, the others wait what is left; in their latency, too.
    assert seen.late.above(0.040) == 3
    assert seen.latency.above(0.040) == 4


async def test_a_slow_answer_hides_no_request_behind_it() -> None:
    """What a load that waits for answers would not have sent."""
    waiting: list[ServerCall] = []

    def answer_at_the_twentieth(calls: list[ServerCall]) -> None:
        waiting.extend(calls)
        if len(waiting) == 20:
            echo(waiting)

    async with looping(answer_at_the_twentieth, lines=1) as loop:
        sender = await loop.play(part([0.005 * number for number in range(20)]))
        seen = loop.seen(sender)
    assert [seen.latency.above(0.005 * number - 0.001) for number in range(1, 20)] >= [*range(19, 0, -1)]


async def test_what_is_not_answered_in_time_has_failed_with_its_whole_wait() -> None:
    async with looping(silent, timeout=0.05) as loop:
        sender = await loop.play(part([0.0, 0.001, 0.002]))
        seen = loop.seen(sender)
    assert seen.errors_of() == {f"DEADLINE_EXCEEDED: {LATE}": 3}
    assert (seen.answered, seen.failed.count) == (0, 3)
    assert seen.failed.above(0.049) == 3


async def test_what_cannot_be_sent_in_time_has_failed_and_counts_as_planned() -> None:
    async with looping(held_up(0.2), timeout=0.05) as loop:
        sender = await loop.play(part([0.0, *(0.001 * number for number in range(2, 20)), 1.0]))
        seen = loop.seen(sender)
    assert seen.errors_of()[UNSENT] == 18
    assert (seen.due, seen.sent) == (20, 2)
    assert sender.sent_by_class == [2]


async def test_the_warm_up_is_sent_and_not_counted() -> None:
    def fail_the_first(calls: list[ServerCall]) -> None:
        for call in calls:
            if call.message == b"0":
                call.fail(Code.UNAVAILABLE, "cold")
            else:
                call.reply(b"")

    async with looping(fail_the_first) as loop:
        sender = await loop.play(part([0.0, 0.005, 0.02, 0.03]), warm_up=0.01, kept=1.0)
        seen = loop.seen(sender)
    assert sender.started == 4
    assert (seen.due, seen.sent, seen.answered, seen.errors_of(), seen.seen) == (2, 2, 2, {}, 2)
    assert sender.sent_by_class == [2]


@pytest.mark.parametrize(("kept", "least", "most"), [(0.0, 0, 0), (0.25, 90, 110), (1.0, 400, 400)])
async def test_a_share_of_answers_is_looked_at(kept: float, least: int, most: int) -> None:
    async with looping(echo) as loop:
        sender = await loop.play(part([0.0] * 400), kept=kept, worker=1, workers=2)
        seen = loop.seen(sender)
    assert least <= seen.seen <= most
    # Numbers are those of the second of two workers, and a reply goes with its own.
    assert all(number % 2 == 1 and reply == b"%d" % number for number, reply in loop.looked_at)
    assert len({number for number, _ in loop.looked_at}) == seen.seen


async def test_wrong_answers_are_counted() -> None:
    async with looping(echo, is_right=lambda number, reply: "another value" if number < 3 else None) as loop:
        sender = await loop.play(part([0.0] * 10), kept=1.0)
        seen = loop.seen(sender)
    assert (seen.wrong_of(), seen.answered) == ({"another value": 3}, 10)


async def test_a_loop_that_is_stopped_waits_for_what_is_under_way() -> None:
    held: list[ServerCall] = []

    def stop_at_three(calls: list[ServerCall]) -> None:
        held.extend(calls)
        if len(held) == 3:
            sender.stop()
            echo(held)

    async with looping(stop_at_three, lines=1) as loop:
        begin = loop.counts.start = time.monotonic()
        sender = OpenLoop(loop.setup(iter([part([0.0, 0.0, 0.0, 3600.0])]), begin))
        sender.begin()
        await sender.is_over.wait()
        sender.close()
        seen = loop.seen(sender)
    assert (seen.due, seen.answered) == (3, 3)


async def test_a_closed_loop_keeps_so_many_under_way() -> None:
    most = 0
    waiting: list[ServerCall] = []

    def answer_when_all_are_there(calls: list[ServerCall]) -> None:
        nonlocal most
        waiting.extend(calls)
        most = max(most, len(waiting))
        if len(waiting) >= 8:
            echo(waiting)
            waiting.clear()

    async with looping(answer_when_all_are_there, lines=2, timeout=0.2) as loop:
        sender = await loop.play_closed(streams=4, seconds=0.1)
        seen = loop.seen(sender)
    assert most == 8
    assert seen.answered >= 16
    assert seen.due == seen.sent == seen.answered + seen.failed.count
    assert seen.late.max == 0


async def test_a_closed_loop_goes_on_after_failures() -> None:
    def refuse_every_other(calls: list[ServerCall]) -> None:
        for call in calls:
            if int(call.message) % 2:
                call.fail(Code.UNAVAILABLE, "busy")
            else:
                call.reply(b"")

    async with looping(refuse_every_other, lines=1) as loop:
        sender = await loop.play_closed(streams=1, seconds=0.1)
        seen = loop.seen(sender)
    assert seen.failed.count >= 2
    # It waits 10 ms after each: 100 ms have room for 11.
    assert seen.failed.count <= 11


async def test_a_closed_loop_that_is_stopped_ends() -> None:
    def stop_soon(calls: list[ServerCall]) -> None:
        if any(int(call.message) > 50 for call in calls):
            sender.stop()
        echo(calls)

    async with looping(stop_soon, lines=1) as loop:
        begin = loop.counts.start = time.monotonic()
        sender = ClosedLoop(loop.setup(iter([part([0.0] * 10_000)]), begin), streams=2, end=begin + 3600)
        sender.begin()
        await sender.is_over.wait()
        sender.close()
    assert 50 < sender.started < 100
