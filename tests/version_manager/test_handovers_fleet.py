"""A manager on a real etcd, and cells in this process: what one that goes holds hot, the next one holds."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LinearRegression
from support.cell_server import CellServer, infer_request, open_cell
from support.manager import Fleet, generation, until_listed
from support.waiting import eventually

from croupier.artifacts.format import digest_of
from croupier.artifacts.packers.linear import pack_linear
from protos.cell.v1 import cell_pb2
from protos.versions.v1 import versions_pb2 as pb
from sharding.dealer import Dealer
from sharding.placement import cells_for
from version_manager.model.wire import generation_from_pb

ROWS = np.ones((1, 3), np.float32)
MODELS = 12


def artifact(number: int) -> bytes:
    model = LinearRegression()
    model.coef_, model.intercept_, model.n_features_in_ = np.full(3, float(number)), 0.0, 3
    return pack_linear(model, features=["a", "b", "c"])


@asynccontextmanager
async def cells(fleet: Fleet, *names: str) -> AsyncIterator[dict[str, CellServer]]:
    async with AsyncExitStack() as stack:
        opened = {name: await stack.enter_async_context(one(fleet, name)) for name in names}
        await until_listed(fleet.client, *names)
        yield opened


def one(fleet: Fleet, name: str, **told: Any) -> Any:
    return open_cell(
        fleet.folder / name,
        id=name,
        zone=f"zone-{name}",
        store=f"file://{fleet.folder / 'objects'}",
        manager=(fleet.address,),
        **told,
    )


async def published(fleet: Fleet) -> dict[str, bytes]:
    """Models of acme's, by name, and the digest of each."""
    found = {}
    for number in range(MODELS):
        data = artifact(number)
        await fleet.client.publish("acme", f"m{number}", data, release_if_first=True)
        found[f"m{number}"] = digest_of(data)
    return found


def firsts(dealt: pb.Generation, models: dict[str, bytes]) -> dict[str, str]:
    """The cell that is asked first for each model."""
    dealer = Dealer(generation_from_pb(dealt))
    return {name: cells_for(dealer, None, "acme", name)[0] for name in models}


async def resident(cell: CellServer) -> set[bytes]:
    call = cell.channel.unary_stream("/croupier.cell.v1.Cell/HotList")
    pages = [cell_pb2.HotListPage.FromString(data) async for data in call(b"")]
    artifacts = b"".join(page.artifacts for page in pages)
    return {artifacts[at : at + 32] for at in range(0, len(artifacts), 32)}


async def test_a_cell_that_is_stopped_goes_when_the_next_one_holds_what_is_hot_there(tmp_path: Path) -> None:
    async with Fleet(tmp_path) as fleet, cells(fleet, "a", "b") as running:
        models = await published(fleet)
        dealt = await fleet.client.set_generation(generation("a", "b"), 0)
        first = firsts(dealt, models)
        for name, digest in models.items():
            await running[first[name]].infer(infer_request(digest, ROWS))
        own = {models[name] for name, cell in first.items() if cell == "a"}
        assert await resident(running["b"]) == set(models.values()) - own
        await eventually(lambda: not running["a"].cell.why_not_ready())
        await running["a"].cell.stop()
        assert await resident(running["b"]) == set(models.values())

        # It comes back with what it had, and is active then.
        async with one(fleet, "a") as again:

            async def is_active() -> bool:
                states = {cell.id: cell.state for cell in await fleet.client.list_cells()}
                return states.get("a") == "active"

            await eventually(is_active)
            assert await resident(again) >= own


async def test_a_map_deals_when_its_cells_hold_what_is_hot_where_it_dealt_before(tmp_path: Path) -> None:
    async with Fleet(tmp_path) as fleet, cells(fleet, "a", "b", "c") as running:
        models = await published(fleet)
        first = firsts(await fleet.client.set_generation(generation("a", "b"), 0), models)
        for name, digest in models.items():
            await running[first[name]].infer(infer_request(digest, ROWS))
        made = await fleet.client.change_shards(
            pb.SetGenerationRequest(generation=generation("b", "c"), expected_number=1, warm=True)
        )
        assert made.ramp.basis_points == 0

        async def deals() -> bool:
            return not (await fleet.client.get_generation()).HasField("ramp")

        await eventually(deals)
        for name, cell in firsts(made, models).items():
            assert models[name] in await resident(running[cell])
        assert await resident(running["c"]) <= set(models.values())
