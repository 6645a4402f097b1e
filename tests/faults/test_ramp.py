"""A change of the shard map that does harm is held by what its callers meet, before it has done all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from itertools import cycle

import lightgbm
import numpy as np
import pytest
from support.fleet import publish
from support.waiting import eventually, wait_until

from croupier.artifacts.packers.forest import pack_forest
from croupier.grpcio.manager import VersionManagerClient
from croupier_client import AsyncClient, Client, Prediction
from croupier_client.errors import CroupierError
from croupierctl.faults import faults
from croupierctl.seen import Answer, Seen
from croupierctl.stack import Stack
from protos.versions.v1 import versions_pb2 as pb

MODEL = "churn"
TENANTS = [f"tenant-{number}" for number in range(40)]
ROW = [0.5, -0.5, 1.0]
PAUSE = 0.002
# Fewer requests than a version manager takes into account decide nothing.
BEFORE = 2_000


@pytest.fixture(scope="module")
def forest() -> lightgbm.LGBMRegressor:
    rows = np.random.default_rng(14).normal(size=(4_000, len(ROW)))
    return lightgbm.LGBMRegressor(n_estimators=300, num_leaves=31, verbose=-1).fit(
        rows, np.sin(rows).sum(axis=1)
    )


@pytest.fixture(scope="module")
def expected(forest: lightgbm.LGBMRegressor) -> float:
    return float(forest.predict([ROW])[0])


@pytest.fixture(scope="module")
def fleet(forest: lightgbm.LGBMRegressor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Four cells, hands of one, and a large model of each tenant: what four can hold, and one cannot."""
    # By the names of its features each is an artifact of its own.
    artifacts = [
        pack_forest(forest, features=[f"{tenant}-{place}" for place in range(len(ROW))]) for tenant in TENANTS
    ]
    capacity = len(TENANTS) // 2 * len(artifacts[0])
    folder = tmp_path_factory.mktemp("shrunk")
    with Stack(folder, cells=4, zones=1, hand_size=1, cell_capacity=capacity) as stack:
        for tenant, artifact in zip(TENANTS, artifacts, strict=True):
            publish(stack, tenant, MODEL, artifact)
        for tenant in TENANTS:
            with Client(stack.router, tenant=tenant) as client:
                wait_until(partial(client.predict, MODEL, ROW), f"{tenant} is served")
        yield stack


class Callers:
    """Everybody asks, one after the other, until cancelled; what is not the library's answer is kept."""

    def __init__(self, router: str, expected: float) -> None:
        self._router = router
        self._expected = expected
        self.answered = 0
        self.wrong: list[object] = []

    async def ask(self) -> None:
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(AsyncClient(self._router, tenant=one)) for one in TENANTS
            ]
            for client in cycle(clients):
                try:
                    found = await client.predict(MODEL, ROW)
                except CroupierError as error:
                    self.wrong.append(error)
                else:
                    self._look_at(found)
                await asyncio.sleep(PAUSE)

    def _look_at(self, found: Prediction) -> None:
        self.answered += 1
        if found.value != pytest.approx(self._expected, abs=1e-6):
            self.wrong.append(found)


@pytest.mark.fault(
    "A ramp has one cell take over what its memory cannot hold",
    "no error; the ramp is held, and `status` says why",
)
async def test_a_ramp_that_does_harm_is_held(fleet: Stack, expected: float) -> None:
    callers = Callers(fleet.router, expected)
    asking = asyncio.create_task(callers.ask())
    async with VersionManagerClient(fleet.manager) as manager:
        await eventually(lambda: callers.answered > BEFORE, "what was before is known", timeout=60.0)
        before = await manager.get_generation()
        made = await manager.change_shards(one_cell_alone(before))

        async def held() -> str:
            return (await manager.get_generation()).ramp.paused

        why = await eventually(held, "the ramp is held", timeout=90.0)
        found = await manager.get_generation()
        assert (found.number, found.previous) == (made.number, before.number)
        assert "find their model in memory" in why
        assert 0 < found.ramp.basis_points < 10_000
        told = await manager.get_status()
        assert any(why in fault.words for fault in faults(Seen([Answer(fleet.manager, told)])))
        await manager.change_shards(back_to(before, found.number))
        until = callers.answered + len(TENANTS)
        await eventually(lambda: callers.answered > until, "answers after the rollback")
    asking.cancel()
    assert callers.wrong == []


def one_cell_alone(before: pb.Generation) -> pb.SetGenerationRequest:
    """All the others drain, within half a minute."""
    wanted = pb.Generation()
    wanted.CopyFrom(before)
    for seat in wanted.seats[1:]:
        seat.draining = True
    return pb.SetGenerationRequest(
        generation=wanted, expected_number=before.number, reason="one is enough", ramp_seconds=30.0
    )


def back_to(before: pb.Generation, number: int) -> pb.SetGenerationRequest:
    return pb.SetGenerationRequest(rollback_to=before.number, expected_number=number, reason="it was not")
