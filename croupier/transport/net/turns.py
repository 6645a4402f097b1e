"""Turns of an event loop for those who have much to do.

Who has done as much as fits one turn and is not done waits here, with all others of the same loop. They go
on one after the other, one of them in each turn of the loop, and in between the loop looks at its sockets:
whoever has little to do waits for one of them at the longest, and not for as many as there are.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Generator
from typing import TypeVar
from weakref import WeakKeyDictionary

_T = TypeVar("_T")


class Turns:
    """`wait` has a function called once its turn has come; `loop` is the one that is shared."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self._waiting: deque[Callable[[], None]] = deque()

    def wait(self, go_on: Callable[[], None]) -> None:
        self._waiting.append(go_on)
        if len(self._waiting) == 1:
            self._call_soon(self._next)

    def _next(self) -> None:
        go_on = self._waiting[0]
        try:
            go_on()
        finally:
            # Only now, so that whoever waits again meanwhile does not call for a second turn.
            self._waiting.popleft()
            if self._waiting:
                self._call_soon(self._next)


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def turns_of(loop: asyncio.AbstractEventLoop) -> Turns:
    """The one queue of `loop`."""
    found = _turns.get(loop)
    if found is None:
        found = _turns[loop] = Turns(loop)
    return found


async def next_turn() -> None:
    """Let others have theirs; for a task that has had one of its own."""
    loop = asyncio.get_running_loop()
    turn: asyncio.Future[None] = loop.create_future()

    def go_on() -> None:
        # The task may have been cancelled.
        if not turn.done():
            turn.set_result(None)

    turns_of(loop).wait(go_on)
    await turn


async def in_turns(steps: Generator[None, None, _T]) -> _T:
    """What `steps` return, of which each has a turn of its own."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: _T = end.value
            return found
        await next_turn()
