"""What a manager tells of everybody, on a real etcd."""

import asyncio

from support.manager import artifact, cell_report, generation, joined
from support.records import KEYS, FakeEtcd, model_keys
from support.waiting import eventually

from croupier.stores.etcd import Put
from croupier.stores.etcd_status import MemberStatus
from protos.versions.v1 import versions_pb2 as pb
from version_manager.cells.registry import Registry
from version_manager.map.mirror import Mirror
from version_manager.routers import Routers
from version_manager.status import Probe, Statuses


async def test_a_typing_error_in_etcd_is_told_by_key_field_and_words(fleet, client):
    await client.publish("acme", "churn", artifact(), release_if_first=True)
    key = "croupier/models/acme/churn/release"
    revision = await fleet.raw.put(key, b'{"number":2,"splits":[],"lables":{}}')

    async def told() -> list[pb.BadRecord]:
        return list((await client.get_status()).bad_records)

    await eventually(told)
    (bad,) = await told()
    assert (bad.key, bad.kind, bad.field, bad.revision) == (key, "release", "lables", revision)
    assert "unknown field `lables`" in bad.message
    await client.repair()
    assert not await told()


async def test_a_status_says_what_is_served_and_how_etcd_is(fleet, client):
    await client.publish("acme", "churn", artifact())
    await client.set_generation(generation("a"), 0)
    await client.set_generation(generation("a", "b"), 1)
    status = await client.get_status()
    assert (status.models, status.generation, status.previous) == (1, 2, 1)
    assert status.revision > 0
    assert status.part.protocol
    (member,) = status.etcd.members
    assert (member.endpoint, member.failure, member.has_leader) == (fleet.etcd.endpoint, "", True)
    assert (status.frozen, status.frozen_since) == ("", 0.0)
    assert status.managers_total == 1

    await fleet.etcd.kill()
    (member,) = (await client.get_status()).etcd.members
    await eventually(lambda: _fails(client))
    assert member.endpoint == fleet.etcd.endpoint


async def _fails(client) -> bool:
    return bool((await client.get_status()).etcd.members[0].failure)


async def test_cells_are_told_with_their_seats_and_the_missing_first(client):
    await client.set_generation(generation("cell-1", "cell-2"), 0)
    first = cell_report("cell-1", used=7)
    first.part.CopyFrom(pb.Part(release="9.9", certificates=[pb.Certificate(setting="tls", ends=5)]))
    async with joined(client, first), joined(client, cell_report("cell-3", state="draining")):
        status = await client.get_status()
    missing, *there = status.cells
    assert (missing.cell.id, missing.registered, missing.seated, missing.seat_zone) == (
        "cell-2",
        False,
        True,
        "zone-cell-2",
    )
    told = {one.cell.id: one for one in there}
    assert told.keys() == {"cell-1", "cell-3"}
    one = told["cell-1"]
    assert (one.seated, one.seat_zone, one.cell.zone, one.cell.load.used_bytes) == (
        True,
        "zone-cell-1",
        "zone-a",
        7,
    )
    assert (one.part.release, one.part.certificates[0].ends, one.HasField("heard")) == ("9.9", 5, True)
    assert (told["cell-3"].seated, told["cell-3"].cell.state) == (False, "draining")


async def test_a_cell_that_has_just_left_is_told_of(client):
    await client.set_generation(generation("cell-1", "cell-2"), 0)
    async with joined(client, cell_report("cell-1")):
        pass

    async def has_left() -> bool:
        told = {one.cell.id: one for one in (await client.get_status()).cells}
        assert not told["cell-2"].HasField("left")
        return told["cell-1"].HasField("left") and 0.0 <= told["cell-1"].left < 10.0

    await eventually(has_left)


async def test_a_freeze_is_told_with_its_beginning(fleet, client):
    for number in range(3):
        await client.publish("acme", f"m{number}", artifact())
    await fleet.raw.delete("croupier/models/", prefix=True)

    async def is_frozen() -> bool:
        return bool((await client.get_status()).frozen)

    await eventually(is_frozen)
    status = await client.get_status()
    assert "lost 3 of 3 models" in status.frozen
    assert 0 < status.frozen_since <= status.now
    await client.thaw(await client.get_freeze(), "meant")
    assert (await client.get_status()).frozen_since == 0.0


async def test_thousands_of_bad_keys_are_counted_and_some_of_them_told(fleet, client):
    for begin in range(0, 2_000, 100):
        writes = [Put(f"croupier/what/{begin + n}\x1b[2J\x00", b"x") for n in range(100)]
        await fleet.raw.transact([], writes)
    await fleet.raw.put("croupier/" + "k" * 20_000 + "\udcff", b"x")

    async def total() -> int:
        return (await client.get_status()).bad_records_total

    async def are_all_known() -> bool:
        return await total() == 2_001

    await eventually(are_all_known)
    status = await client.get_status()
    assert len(status.bad_records) == 200
    assert status.ByteSize() < 100_000


async def test_a_caller_for_some_tenants_sees_no_names_of_others():
    etcd = FakeEtcd(model_keys("acme", "churn"))
    mirror = Mirror(None, KEYS)
    mirror.take(etcd.listed())
    mirror.take(
        etcd.put(
            {
                KEYS.release("acme", "churn"): b"{}",
                KEYS.residency("globex"): b"{}",
                KEYS.spent("initech", "x"): b"{}",
                KEYS.generation(1): b'{"globex":1}',
                "croupier/acme": b"x",
            }
        )
    )
    routers = Routers(mirror)
    seen = Statuses(mirror, KEYS, Registry(None, KEYS), routers, Probe(SlowEtcd(open=True)), pb.Part)
    everything = await seen.get()
    assert [bad.key for bad in everything.bad_records] == sorted(mirror.bad_keys)
    troubles = pb.RouterTroubles(
        tenants=[pb.TenantTrouble(tenant=name, refused=1) for name in ("globex", "acme")],
        tenants_total=2,
        requests=[pb.EndedRequest(tenant=name) for name in ("globex", "acme")],
    )
    routers.report(pb.RouterReport(id="r", troubles=troubles))
    own = await seen.get(frozenset({"acme", "initech"}))
    told = own.routers[0].report.troubles
    assert ([one.tenant for one in told.tenants], told.tenants_total) == (["acme"], 2)
    assert [bad.key for bad in own.bad_records] == [KEYS.release("acme", "churn"), KEYS.spent("initech", "x")]
    assert own.bad_records_total == 5
    assert b"globex" not in own.SerializeToString()


class SlowEtcd:
    """Counts who asks, and answers when it is let."""

    def __init__(self, *, open: bool = False) -> None:
        self.asked = 0
        self.may = asyncio.Event()
        if open:
            self.may.set()

    def watched(self) -> None:
        return None

    async def status(self, timeout: float) -> list[MemberStatus]:
        self.asked += 1
        await self.may.wait()
        return [MemberStatus("a:1")]


async def test_etcd_is_asked_once_for_all_and_one_that_hangs_up_ends_it_for_nobody():
    now = 10.0
    etcd = SlowEtcd()
    probe = Probe(etcd, lambda: now)
    asking = [asyncio.create_task(probe.members()) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    etcd.may.set()
    assert await asyncio.gather(*asking[1:]) == [[MemberStatus("a:1")]] * 4
    assert etcd.asked == 1
    now += 2
    await probe.members()
    assert etcd.asked == 2
    etcd.may.clear()
    now += 2
    waiting = asyncio.create_task(probe.members())
    await asyncio.sleep(0)
    await probe.close()
    await asyncio.wait([waiting])
    assert waiting.cancelled()


async def test_what_a_cell_is_at_is_told_as_it_says_and_is_unknown_where_it_does_not(client):
    telling, silent = cell_report("cell-1"), cell_report("cell-2")
    telling.cell.load.work.CopyFrom(pb.Work(misses=3, store=pb.StoreReads(failure="x" * 10_000)))
    async with joined(client, telling) as first, joined(client, silent) as second:
        await first.say(telling)
        await second.say(silent)
        told = {one.cell.id: one.cell.load for one in (await client.get_status()).cells}
    assert (told["cell-1"].work.misses, len(told["cell-1"].work.store.failure)) == (3, 300)
    assert not told["cell-2"].HasField("work")


async def test_what_routers_have_trouble_with_is_cut_where_they_are_many():
    mirror = Mirror(None, KEYS)
    mirror.take(FakeEtcd(model_keys("acme", "churn")).listed())
    routers = Routers(mirror)
    seen = Statuses(mirror, KEYS, Registry(None, KEYS), routers, Probe(SlowEtcd(open=True)), pb.Part)
    troubles = pb.RouterTroubles(
        cells=[pb.CellTrouble(cell=f"cell-{number}") for number in range(100)],
        tenants=[pb.TenantTrouble(tenant=f"{'t' * 200}-{number}") for number in range(50)],
        requests=[pb.EndedRequest(tenant="acme")],
        uses=[pb.CellUse(cell="cell-0")],
        hot=[pb.HotModel(tenant="acme")],
    )
    report = pb.RouterReport(id="r-0", troubles=troubles)
    routers.report(report)
    (alone,) = (await seen.get()).routers
    assert (len(alone.report.troubles.cells), len(alone.report.troubles.tenants)) == (100, 50)
    # Those are told to who asks for their tenant.
    told = alone.report.troubles
    assert not told.requests
    assert not told.uses
    assert not told.hot
    for number in range(1_000):
        report.id = f"r-{number}"
        routers.report(report)
    status = await seen.get()
    assert {len(one.report.troubles.cells) for one in status.routers} == {3}
    assert status.routers[0].report.troubles.cells[0].cell == "cell-0"
    assert status.ByteSize() < 2_000_000
