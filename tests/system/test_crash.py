"""Models that end their cell's process, under a steady load of other tenants' models in the same hand."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest
from support.crash_cell import MARK, crashing
from support.fleet import publish
from support.paths import with_tests
from support.waiting import eventually, wait_until

from croupier.grpcio.manager import VersionManagerClient
from croupier_client import AsyncClient, Client
from croupier_client.errors import CroupierError, FailedPrecondition, InternalError, NotFound
from croupierctl.stack import Stack

_log = logging.getLogger(__name__)
pytestmark = pytest.mark.system

NEIGHBOURS = [f"neighbour-{number}" for number in range(8)]
_ENDED = re.compile(r"the cell ended by (\w+)")


@pytest.fixture(scope="module")
def crash_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Three supervised cells, which are everybody's hand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", with_tests())
        folder = tmp_path_factory.mktemp("crash")
        with Stack(folder, cells=3, zones=3, hand_size=3, cell_module="support.crash_cell") as stack:
            for tenant in NEIGHBOURS:
                publish(stack, tenant, "sum", crashing(tenant))
            for tenant in NEIGHBOURS:
                wait_until(partial(is_served, stack, tenant), f"{tenant} is served")
            yield stack


def is_served(stack: Stack, tenant: str) -> bool:
    with Client(stack.router, tenant=tenant) as client:
        return client.predict("sum", [1.0, 2.0]).version == 1


def crashes(stack: Stack) -> Counter[str]:
    """The signals that ended cells so far."""
    logs = [stack.process(f"cell-{number}").log.read_text() for number in range(stack.cells)]
    return Counter(name for log in logs for name in _ENDED.findall(log))


@dataclass
class Neighbours:
    """What the other tenants saw."""

    answered: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0


@asynccontextmanager
async def neighbours(stack: Stack) -> AsyncIterator[Neighbours]:
    """A steady load of all the other tenants, without retries of their own, around the block."""
    seen, done = Neighbours(), asyncio.Event()

    async def ask(client: AsyncClient, number: int) -> None:
        while not done.is_set():
            number += 1
            began = time.monotonic()
            try:
                answer = await client.predict("sum", [float(number), 1.0], timeout=8.0)
                assert answer.outputs["sum"] == [number + 1.0]
                seen.answered += 1
            except CroupierError as error:
                seen.errors[f"{type(error).__name__}: {error}"] += 1
            seen.slowest = max(seen.slowest, time.monotonic() - began)
            await asyncio.sleep(0.002)

    clients = [AsyncClient(stack.router, tenant=tenant, retries=0) for tenant in NEIGHBOURS]
    asking = [asyncio.create_task(ask(client, number)) for number, client in enumerate(clients)]
    try:
        await eventually(lambda: seen.answered > 100, "the others are answered")
        yield seen
        before = seen.answered
        await eventually(lambda: seen.answered > before + 200, "they go on being answered")
    finally:
        done.set()
        await asyncio.gather(*asking)
        for client in clients:
            await client.close()


async def until_known(client: AsyncClient, model: str) -> None:
    """Wait for the router to hear of the model's first version."""
    while True:
        try:
            await client.predict(model, [1.0, 2.0], version=1, timeout=8.0)
            return
        except NotFound:
            await asyncio.sleep(0.01)


async def reason(client: AsyncClient, model: str, row: list[float]) -> str:
    """The word for why there was no answer; only the culprit's own errors pass."""
    try:
        # By number: a first release waits until its cells have loaded it, which not every one survives.
        await client.predict(model, row, version=1, timeout=8.0)
    except (InternalError, FailedPrecondition) as error:
        return error.reason
    return "an answer"


@pytest.mark.parametrize(
    ("name", "how", "row"),
    [
        ("on-load", {"on_load": "segv"}, [1.0, 2.0]),
        ("on-score", {"on_score": "segv"}, [MARK, 2.0]),
        ("aborts", {"on_score": "abort"}, [MARK, 2.0]),
    ],
)
async def test_a_model_that_crashes_its_cell_costs_nobody_else_an_answer(
    crash_stack: Stack, name: str, how: dict[str, str], row: list[float]
) -> None:
    stack, artifact = crash_stack, crashing(name, **how)
    await asyncio.to_thread(publish, stack, "evil", name, artifact, release=False)
    before = crashes(stack)
    async with AsyncClient(stack.router, tenant="evil", retries=0) as evil, neighbours(stack) as seen:
        began = time.monotonic()
        said = [await reason(evil, name, row)]
        told = time.monotonic() - began
        for _ in range(5):
            said += await asyncio.gather(*(reason(evil, name, row) for _ in range(4)))
    _log.info("the culprit was told after %.2f s, the slowest neighbour after %.2f s", told, seen.slowest)
    assert not seen.errors
    assert set(said) <= {"QUARANTINED", "LOST_AGAIN", "SUSPECTED"}
    ended = crashes(stack) - before
    # Two where a cell takes longer to come back than a router waits, which then waits for both.
    assert 1 <= ended.total() <= 2
    assert set(ended) == {"SIGABRT" if name == "aborts" else "SIGSEGV"}
    digest = hashlib.sha256(artifact).digest()
    await asyncio.to_thread(wait_until, lambda: quarantined_at(stack, digest), "it is known where it crashed")


async def test_a_poisonous_row_is_no_reason_to_refuse_a_model_before_it_came(crash_stack: Stack) -> None:
    name = "later"
    artifact = crashing(name, on_score="segv")
    await asyncio.to_thread(publish, crash_stack, "evil", name, artifact, release=False)
    async with AsyncClient(crash_stack.router, tenant="evil") as evil:
        await until_known(evil, name)
        answers = [await reason(evil, name, [1.0, float(number)]) for number in range(20)]
        assert answers == ["an answer"] * 20
        assert await reason(evil, name, [MARK, 1.0]) != "an answer"
        assert await reason(evil, name, [1.0, 1.0]) != "an answer"


def quarantined_at(stack: Stack, digest: bytes) -> bool:
    async def ask() -> bool:
        async with VersionManagerClient(stack.manager) as manager:
            cells = await manager.list_cells()
        return any(one.artifact == digest for cell in cells for one in cell.load.quarantined)

    return asyncio.run(ask())
