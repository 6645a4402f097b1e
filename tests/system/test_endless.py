"""A model with an endless loop, under a steady load of other tenants' ONNX models in the same hand."""

from __future__ import annotations

import asyncio
import re
import urllib.request
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from support.fleet import publish
from support.graphs import INPUT, OUTPUT, looping, matmul
from support.waiting import eventually, wait_until

from croupier.artifacts.format import pack
from croupier_client import AsyncClient, Client, PredictError
from croupierctl.stack import Stack

pytestmark = pytest.mark.system

NEIGHBOURS = [f"neighbour-{number}" for number in range(4)]
_METRICS = re.compile(r"metrics on (http://\S+)")
_STOPPED = re.compile(r"^croupier_cell_stopped_total (\S+)", re.MULTILINE)


def onnx(model: bytes) -> bytes:
    return pack(
        engine="onnx", inputs=[INPUT], outputs=[OUTPUT], features=["x", "y"], sections={"model": model}
    )


@pytest.fixture(scope="module")
def endless_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Three cells, which are everybody's hand, and stop what runs for three seconds.

    A cell says within 50 ms that it is at work, and later on a machine that has others' work to do: a router
    that asks the next one after a second might take it for silent.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROUPIER_ROUTER_ATTEMPT_TIMEOUT", "2.5")
        patch.setenv("CROUPIER_CELL_RUN_SECONDS", "3")
        patch.setenv("CROUPIER_CELL_METRICS_LISTEN", "127.0.0.1:0")
        with Stack(tmp_path_factory.mktemp("endless"), cells=3, zones=3, hand_size=3) as stack:
            publish(stack, "evil", "loop", onnx(looping()))
            for tenant in NEIGHBOURS:
                publish(stack, tenant, "product", onnx(matmul()))
            for tenant in NEIGHBOURS:
                wait_until(partial(is_served, stack, tenant, "product"), f"{tenant} is served")
            # With a row that it comes to an end with.
            wait_until(partial(is_served, stack, "evil", "loop"), "evil is served")
            yield stack


def is_served(stack: Stack, tenant: str, model: str) -> bool:
    with Client(stack.router, tenant=tenant) as client:
        return client.predict(model, [0.0, -1.0]).version == 1


def stopped(stack: Stack) -> list[int]:
    """How many runs each cell had to stop."""
    found = []
    for number in range(stack.cells):
        log: Path = stack.process(f"cell-{number}").log
        match = _METRICS.search(log.read_text())
        assert match is not None
        with urllib.request.urlopen(match[1]) as answer:
            count = _STOPPED.search(answer.read().decode())
        found.append(int(float(count[1])) if count else 0)
    return found


async def test_an_endless_model_costs_others_nothing_and_goes_to_no_other_cell(endless_stack: Stack) -> None:
    stack = endless_stack
    seen: Counter[str] = Counter()
    done = asyncio.Event()

    async def ask(client: AsyncClient, number: float) -> None:
        while not done.is_set():
            number += 1
            try:
                answer = await client.predict("product", [number, 1.0], timeout=5.0)
                seen["right" if answer.outputs["y"] == [number + 1, number + 1] else "wrong"] += 1
            except PredictError as error:
                seen[f"{type(error).__name__}: {error}"] += 1
            await asyncio.sleep(0.002)

    async def endless() -> str:
        try:
            await evil.predict("loop", [1.0, 1.0], timeout=5.0)
        except PredictError as error:
            return error.reason or type(error).__name__
        return "an answer"

    clients = [AsyncClient(stack.router, tenant=tenant, retries=0) for tenant in NEIGHBOURS]
    asking = [asyncio.create_task(ask(client, 0.0)) for client in clients]
    async with AsyncClient(stack.router, tenant="evil", retries=0) as evil:
        await eventually(lambda: seen["right"] > 50, "others are answered", timeout=30.0)
        before = seen["right"]
        first = await asyncio.gather(*(endless() for _ in range(6)))
        during = seen["right"] - before
        second = [await endless() for _ in range(3)]
    done.set()
    await asyncio.gather(*asking)
    for client in clients:
        await client.close()
    assert set(first) <= {"DEADLINE_EXCEEDED", "RUN_STOPPED", "RUNS_TOO_LONG"}
    assert set(second) == {"RUNS_TOO_LONG"}
    assert set(seen) == {"right"}
    # Not only once its run had been stopped.
    assert during > 50
    # Of the hand one cell has had it, and the others nothing.
    assert sorted(map(bool, await asyncio.to_thread(stopped, stack))) == [False, False, True]
