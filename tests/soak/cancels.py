"""A soak: calls that are cancelled at random moments, between our client and our server.

python -m tests.soak.cancels --calls 1000000

Calls of every kind are started on one connection, `WORKERS` at a time, and most of them are cancelled: before
anything is sent, with half a message sent, while the server works, fails or sends, and after the end. The
server is a process of its own. Both processes' resident memory is printed as calls go by.

It fails when memory grows by more than a byte a call, by the line that fits best what was measured after the
warm-up. The least that anything can leak is the 32 bytes of malloc's smallest piece, so this finds a leak in
every thirtieth call; a process that leaks nothing still finds its size in steps of some hundred kilobytes,
under half a byte a call in a million. It also fails when anything is left of the calls in either process:
tasks, open streams, bytes that are counted as held.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import combinations
from random import Random
from statistics import median

from croupier.transport.client import Channel
from croupier.transport.status import RpcError

from .service import (
    BATCH,
    BREAK,
    FAIL,
    LATER,
    LATER_SECONDS,
    LIMITS,
    MANY,
    NEVER,
    REPLY,
    STATS,
    STREAM,
    UNARY,
    rss_bytes,
    run,
)

WORKERS = 32
WARM_UP = 0.2
ORDERS = (REPLY, FAIL, BREAK, LATER, NEVER)
# Within one frame, over some frames, and over what is sent before the peer's window has to open again.
SIZES = (0, 10, 1_000, 40_000, 150_000)
SIZE_WEIGHTS = (30, 30, 30, 5, 1)
MOST_TICKS = 12
_PATIENCE = 500


@dataclass(slots=True)
class Soak:
    """`samples` are (calls made, client's bytes, server's bytes)."""

    channel: Channel
    rng: Random
    calls: int
    every: int
    begun: int = 0
    ended: int = 0
    samples: list[tuple[int, int, int]] = field(default_factory=list)

    async def work(self) -> None:
        kinds = (self._start, self._start, self._unary, self._stream)
        while self.begun < self.calls:
            self.begun += 1
            await self.rng.choice(kinds)()
            self.ended += 1

    async def _start(self) -> None:
        """A call on the hot path, which is cancelled in the same tick, later, or not at all."""
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        order = self.rng.choice(ORDERS)
        call = self.channel.start(BATCH.encode(), self._message(order), 10.0, ended.set_result)
        if order == NEVER or self.rng.random() < 0.6:
            await self._ticks()
            # It may have ended already.
            call.cancel()
        else:
            await ended

    async def _unary(self) -> None:
        await self._interrupt(self._ask())

    async def _ask(self) -> None:
        order = self.rng.choice(ORDERS)
        timeout = self.rng.choice((None, 10.0, 0.001, 0.0))
        await self.channel.unary(
            UNARY,
            self._message(order),
            timeout=timeout,
            metadata=(("x-soak", "1"), ("x-soak-bin", b"\xff")),
        )

    async def _stream(self) -> None:
        await self._interrupt(self._converse())

    async def _converse(self) -> None:
        timeout = self.rng.choice((None, 10.0, 0.001))
        async with self.channel.stream(STREAM, timeout=timeout) as stream:
            for _ in range(self.rng.randrange(4)):
                await stream.send(self._message(self.rng.choice((*ORDERS, MANY))))
                if self.rng.random() < 0.5:
                    await stream.receive()
            if self.rng.random() < 0.5:
                stream.end()
                while await stream.receive() is not None:
                    pass

    async def _interrupt(self, steps: Awaitable[None]) -> None:
        """Take `steps`, and cancel them after a while; a third has all the time it needs, up to a point."""
        task = asyncio.ensure_future(steps)
        if self.rng.random() < 0.3:
            await asyncio.wait((task,), timeout=0.02)
        else:
            await self._ticks()
        task.cancel()
        with suppress(RpcError, asyncio.CancelledError):
            await task

    async def _ticks(self) -> None:
        for _ in range(self.rng.randrange(MOST_TICKS)):
            await asyncio.sleep(0)

    def _message(self, order: bytes) -> bytes:
        return order + bytes(self.rng.choices(SIZES, SIZE_WEIGHTS)[0])

    async def sample(self) -> dict[str, int]:
        """Measure both processes; what the server has left."""
        stats: dict[str, int] = json.loads(await self.channel.unary(STATS, b""))
        self.samples.append((self.ended, rss_bytes(), stats["rss"]))
        return stats

    async def watch(self) -> None:
        """Measure every so many calls, until all are made."""
        began = time.monotonic()
        while self.ended < self.calls:
            await asyncio.sleep(0.05)
            if self.ended - self.samples[-1][0] >= self.every:
                await self.sample()
                calls, client, server = self.samples[-1]
                rate = calls / (time.monotonic() - began)
                _say(f"{calls:>9,} calls  client {_mib(client)}  server {_mib(server)}  {rate:,.0f}/s")


async def soak(address: str, calls: int, every: int, seed: int, bound: float) -> bool:
    """Whether nothing was left and memory did not grow by more than `bound` bytes a call."""
    channel = Channel(address, limits=LIMITS)
    try:
        state = Soak(channel, Random(seed), calls, every)
        first = await state.sample()
        async with asyncio.TaskGroup() as group:
            group.create_task(state.watch())
            for _ in range(WORKERS):
                group.create_task(state.work())
        left = await _left(state, first)
    finally:
        await channel.close()
    _say(f"left: {', '.join(f'{count} {what}' for what, count in left.items())}")
    warm = [sample for sample in state.samples if sample[0] >= WARM_UP * calls]
    slopes = [_slope([(sample[0], sample[side]) for sample in warm]) for side in (1, 2)]
    _say(f"growth after warm-up, bytes a call: client {slopes[0]:.3f}, server {slopes[1]:.3f}")
    return not any(left.values()) and max(slopes) <= bound


async def _left(state: Soak, first: dict[str, int]) -> dict[str, int]:
    """What there still is once the server has heard of the last cancellations and what was late is over.

    The call that asks is a task and some bytes itself, as it was at `first`.
    """
    for _ in range(_PATIENCE):
        last = await state.sample()
        left = {what: count - first[what] for what, count in last.items() if what != "rss"}
        session = await state.channel.session()
        left |= {"calls here": session.open_calls, "bytes here": session.held}
        if not any(left.values()):
            break
        await asyncio.sleep(LATER_SECONDS)
    return left


def _slope(points: list[tuple[int, int]]) -> float:
    """The median of the slopes between any two points (Theil and Sen): one step up is no slope."""
    slopes = [(y - b) / (x - a) for (a, b), (x, y) in combinations(points, 2) if x != a]
    return median(slopes) if slopes else 0.0


def _mib(size: int) -> str:
    return f"{size / 2**20:6.1f} MiB"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@contextmanager
def _server(loop: str) -> Iterator[str]:
    """The address of a server process; it ends with the block, or with this process."""
    program = [sys.executable, "-m", f"{__package__}.service", loop]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(10)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--every", type=int, default=50_000, help="calls between two measurements")
    parser.add_argument("--bound", type=float, default=1.0, help="bytes a call that memory may grow by")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="uvloop")
    arguments = parser.parse_args()
    with _server(arguments.loop) as address:

        async def run_soak() -> int:
            is_flat = await soak(address, arguments.calls, arguments.every, arguments.seed, arguments.bound)
            return 0 if is_flat else 1

        return run(run_soak, arguments.loop) or 0


if __name__ == "__main__":
    sys.exit(main())
