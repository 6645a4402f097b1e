"""Static stability: etcd and the version manager killed under load, both back later.

While they are gone every request is answered, models that no cell has loaded yet included, and a
router started anew serves from the snapshot on disk. When they are back, a new release is live
within two seconds.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from bench import fleet, load, report
from bench.training import Trained, recipes, train_all
from croupier.errors import CroupierError
from croupier.grpcio.manager import VersionManagerClient
from croupier_client import AsyncClient
from croupierctl.stack import Stack

_SEED = 4
_CALLERS = 4
# How long the load goes on before and after the outage.
_CALM_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Result:
    """`cold` models were first asked for during the outage; `live_after_s`: from both back to a new
    version published, released and served."""

    seconds_down: float
    models: int
    cold: int
    requests: int
    wrong: int
    errors: dict[str, int]
    answered_by_new_router: int
    live_after_s: float

    @property
    def passed(self) -> bool:
        return (
            not self.wrong
            and not self.errors
            and self.answered_by_new_router == self.models
            and self.live_after_s < 2.0
        )


def run(*, seconds: float, tenants: int, json: Path | None) -> bool:
    """Run the scenario, print its table; true if it passed."""
    models = list(train_all(recipes(tenants, _SEED)))
    with tempfile.TemporaryDirectory(prefix="croupier-outage-") as folder, Stack(Path(folder), 4, 2) as stack:
        result = uvloop.run(_play(stack, models, seconds))
    report.table("outage", [(name, str(value)) for name, value in asdict(result).items()])
    report.step("passed" if result.passed else "FAILED")
    report.write_json(json, asdict(result))
    return result.passed


async def _play(stack: Stack, models: list[Trained], seconds: float) -> Result:
    warm, cold = models[: len(models) // 2], models[len(models) // 2 :]
    async with AsyncClient(stack.router) as client:
        async with VersionManagerClient(stack.manager) as manager:
            await fleet.publish(manager, models)
            await fleet.await_routed(manager, client, models[-1])
        serving = list(warm)
        async with _load(client, serving) as tally:
            await asyncio.sleep(_CALM_SECONDS)
            report.step(f"killing etcd and the version manager (SIGKILL) for {seconds:g} s")
            await asyncio.to_thread(_kill, stack)
            serving.extend(cold)
            answered = await _ask_new_router(stack, models)
            await asyncio.sleep(seconds)
            report.step("starting both again")
            await asyncio.to_thread(_revive, stack)
            live_after = await _release_anew(stack, client, models[0])
            await asyncio.sleep(_CALM_SECONDS)
    return Result(
        seconds_down=seconds,
        models=len(models),
        cold=len(cold),
        requests=tally.answered + sum(tally.errors.values()),
        wrong=tally.wrong,
        errors=dict(tally.errors),
        answered_by_new_router=answered,
        live_after_s=live_after,
    )


@asynccontextmanager
async def _load(client: AsyncClient, serving: list[Trained]) -> AsyncIterator[load.Tally]:
    """Ask for the models of `serving` in turn, rows in turn, for as long as the context lasts."""
    going = True

    def requests() -> Iterator[tuple[int, int]]:
        number = 0
        while going:
            yield number, number // 7
            number += 1

    async def ask(request: tuple[int, int]) -> bool:
        model = serving[request[0] % len(serving)]
        return await fleet.is_right(client, model, request[1] % len(model.rows))

    tally = load.Tally()
    task = asyncio.create_task(load.run(requests(), ask, callers=_CALLERS, tally=tally))
    try:
        yield tally
    finally:
        going = False
        await task


def _kill(stack: Stack) -> None:
    stack.process("etcd").kill()
    stack.process("version-manager").kill()


def _revive(stack: Stack) -> None:
    stack.restart("etcd")
    stack.restart("version-manager")


async def _ask_new_router(stack: Stack, models: list[Trained]) -> int:
    """Start another router on a copy of the snapshot; how many models it answered for rightly."""
    snapshot = stack.folder / "other-router.snapshot"
    shutil.copy(stack.snapshot, snapshot)
    other = await asyncio.to_thread(stack.start_router, "other-router", snapshot)
    try:
        async with AsyncClient(other.address) as client:
            return sum([await fleet.is_right(client, model, 0) for model in models])
    finally:
        await asyncio.to_thread(other.stop)


async def _release_anew(stack: Stack, client: AsyncClient, model: Trained) -> float:
    """Publish the same artifact as version 2 and release it; seconds until a request gets it."""
    recipe = model.recipe
    asking = client.for_tenant(recipe.tenant)
    began = time.monotonic()
    async with VersionManagerClient(stack.manager) as manager:
        await _until_it_works(
            lambda: manager.publish(recipe.tenant, recipe.name, model.artifact, version=2), began + 30
        )
        await manager.set_release(fleet.all_traffic(recipe, 2))
        while time.monotonic() < began + 30:
            if (await asking.predict(recipe.name, model.rows[0])).version == 2:
                break
    return time.monotonic() - began


async def _until_it_works(act: Callable[[], Awaitable[object]], give_up: float) -> None:
    while True:
        try:
            await act()
            return
        except CroupierError:
            if time.monotonic() > give_up:
                raise
        await asyncio.sleep(0.05)
