"""What a manager tells of one tenant: what bears on it, and nothing of others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.manager import artifact, cell_report, generation, joined
from support.records import KEYS, FakeEtcd, model_keys, shard_keys

from croupier.names import InvalidName
from protos.versions.v1 import versions_pb2 as pb
from version_manager.cells.registry import Registry
from version_manager.map.mirror import Mirror
from version_manager.routers import Routers
from version_manager.tenant_status import TenantStatuses, alike


class World:
    """A manager's map, and the routers that report to it."""

    def __init__(self, *tenants: str) -> None:
        self.now = 100.0
        content = shard_keys(2, 1)
        for tenant in tenants:
            content |= model_keys(tenant, "churn")
        self.mirror = Mirror(None, KEYS)  # type: ignore[arg-type]
        self.mirror.take(FakeEtcd(content).listed())
        self.routers = Routers(self.mirror, lambda: self.now)
        registry = Registry(None, KEYS)  # type: ignore[arg-type]
        self.statuses = TenantStatuses(self.mirror, KEYS, registry, self.routers)


async def test_a_tenant_is_told_with_its_cells_and_what_is_kept_for_it(client) -> None:  # type: ignore[no-untyped-def]
    await client.publish("acme", "churn", artifact())
    await client.publish("acme", "price", artifact("other"))
    await client.set_generation(generation("a"), 0)
    await client.set_generation(generation("a", "b", "c"), 1)
    await client.set_residency(pb.SetResidencyRequest(tenant="acme", floor_bytes=7, pinned=["churn"]))
    told = await client.get_tenant("acme")
    assert (told.models, told.generation, told.previous, list(told.previous_hand)) == (2, 2, 1, ["a"])
    assert len(told.hand) == 2
    assert (told.residency.floor_bytes, list(told.residency.pinned)) == (7, ["churn"])
    assert not told.refused


async def test_a_version_that_a_cell_of_the_hand_refuses_is_named(client) -> None:  # type: ignore[no-untyped-def]
    version = await client.publish("acme", "churn", artifact())
    await client.publish("globex", "other", artifact("other"))
    await client.set_generation(generation("cell-1"), 0)
    report = cell_report("cell-1")
    quarantined = {"why": "SIGSEGV", "phase": "score", "since": 5.0}
    report.cell.load.quarantined.add(artifact=version.artifact, **quarantined)
    report.cell.load.quarantined.add(artifact=b"\x01" * 32, **quarantined)
    async with joined(client, report) as cell:
        await cell.say(report)
        told = await client.get_tenant("acme")
        others = await client.get_tenant("globex")
    (one,) = told.refused
    assert (one.model, one.version, one.cell) == ("churn", 1, "cell-1")
    assert (one.quarantined.why, one.quarantined.phase) == ("SIGSEGV", "score")
    assert not others.refused


async def test_a_version_that_does_not_end_is_named(client) -> None:  # type: ignore[no-untyped-def]
    version = await client.publish("acme", "churn", artifact())
    await client.publish("globex", "other", artifact("other"))
    await client.set_generation(generation("cell-1"), 0)
    report = cell_report("cell-1")
    run = pb.LongRun(artifact=version.artifact, seconds=4.5, stopped=1)
    report.cell.load.work.run.CopyFrom(run)
    async with joined(client, report):
        (one,) = (await client.get_tenant("acme")).running
        assert not (await client.get_tenant("globex")).running
    assert (one.model, one.version, one.cell, one.run) == ("churn", 1, "cell-1", run)


async def test_what_routers_say_is_told_of_this_tenant_alone() -> None:
    world = World("acme")
    for number in range(3):
        troubles = pb.RouterTroubles(
            tenants=[pb.TenantTrouble(tenant=name, refused=number) for name in ("globex", "acme")],
            requests=[pb.EndedRequest(tenant=name, ago=number) for name in ("globex", "acme")],
        )
        world.routers.report(pb.RouterReport(id=f"r-{number}", address=f"h:{number}", troubles=troubles))
    world.routers.report(pb.RouterReport(id="old"))
    world.now += 0.5
    told = await world.statuses.get("acme", with_alike=True)
    assert [(one.router, one.refused) for one in told.troubles] == [("h:2", 2), ("h:1", 1), ("h:0", 0)]
    assert [(one.router, one.ago) for one in told.requests] == [("h:0", 0.5), ("h:1", 1.5), ("h:2", 2.5)]
    assert (told.routers, told.routers_telling) == (4, 3)
    assert b"globex" not in told.SerializeToString()


async def test_what_routers_ask_of_its_cells_is_added_up() -> None:
    world = World("acme")
    cell = next(iter((await world.statuses.get("acme")).hand))
    for number, limit in enumerate((0, 16)):
        troubles = pb.RouterTroubles(
            uses=[
                pb.CellUse(cell=cell, in_flight=3 + number, limit=limit, latency_seconds=0.1 * number),
                pb.CellUse(cell="of-others", in_flight=7),
            ],
            hot=[
                pb.HotModel(tenant=name, model="churn", copies=2 + number, requests_per_second=50)
                for name in ("acme", "globex")
            ],
        )
        world.routers.report(pb.RouterReport(id=f"r-{number}", troubles=troubles))
    told = await world.statuses.get("acme")
    assert list(told.uses) == [
        pb.CellUse(cell=cell, in_flight=7, limit=16, latency_seconds=0.1, routers=2, limiting=1)
    ]
    assert list(told.hot) == [pb.HotModel(tenant="acme", model="churn", copies=3, requests_per_second=100)]
    world.now += 10.0
    told = await world.statuses.get("acme")
    assert not told.uses
    assert not told.hot


async def test_however_many_routers_report_an_answer_is_bounded() -> None:
    world = World("acme")
    troubles = pb.RouterTroubles(
        tenants=[pb.TenantTrouble(tenant="acme", refused=1)],
        requests=[pb.EndedRequest(tenant="acme", request_id="x" * 128)] * 48,
    )
    for number in range(1_000):
        world.routers.report(pb.RouterReport(id=f"r-{number}", troubles=troubles))
    told = await world.statuses.get("acme")
    assert (len(told.troubles), len(told.requests), told.routers) == (100, 50, 1_000)


async def test_a_name_that_nobody_has_is_told_with_those_that_may_be_meant() -> None:
    world = World("acme", "acme-corp", "globex", "initech")
    told = await world.statuses.get("acmee", with_alike=True)
    assert (told.models, list(told.alike)) == (0, ["acme"])
    # Who may see some tenants only learns no names of others.
    assert not (await world.statuses.get("acmee")).alike
    # One that there is, is meant.
    assert not (await world.statuses.get("acme", with_alike=True)).alike
    with pytest.raises(InvalidName):
        await world.statuses.get("../acme")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("acme", ["acme"]),
        ("acem", ["acme"]),
        ("ACME", ["acme"]),
        ("acm", ["acme"]),
        ("globexx", ["globex", "globex2"]),
        ("northwind-trader", ["northwind-traders"]),
        ("nortwhind-trdaers", ["northwind-traders"]),
        ("zzzz", []),
        ("a" * 200, []),
    ],
)
def test_names_that_are_spelt_much_the_same_are_found(name: str, expected: list[str]) -> None:
    assert alike(name, ["globex2", "globex", "acme", "initech", "northwind-traders", "x" * 200]) == expected


@given(st.text("abc", min_size=4, max_size=12), st.data())
def test_one_slip_is_always_found(name: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name) - 2))
    letter = data.draw(st.sampled_from("abcd"))
    slips = {
        name[:at] + name[at + 1 :],
        name[:at] + letter + name[at:],
        name[:at] + letter + name[at + 1 :],
        name[:at] + name[at + 1] + name[at] + name[at + 2 :],
    }
    for slip in slips:
        assert alike(slip, [name]) == [name], slip
