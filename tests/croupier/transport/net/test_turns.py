"""Turns of a loop that runs one step at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import cast

import pytest
from support.joined import Loop

from croupier.transport.net.turns import Turns, in_turns, next_turn, turns_of


def test_one_of_all_who_wait_in_each_turn_of_the_loop() -> None:
    loop, seen = Loop(), list[int]()
    turns = Turns(cast(asyncio.AbstractEventLoop, loop))
    for number in range(3):
        turns.wait(lambda number=number: seen.append(number))
    for number in range(3):
        assert seen == list(range(number))
        loop.run_once()
    assert (seen, loop.waiting) == ([0, 1, 2], [])


def test_who_waits_again_is_behind_the_others() -> None:
    loop, seen = Loop(), list[str]()
    turns = Turns(cast(asyncio.AbstractEventLoop, loop))

    def again() -> None:
        seen.append("first")
        if len(seen) < 5:
            turns.wait(again)

    turns.wait(again)
    turns.wait(lambda: seen.append("second"))
    while loop.waiting:
        assert len(loop.waiting) == 1
        loop.run_once()
    assert seen == ["first", "second", "first", "first", "first"]


def test_who_fails_has_had_its_turn() -> None:
    loop, seen = Loop(), list[str]()
    turns = Turns(cast(asyncio.AbstractEventLoop, loop))
    turns.wait(lambda: seen[0])
    turns.wait(lambda: seen.append("second"))
    with pytest.raises(IndexError):
        loop.run_once()
    loop.run_once()
    assert (seen, loop.waiting) == (["second"], [])


async def test_tasks_have_turns_as_functions_do() -> None:
    seen = list[str]()
    turns = turns_of(asyncio.get_running_loop())
    turns.wait(lambda: seen.append("a function"))

    async def step() -> None:
        await next_turn()
        seen.append("a task")

    task = asyncio.create_task(step())
    await asyncio.sleep(0)
    turns.wait(lambda: seen.append("another"))
    await task
    await next_turn()
    assert seen == ["a function", "a task", "another"]


async def test_a_task_that_is_cancelled_holds_nobody_up() -> None:
    task = asyncio.create_task(next_turn())
    await asyncio.sleep(0)
    task.cancel()
    await next_turn()
    assert task.cancelled()


async def test_a_loop_has_one_queue() -> None:
    loop = asyncio.get_running_loop()
    assert turns_of(loop) is turns_of(loop)
    other = cast(asyncio.AbstractEventLoop, Loop())
    assert turns_of(other) is not turns_of(loop)


async def test_steps_have_turns_like_all_others() -> None:
    seen = []

    def steps(name: str) -> Generator[None, None, str]:
        for number in range(3):
            seen.append(f"{name}{number}")
            yield
        return name

    assert await asyncio.gather(in_turns(steps("a")), in_turns(steps("b"))) == ["a", "b"]
    assert seen == ["a0", "b0", "a1", "b1", "a2", "b2"]


async def test_a_step_that_fails_is_the_last() -> None:
    def steps() -> Generator[None, None, None]:
        yield
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        await in_turns(steps())
