"""A closed-loop load: so many callers, each asking again as soon as it was answered."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from croupier.errors import CroupierError

T = TypeVar("T")


@dataclass(slots=True)
class Tally:
    """What came of a load. Latencies in seconds, of answered requests, in order of their answers."""

    latencies: list[float] = field(default_factory=list)
    wrong: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def answered(self) -> int:
        return len(self.latencies)

    def percentile_ms(self, percent: float) -> float:
        return float(np.percentile(self.latencies, percent)) * 1e3 if self.latencies else float("nan")


def zipf(ranks: int, count: int, exponent: float, random: np.random.Generator) -> list[int]:
    """`count` draws of 0 … ranks-1, of which rank r (in a random order) has weight (r + 1) ** -exponent."""
    weights = np.arange(1, ranks + 1) ** -exponent
    order = random.permutation(ranks)
    return [int(index) for index in order[random.choice(ranks, size=count, p=weights / weights.sum())]]


async def run(
    requests: Iterable[T],
    ask: Callable[[T], Awaitable[bool]],
    *,
    callers: int,
    at: dict[int, Callable[[], None]] | None = None,
    tally: Tally | None = None,
) -> Tally:
    """Ask every request once. `ask` says whether the answer was right, or raises.

    `at`: what to do just before the request of that number is sent. `tally` is filled as answers come.
    """
    tally = tally if tally is not None else Tally()
    numbered = enumerate(requests)

    async def caller() -> None:
        for number, request in numbered:
            if at and (act := at.get(number)):
                act()
            began = time.perf_counter()
            try:
                is_right = await ask(request)
            except CroupierError as error:
                tally.errors[f"{type(error).__name__}: {error}"] += 1
                continue
            tally.latencies.append(time.perf_counter() - began)
            tally.wrong += not is_right

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    tally.seconds = time.perf_counter() - began
    return tally
