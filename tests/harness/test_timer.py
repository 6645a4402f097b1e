from __future__ import annotations

import asyncio
import time

import pytest
from support.serving import LOOPS

from croupier_bench.timer import Timer


@pytest.mark.parametrize("name", LOOPS)
def test_it_fires_once_at_its_moment(name: str) -> None:
    async def wait() -> list[float]:
        fired: list[float] = []
        done = asyncio.Event()

        def fire() -> None:
            fired.append(time.monotonic())
            done.set()

        timer = Timer(fire)
        moment = time.monotonic() + 0.0007
        timer.set(moment)
        await done.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        timer.close()
        return [at - moment for at in fired]

    with asyncio.Runner(loop_factory=LOOPS[name]) as runner:
        late = runner.run(wait())
    assert len(late) == 1
    assert late[0] >= 0


async def test_the_last_moment_counts() -> None:
    fired = asyncio.Event()
    timer = Timer(fired.set)
    timer.set(time.monotonic() + 3600.0)
    timer.set(0.0)
    await fired.wait()
    timer.close()
    timer.close()


async def test_one_that_was_set_again_has_not_fired() -> None:
    calls = 0

    def fire() -> None:
        nonlocal calls
        calls += 1

    timer = Timer(fire)
    timer.set(0.0)
    # The loop has not looked at it yet.
    timer.set(time.monotonic() + 3600.0)
    for _ in range(20):
        await asyncio.sleep(0)
    assert calls == 0
    timer.close()
