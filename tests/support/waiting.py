"""How a test waits for what other threads and processes do: `eventually` in a coroutine, else `wait_until`.

Both ask again until the answer is true, and fail with `what` when the time is over. Where a test has a clock
or an event of its own, it needs neither.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

from croupier.errors import CroupierError
from croupier_client import PredictError


async def eventually(check: Callable[[], Any], what: str = "it", timeout: float = 30.0) -> Any:
    """The first true value of `check`, which may be a coroutine function."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + timeout
    while True:
        found = check()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert loop.time() < give_up, f"not in {timeout} s: {what}"
        await asyncio.sleep(0.005)


def wait_until(check: Callable[[], bool], what: str = "it", timeout: float = 30.0) -> None:
    """The same for code that blocks; an error of ours in `check` counts as not yet."""
    give_up = time.monotonic() + timeout
    last: BaseException | None = None
    while time.monotonic() < give_up:
        try:
            if check():
                return
        except (CroupierError, PredictError, AssertionError) as error:
            last = error
        time.sleep(0.01)
    raise AssertionError(f"not in {timeout} s: {what}") from last
