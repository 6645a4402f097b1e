"""One fleet for all faults: each test harms it under load, sees that callers are told, and mends it.

What a test leaves broken is the next one's trouble, so every test ends with answers for all tenants. The load
of each is written to the table that the run ends with, and to the file that `--json` names.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from support.attackers import attackers
from support.feature_load import SECOND, Asking, feature_fleet, fill
from support.fleet import publish
from support.harm import Memory, MiB, resident_mib, stalls_of
from support.load import MODEL, TENANTS, Load, Seen, Tally, Tenant
from support.paths import with_tests
from support.redis import RedisServer
from support.waiting import wait_until

from croupier.telemetry.stalls import SCHEDULER
from croupier_client import Client
from croupierctl.stack import Stack

ROUNDS = 5
# Of a quiet moment and of an attack, so that their percentiles compare.
_ANSWERS = 300
_rows = pytest.StashKey[list[dict[str, Any]]]()

Loading = Callable[..., AbstractContextManager[Seen]]
Serving = Callable[[Stack], AbstractContextManager[None]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--json", help="file for what each fault did to callers")
    parser.addoption("--redis-seconds", type=float, default=3.0, help="for how long Redis is dead")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_rows] = []


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory, serving: Serving) -> Iterator[Stack]:
    """Six supervised cells in three zones, hands of three, some tenants with a model each."""
    folder = tmp_path_factory.mktemp("fleet")
    stack = Stack(folder, cells=6, zones=3, hand_size=3, cell_module="support.crash_cell")
    with serving(stack):
        yield stack


@pytest.fixture(scope="session")
def serving() -> Serving:
    """Start a stack, whose cells may know the engine `crash`, with every tenant's model released."""

    @contextmanager
    def start(stack: Stack) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", with_tests())
            with stack:
                for tenant in TENANTS:
                    publish(stack, tenant.name, MODEL, tenant.artifact)
                await_served(stack.router, TENANTS)
                yield

    return start


def await_served(router: str, tenants: list[Tenant]) -> None:
    for tenant in tenants:
        with Client(router, tenant=tenant.name) as client:
            wait_until(lambda: bool(client.predict(MODEL, [1.0, 2.0]).version), f"{tenant.name} is served")


@pytest.fixture
def load(fleet: Stack, request: pytest.FixtureRequest) -> Loading:
    """`with load() as seen`: all tenants ask all the time."""
    rows = request.config.stash[_rows]

    @contextmanager
    def loading(router: str = "", *, of: list[Tenant] = TENANTS, rate: float = 200.0) -> Iterator[Seen]:
        pids = {name: fleet.process(name).pid for name in fleet.processes if name != "etcd"}
        before = {name: resident_mib(pid) for name, pid in pids.items()}
        with Load(router or fleet.router, of, rate=rate) as seen:
            yield seen
        rows.append(_row(request.node.name, seen, _grown(before, fleet)))

    return loading


@pytest.fixture
def account(request: pytest.FixtureRequest) -> Callable[[Seen], None]:
    """Put what callers met into the table."""
    rows = request.config.stash[_rows]
    return lambda seen: rows.append(_row(request.node.name, seen, 0.0))


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """It finds again what it had when it was killed."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), flags=("--appendonly", "yes"))
    asyncio.run(server.__aenter__())
    try:
        asyncio.run(fill(server.url))
        yield server
    finally:
        asyncio.run(server.kill())


@pytest.fixture(scope="module")
def featured(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> Iterator[Stack]:
    """A fleet of two routers that read `redis`."""
    folder = tmp_path_factory.mktemp("featured")
    with feature_fleet(folder, redis.url) as stack:
        stack.start_router(SECOND, folder / "second.snapshot")
        yield stack


@pytest.fixture
def asking(featured: Stack, account: Callable[[Seen], None]) -> Iterator[Callable[[], Asking]]:
    """`with asking() as asked`: both routers are asked for models of both families."""
    made: list[Asking] = []

    def begin() -> Asking:
        made.append(Asking([featured.router, featured.process(SECOND).address]))
        return made[-1]

    yield begin
    for one in made:
        account(one.seen)


@pytest.fixture(scope="session")
def attacker() -> Iterator[Executor]:
    with attackers() as process:
        process.submit(os.getpid).result()
        yield process


@pytest.fixture
def attacked(
    fleet: Stack, load: Loading, attacker: Executor, request: pytest.FixtureRequest
) -> Callable[[Callable[[], object]], Seen]:
    """Do something hostile in five rounds, with a quiet moment before and after each, and watch memory.

    It is done again until a round has as many answers as a quiet moment.
    """
    rows = request.config.stash[_rows]

    def play(act: Callable[[], object]) -> Seen:
        stalled, times = stalls_of(fleet.process("router")), 0
        with load() as seen, Memory(fleet) as memory:
            _be_quiet(seen, 0)
            for number in range(ROUNDS):
                seen.phase = f"attack {number}"
                while seen.phases[seen.phase].answered < _ANSWERS:
                    attacker.submit(act).result()
                    times += 1
                _be_quiet(seen, number + 1)
        p99 = [_percentiles(seen, number) for number in range(ROUNDS)]
        rows[-1] |= {
            "attacks": times,
            "p99_ms": p99,
            "p99_ratio": round(median(attack / quiet for quiet, attack in p99), 2),
            "stalled_ms": _more(stalled, stalls_of(fleet.process("router"))),
        }
        memory.check()
        return seen

    return play


def _be_quiet(seen: Seen, number: int) -> None:
    seen.phase = f"quiet {number}"
    wait_until(lambda: seen.phases[seen.phase].answered >= _ANSWERS, "a quiet moment", 60.0)


def _percentiles(seen: Seen, number: int) -> tuple[float, float]:
    """The 99th, in milliseconds, of the quiet moments around an attack together, and of the attack."""
    quiet = Tally()
    for beside in (number, number + 1):
        quiet.add(seen.phases[f"quiet {beside}"])
    return round(quiet.percentile_ms(99), 2), round(seen.phases[f"attack {number}"].percentile_ms(99), 2)


def _more(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """How much longer a loop has stood still, in milliseconds: by itself, and for want of a processor."""
    more = {kind: (seconds - before.get(kind, 0.0)) * 1e3 for kind, seconds in after.items()}
    waited = more.pop(SCHEDULER, 0.0)
    return {"itself": round(sum(more.values()), 1), "scheduler": round(waited, 1)}


def _grown(before: dict[str, MiB], fleet: Stack) -> MiB:
    """The most that a process has grown that was there before."""
    return max(
        (resident_mib(fleet.process(name).pid) - was for name, was in before.items() if was), default=0.0
    )


def _row(name: str, seen: Seen, grown: MiB) -> dict[str, Any]:
    return {
        "fault": name.removeprefix("test_"),
        "sent": seen.sent,
        "answered": seen.answered,
        "wrong": seen.wrong,
        "late": seen.late,
        "errors": dict(seen.errors),
        "p99_ms_before": round(seen.phases["before"].percentile_ms(99), 2),
        "p99_ms_during": round(seen.phases["during"].percentile_ms(99), 2),
        "grown_mib": round(grown, 1),
    }


def _told(row: dict[str, Any]) -> str:
    if "p99_ratio" in row:
        stalled = f"stalls {row['stalled_ms']['itself']} + {row['stalled_ms']['scheduler']} ms"
        return f"× {row['p99_ratio']} in {row['attacks']} attacks ({stalled})"
    return f"{row['p99_ms_before']:>7.1f} → {row['p99_ms_during']:>8.1f} ms"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    rows = config.stash[_rows]
    if not rows:
        return
    terminalreporter.section("what callers met")
    for row in rows:
        terminalreporter.line(
            f"{row['fault']:<72} sent {row['sent']:>5}  answered {row['answered']:>5}  wrong {row['wrong']}"
            f"  p99 {_told(row)}  {row['grown_mib']:+.0f} MiB  {row['errors'] or ''}"
        )
    if path := config.getoption("--json"):
        Path(path).write_text(json.dumps({"rows": rows}, indent=2))
