"""Real processes, hurt in the ways that processes are hurt; callers see none of it."""

import asyncio
import hashlib
import signal
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from support.fleet import Wine, publish, train_wine
from support.harm import await_registered
from support.manager import artifact as unloadable
from support.waiting import wait_until

from croupier.errors import FailedPrecondition
from croupier.grpcio.manager import VersionManagerClient
from croupier_client import AsyncClient, Client
from croupier_client.errors import Unavailable
from croupierctl.stack import Stack
from protos.versions.v1 import versions_pb2 as pb
from sharding.dealer import Dealer
from version_manager.model.wire import generation_from_pb

pytestmark = pytest.mark.system


def hand_of(stack: Stack, tenant: str) -> tuple[str, ...]:
    async def call() -> tuple[str, ...]:
        async with VersionManagerClient(stack.manager) as manager:
            return Dealer(generation_from_pb(await manager.get_generation())).hand(tenant)

    return asyncio.run(call())


def ask_all(
    stack: Stack,
    wine: Wine,
    count: int,
    *,
    timeout: float = 8.0,
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Ask `count` times, eight at once, call `meanwhile` half way, and check every answer."""

    async def run() -> None:
        numbers = iter(range(count))

        async def caller() -> None:
            for number in numbers:
                if number == count // 2:
                    await asyncio.to_thread(meanwhile)
                row = number % len(wine.rows)
                answer = await client.predict("wine", wine.rows[row], timeout=timeout)
                assert np.allclose(answer.outputs["probabilities"], wine.probabilities[row], atol=1e-4)

        async with AsyncClient(stack.router, tenant="acme") as client:
            await asyncio.gather(*(caller() for _ in range(8)))

    asyncio.run(run())


def test_every_answer_is_the_models_own(stack: Stack, wine: Wine) -> None:
    ask_all(stack, wine, 300)


def test_a_killed_cell_costs_no_answer(stack: Stack, wine: Wine) -> None:
    first = hand_of(stack, "acme")[0]
    ask_all(stack, wine, 400, meanwhile=stack.process(first).kill)
    stack.restart(first)
    ask_all(stack, wine, 50)


def test_a_stopped_cell_costs_no_answer(stack: Stack, wine: Wine) -> None:
    cell = stack.process(hand_of(stack, "acme")[0])
    try:
        ask_all(stack, wine, 200, meanwhile=lambda: cell.signal(signal.SIGSTOP))
    finally:
        cell.signal(signal.SIGCONT)
    ask_all(stack, wine, 50)


def test_a_cell_told_to_stop_drains(stack: Stack, wine: Wine) -> None:
    first = hand_of(stack, "acme")[0]
    codes = []
    ask_all(stack, wine, 400, meanwhile=lambda: codes.append(stack.process(first).stop()))
    assert codes == [0]
    stack.restart(first)


def test_a_whole_hand_down_is_told_fast_and_hurts_no_other_tenant(stack: Stack, wine: Wine) -> None:
    hand = hand_of(stack, "acme")
    other = next(f"other-{n}" for n in range(200) if not set(hand_of(stack, f"other-{n}")) & set(hand))
    publish(stack, other, "wine", wine.artifact)
    for cell in hand:
        stack.process(cell).kill()
    try:
        with Client(stack.router, tenant="acme", retries=0) as client, pytest.raises(Unavailable):
            client.predict("wine", wine.rows[0], timeout=8.0)
        with Client(stack.router, tenant=other) as client:
            wait_until(
                lambda: client.predict("wine", wine.rows[0]).version == 1, "the other tenant is served"
            )
    finally:
        for cell in hand:
            stack.restart(cell)
    wait_until(lambda: ask_all(stack, wine, 8) is None, "the hand is back")


def test_a_restarted_cell_finds_its_models_in_its_disk_cache(stack: Stack, wine: Wine) -> None:
    first = hand_of(stack, "acme")[0]
    ask_all(stack, wine, 20)
    cached = list((stack.folder / "cache" / first).rglob("*"))
    assert [path for path in cached if path.is_file()]
    stack.restart(first)
    ask_all(stack, wine, 20)


def test_a_release_moves_only_to_a_version_that_the_hand_has_loaded(stack: Stack, wine: Wine) -> None:
    other = train_wine(1)
    assert publish(stack, "acme", "moving", wine.artifact) == 1
    assert publish(stack, "acme", "moving", other.artifact) == 2
    assert publish(stack, "acme", "moving", unloadable()) == 3
    with pytest.raises(FailedPrecondition) as caught:
        release(stack, "moving", 3)
    assert caught.value.reason == "NOT_WARM"
    assert set(caught.value.metadata["cells"].split(",")) <= set(hand_of(stack, "acme"))
    wait_until(lambda: release(stack, "moving", 2).number == 2, "the release moves")
    # Nothing is left to load: each cell of the hand answers without an object store and a disk.
    name = hashlib.sha256(other.artifact).hexdigest()
    for path in [
        stack.folder / "objects",
        *(stack.folder / "cache" / cell for cell in hand_of(stack, "acme")),
    ]:
        (path / name[:2] / name).unlink(missing_ok=True)
    with Client(stack.router, tenant="acme") as client:
        wait_until(lambda: client.predict("moving", wine.rows[0]).version == 2, "the release is routed")
        for row in range(40):
            answer = client.predict("moving", wine.rows[row], version=2)
            assert np.allclose(answer.outputs["probabilities"], other.probabilities[row], atol=1e-4)


@pytest.mark.parametrize("place", [0, -1], ids=["the first that is asked", "the last"])
def test_a_first_version_is_released_though_a_cell_of_the_hand_restarts_just_then(
    stack: Stack, wine: Wine, place: int
) -> None:
    """It is gone while the version is published, and asked again once it is back."""
    name = f"first-{place % 4}"
    await_registered(stack)
    cell = hand_of(stack, "acme")[place]
    stack.process(cell).kill()
    with ThreadPoolExecutor() as pool:
        published = pool.submit(publish, stack, "acme", name, wine.artifact)
        stack.restart(cell)
        assert published.result() == 1
    found = run_manager(stack, lambda manager: manager.get_model("acme", name))
    assert [(split.version, split.basis_points) for split in found.release.splits] == [(1, 10_000)]
    usage = run_manager(stack, lambda manager: manager.get_usage("acme", name))
    # Whether or not its registration had ended when the others were asked, those hold it.
    held = {told.cell: ([one.version for one in told.versions], told.failure) for told in usage.cells}
    held.pop(cell, None)
    assert list(held.values()) == [([1], "")]


def test_a_pinned_model_is_loaded_by_a_cell_that_comes_back_empty(stack: Stack, wine: Wine) -> None:
    publish(stack, "acme", "pinned", wine.artifact)
    release(stack, "pinned", 1)
    run_manager(stack, lambda manager: manager.set_residency(pins("pinned")))
    try:
        cell = hand_of(stack, "acme")[0]
        stack.process(cell).kill()
        # Or it would bring back what was hot, pinned or not.
        (stack.folder / "cache" / cell / "hot").unlink(missing_ok=True)
        stack.restart(cell)
        wait_until(lambda: resident(stack, cell) == 1, "the pinned model is back")
    finally:
        run_manager(stack, lambda manager: manager.set_residency(pins()))


def pins(*names: str) -> pb.SetResidencyRequest:
    return pb.SetResidencyRequest(tenant="acme", pinned=names)


def resident(stack: Stack, name: str) -> int:
    """Models that a cell says it has in memory; -1 if it is not registered."""
    cells = run_manager(stack, lambda manager: manager.list_cells())
    return next((cell.load.resident for cell in cells if cell.id == name), -1)


def run_manager(stack: Stack, ask: Callable[[VersionManagerClient], Awaitable[Any]]) -> Any:
    async def call() -> Any:
        async with VersionManagerClient(stack.manager) as manager:
            return await ask(manager)

    return asyncio.run(call())


def release(stack: Stack, name: str, version: int) -> pb.Release:
    async def call() -> pb.Release:
        async with VersionManagerClient(stack.manager) as manager:
            split = pb.Split(version=version, basis_points=10_000)
            request = pb.SetReleaseRequest(tenant="acme", name=name, splits=[split])
            return await manager.set_release(request)

    return asyncio.run(call())
