"""What the scenarios do with a running stack: publish trained models and ask for checked answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from bench.training import Recipe, Trained
from croupier.grpcio.manager import VersionManagerClient
from croupier_client import AsyncClient
from croupier_client.errors import NotFound
from protos.versions.v1 import versions_pb2 as pb

_PUBLISHERS = 8


async def publish(
    manager: VersionManagerClient, models: list[Trained], advance: Callable[[], None] = lambda: None
) -> None:
    """Publish each model as its version 1, with all traffic; calls `advance` after each."""
    waiting = iter(models)

    async def publisher() -> None:
        for model in waiting:
            recipe = model.recipe
            await manager.publish(recipe.tenant, recipe.name, model.artifact, release_if_first=True)
            advance()

    await asyncio.gather(*(publisher() for _ in range(_PUBLISHERS)))


async def await_routed(manager: VersionManagerClient, client: AsyncClient, model: Trained) -> None:
    """Changes reach a router in order, after the version manager has answered: see a new one arrive."""
    recipe = model.recipe
    await manager.set_release(all_traffic(recipe, 1, labels={"checked": 1}))
    asking = client.for_tenant(recipe.tenant)
    give_up = time.monotonic() + 10
    while True:
        try:
            await asking.predict(recipe.name, model.rows[0], label="checked", entity_id="0")
            return
        except NotFound:
            if time.monotonic() > give_up:
                raise
        await asyncio.sleep(0.02)


def all_traffic(recipe: Recipe, version: int, labels: dict[str, int] | None = None) -> pb.SetReleaseRequest:
    splits = [pb.Split(version=version, basis_points=10_000)]
    return pb.SetReleaseRequest(tenant=recipe.tenant, name=recipe.name, splits=splits, labels=labels)


async def is_right(client: AsyncClient, model: Trained, row: int, timeout: float = 10.0) -> bool:
    """Ask for `model.rows[row]`; whether the answer is the training library's own."""
    recipe = model.recipe
    asking = client.for_tenant(recipe.tenant)
    prediction = await asking.predict(recipe.name, model.rows[row], entity_id=str(row), timeout=timeout)
    return model.is_right(row, prediction.outputs)
