"""A steady load of many tenants beside what a test does, and the account of what came of it.

    with Load(router, tenants) as seen:      # returns once answers come
        harm()
                                             # leaves once answers come again
    seen.check()                             # sent = answered + explicit errors, nothing wrong, nothing late

Each tenant's model has coefficients of its own, so that an answer from another tenant's model is seen to be
wrong. Calls begin at the moments of a Poisson process, whether or not those before were answered: a server
that stalls meets all that came meanwhile. Nothing is retried here: what the router passes on is looked at.

Whoever asks is a process of its own, this file as a program, so that what the test does meanwhile does not
keep it from asking. It writes a line for each twentieth of a second, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any

import numpy as np

from croupier_client import AsyncClient
from croupier_client.errors import CroupierError, DeadlineExceeded

MODEL = "sum"
# More than a router waits for a cell that died, and for the next one.
_TIMEOUT = 8.0
_PATIENCE = 60.0
_LINE_SECONDS = 0.05


@dataclass(frozen=True)
class Tenant:
    """A tenant with a linear model of its own: `number` tells its coefficients."""

    name: str
    number: int

    @cached_property
    def coefficients(self) -> tuple[float, float]:
        return float(self.number + 1), float(self.number * 7 % 11 - 5)

    @cached_property
    def artifact(self) -> bytes:
        return self._packed("x", "y")

    @cached_property
    def twin(self) -> bytes:
        """Another artifact, with the same answers."""
        return self._packed("u", "v")

    def _packed(self, *features: str) -> bytes:
        # Here, for whoever asks need not wait until these are imported.
        from sklearn.linear_model import LinearRegression

        from croupier.artifacts.packers.linear import pack_linear

        rows = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32)
        return pack_linear(LinearRegression().fit(rows, rows @ self.coefficients), features=features)

    def expected(self, row: tuple[float, float]) -> float:
        return self.coefficients[0] * row[0] + self.coefficients[1] * row[1]


def tenants(count: int, prefix: str = "tenant") -> list[Tenant]:
    return [Tenant(f"{prefix}-{number}", number) for number in range(count)]


TENANTS = tenants(12)


@dataclass
class Tally:
    """What came of calls. `late`: the caller's own deadline passed, and nobody had told it anything.

    `failed` counts the errors by tenant. Latencies are in seconds, of answered calls.
    """

    sent: int = 0
    answered: int = 0
    wrong: int = 0
    late: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.sent += other.sent
        self.answered += other.answered
        self.wrong += other.wrong
        self.late += other.late
        self.errors.update(other.errors)
        self.failed.update(other.failed)
        self.latencies += other.latencies

    def fail(self, tenant: str, word: str) -> None:
        self.errors[word] += 1
        self.failed[tenant] += 1

    def percentile_ms(self, percent: float) -> float:
        return float(np.percentile(self.latencies, percent)) * 1e3 if self.latencies else float("nan")


class Seen(Tally):
    """The whole, and its parts by `phase`: `before`, `during`, `after` the harm, unless a test has others."""

    def __init__(self) -> None:
        super().__init__()
        self.phase = "before"
        self.phases: defaultdict[str, Tally] = defaultdict(Tally)

    def add(self, other: Tally) -> None:
        super().add(other)
        self.phases[self.phase].add(other)

    def check(self, *, errors: int = 0) -> None:
        """Everything sent was answered rightly or with an error in words; at most `errors` errors."""
        assert self.wrong == 0, "a wrong answer"
        assert self.late == 0, f"nobody told {self.late} callers anything"
        assert self.sent == self.answered + self.errors.total()
        assert self.errors.total() <= errors, dict(self.errors)


class Load:
    """`rate` calls a second in all, of `tenants` in turn, to the router at `router`."""

    def __init__(self, router: str, tenants: Sequence[Tenant], *, rate: float = 200.0) -> None:
        words = [router, str(rate), *(f"{one.name}={one.number}" for one in tenants)]
        self._argv = [sys.executable, "-P", __file__, *words]
        self._seen = Seen()
        self._reader = threading.Thread(target=self._read, name="load")
        self._process: subprocess.Popen[str]

    def __enter__(self) -> Seen:
        self._process = subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._reader.start()
        try:
            self.await_answers(100)
        except BaseException:
            self._end()
            raise
        self._seen.phase = "during"
        return self._seen

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._seen.phase = "after"
                self.await_answers(100)
        finally:
            self._end()

    def await_answers(self, count: int) -> None:
        """Wait until so many more calls were answered."""
        give_up, until = time.monotonic() + _PATIENCE, self._seen.answered + count
        while self._seen.answered < until:
            assert self._reader.is_alive(), "the load has ended"
            assert time.monotonic() < give_up, "no answers come"
            time.sleep(0.02)

    def _end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._reader.join()
        self._process.stdout.close()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            told["errors"], told["failed"] = Counter(told["errors"]), Counter(told["failed"])
            self._seen.add(Tally(**told))


class _Asking:
    """The program: asks until it is told to end, and tells what came of it."""

    def __init__(self, router: str, rate: float, tenants: Sequence[Tenant]) -> None:
        self._rate = rate
        self._tenants = tenants
        self._clients = [AsyncClient(router, tenant=one.name, retries=0) for one in tenants]
        self._tally = Tally()
        self._calls: set[asyncio.Task[None]] = set()
        self._is_ending = False

    async def run(self) -> None:
        asyncio.get_running_loop().run_in_executor(None, self._await_end)
        telling = asyncio.create_task(self._tell_always())
        rng, due, number = random.Random(1), time.monotonic(), 0
        while not self._is_ending:
            due += rng.expovariate(self._rate)
            await asyncio.sleep(due - time.monotonic())
            self._tally.sent += 1
            call = asyncio.create_task(self._ask(number))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
            number += 1
        await asyncio.gather(*self._calls)
        telling.cancel()
        self._tell()
        await asyncio.gather(*(client.close() for client in self._clients))

    def _await_end(self) -> None:
        sys.stdin.read()
        self._is_ending = True

    async def _ask(self, number: int) -> None:
        place = number % len(self._clients)
        tenant, row = self._tenants[place], (float(number % 1_000), 1.0)
        began = time.monotonic()
        try:
            answer = await self._clients[place].predict(MODEL, list(row), key=str(number), timeout=_TIMEOUT)
        except CroupierError as error:
            self._tally.late += isinstance(error, DeadlineExceeded)
            self._tally.fail(tenant.name, f"{type(error).__name__} {error.reason}")
        else:
            self._tally.answered += 1
            value, expected = answer.outputs["value"][0], tenant.expected(row)
            self._tally.wrong += not bool(np.isclose(value, expected, rtol=1e-5, atol=1e-3))
            self._tally.latencies.append(time.monotonic() - began)

    async def _tell_always(self) -> None:
        while True:
            await asyncio.sleep(_LINE_SECONDS)
            self._tell()

    def _tell(self) -> None:
        tally, self._tally = self._tally, Tally()
        sys.stdout.write(json.dumps(vars(tally)) + "\n")
        sys.stdout.flush()


def _main(router: str, rate: str, *named: str) -> None:
    pairs: list[Any] = [word.split("=") for word in named]
    asyncio.run(_Asking(router, float(rate), [Tenant(name, int(number)) for name, number in pairs]).run())


if __name__ == "__main__":
    _main(*sys.argv[1:])
