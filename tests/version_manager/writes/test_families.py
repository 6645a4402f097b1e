"""Configs as operators apply them, through real gRPC, on a real etcd."""

import json

import pytest
from support.manager import artifact, older_manager
from support.waiting import eventually

from croupier.errors import Conflict, FailedPrecondition, InvalidRequest, NotFound, TooLarge
from protos.versions.v1 import versions_pb2 as pb
from version_manager.model.family_wire import family_from_pb
from version_manager.writes import families

KEY = "croupier/families/churn"
OWN = "croupier/models/acme/churn/config"


def config(*features: str, tenant: str = "", name: str = "churn", **fields) -> pb.Family:
    return pb.Family(
        tenant=tenant, name=name, features=[pb.FeatureSpec(name=one) for one in features], **fields
    )


def applied(told: pb.Family, expected=None, **fields) -> pb.ApplyFamilyRequest:
    return pb.ApplyFamilyRequest(family=told, expected_number=expected, **fields)


def back(number=0, expected=None, tenant="", **fields) -> pb.RollbackFamilyRequest:
    return pb.RollbackFamilyRequest(
        tenant=tenant, name="churn", number=number, expected_number=expected, **fields
    )


def features(kept: pb.KeptFamily) -> list[str]:
    return [one.name for one in kept.family.features]


async def numbers(client, tenant="") -> list[int]:
    return [one.number for one in (await client.get_family_history("churn", tenant)).configs]


async def test_what_is_applied_is_told_kept_counted_and_audited(fleet, client):
    with pytest.raises(NotFound):
        await client.get_family("churn")
    first = await client.apply_family(applied(config("age"), 0, reason="begin", author="ann"))
    assert (first.family.number, features(first), first.family.author) == (1, ["age"], "ann")
    assert first.family.at > 1e9
    assert await client.get_family("churn") == first
    second = await client.apply_family(applied(config("age", "spend", owner="growth"), 1, reason="more"))
    assert (second.family.number, features(second)) == (2, ["age", "spend"])
    written = json.loads((await fleet.raw.get(KEY)).value)
    assert (written["schema"], written["number"], written["owner"]) == (6, 2, "growth")
    old = json.loads((await fleet.raw.get(f"{KEY}/history/1")).value)
    assert (old["number"], old["reason"], old["author"]) == (1, "begin", "ann")
    assert await numbers(client) == [2, 1]
    assert await client.get_family("churn", number=1) == first
    entry = json.loads((await fleet.audit())[-1])
    assert (entry["what"], entry["target"], entry["reason"]) == ("apply family", "family churn", "more")
    assert (entry["number"], entry["before"]) == (2, 1)
    assert entry["changed"] == ["owner", "features.spend"]
    other = await fleet.start_manager()
    assert await other.get_family("churn") == second
    assert await numbers(other) == [2, 1]


async def test_one_models_own_is_counted_by_itself_and_removed(fleet, client):
    await client.publish("acme", "churn", artifact())
    await client.apply_family(applied(config("age")))
    made = await client.apply_family(applied(config("own", tenant="acme")))
    assert (made.family.number, list(made.warnings)) == (1, [])
    rows = (await client.list_families()).rows
    assert [(row.tenant, row.name, row.number, row.features) for row in rows] == [
        ("", "churn", 1, 1),
        ("acme", "churn", 1, 1),
    ]
    assert [row.tenant for row in (await client.list_families("acme")).rows] == ["acme"]
    gone = await client.apply_family(applied(pb.Family(tenant="acme", name="churn", removed=True), 1))
    assert (gone.family.removed, gone.family.number) == (True, 2)
    assert gone.warnings == ["family churn holds for it from now on, config 1"]
    assert json.loads((await fleet.raw.get(OWN)).value)["removed"]
    assert len((await client.list_families()).rows) == 1
    # Once more is no change; the next one counts on.
    assert (await client.apply_family(applied(pb.Family(tenant="acme", name="churn", removed=True)))) == gone
    assert (await client.apply_family(applied(config("own", tenant="acme"), 2))).family.number == 3
    assert await numbers(client, "acme") == [3, 2, 1]
    await client.delete_model("acme", "churn")
    assert (await client.get_family("churn", "acme")).family.number == 3
    assert (await client.apply_family(applied(config("x", tenant="acme")))).warnings == [
        "tenant acme has no model churn"
    ]


async def test_what_says_the_same_is_no_change(fleet, client):
    first = await client.apply_family(applied(config("age")))
    assert await client.apply_family(applied(config("age"), 1, reason="again")) == first
    assert len(await fleet.audit()) == 1
    with pytest.raises(NotFound):
        await client.apply_family(applied(pb.Family(name="fraud", removed=True)))
    assert len(await fleet.audit()) == 1


async def test_a_change_against_another_number_is_refused(client):
    await client.apply_family(applied(config("age"), 0))
    for stale in (0, 2):
        with pytest.raises(Conflict) as refused:
            await client.apply_family(applied(config("b"), stale))
        assert refused.value.reason == "STALE_FAMILY"
        assert refused.value.metadata == {"current": "1"}
    await client.apply_family(applied(config("b"), 1))
    with pytest.raises(Conflict):
        await client.rollback_family(back(expected=1))


async def test_a_rollback_is_the_next_config(fleet, client):
    for name in ("a", "b", "c"):
        await client.apply_family(applied(config(name)))
    made = await client.rollback_family(back())
    assert (made.family.number, features(made), made.family.reason) == (4, ["b"], "roll back to 2")
    made = await client.rollback_family(back(1, 4, reason="as it was", author="ann"))
    assert (made.family.number, features(made), made.family.reason) == (5, ["a"], "as it was")
    assert await numbers(client) == [5, 4, 3, 2, 1]
    with pytest.raises(NotFound) as refused:
        await client.rollback_family(back(9))
    assert refused.value.reason == "UNKNOWN_FAMILY"
    with pytest.raises(NotFound):
        await client.rollback_family(back(tenant="acme"))
    await client.apply_family(applied(config("x", tenant="acme")))
    with pytest.raises(NotFound, match="before 1"):
        await client.rollback_family(back(tenant="acme"))
    # What is back is there too where it was removed.
    await client.apply_family(applied(pb.Family(name="churn", removed=True)))
    assert features(await client.rollback_family(back(3))) == ["c"]


async def test_a_bounded_number_is_kept(fleet, client, monkeypatch):
    monkeypatch.setattr(families, "KEPT", 3)
    for at in range(7):
        await client.apply_family(applied(config(f"f{at}")))
    assert await numbers(client) == [7, 6, 5, 4]
    assert await fleet.raw.get(f"{KEY}/history/3") is None
    assert all(json.loads(one)["who"] != "outside" for one in await fleet.audit())


async def test_a_dry_run_writes_nothing_and_says_what_models_say(fleet, client):
    await client.publish("acme", "churn", artifact(), release_if_first=True)
    told = await client.apply_family(applied(config("age"), 0, dry_run=True))
    assert (told.family.number, told.sample) == (1, pb.Sample(models=1, models_total=1, artifacts=1))
    (finding,) = told.findings
    assert (finding.level, finding.models, finding.tenants) == (pb.Finding.WARNING, 1, ["acme"])
    await client.apply_family(applied(config("age")))
    await client.apply_family(applied(config("b")))
    told = await client.rollback_family(back(dry_run=True))
    assert (told.family.number, features(told), len(told.findings)) == (3, ["age"], 1)
    for refused in (applied(config("b"), 7, dry_run=True), applied(config("a", "a"), dry_run=True)):
        with pytest.raises((Conflict, InvalidRequest)):
            await client.apply_family(refused)
    assert await numbers(client) == [2, 1]


async def test_what_cannot_be_kept_is_refused(fleet, client):
    for told, field in (
        (config("a", name="../x"), "name"),
        (config("a", tenant="../x"), "tenant"),
        (config("a", "a"), "features[1].name"),
        (config("a", store_failure="ignore"), "store_failure"),
        (pb.Family(name="", removed=True), "name"),
        (config("a", description="x" * 600_000), "features"),
    ):
        with pytest.raises(InvalidRequest) as refused:
            await client.apply_family(applied(told))
        assert refused.value.field == field
    with pytest.raises(InvalidRequest):
        await client.apply_family(applied(config("a"), reason="x" * 10_000))
    assert not await fleet.kept()


async def test_there_may_be_so_many(client, monkeypatch):
    monkeypatch.setattr(families, "MAX_FAMILIES", 2)
    monkeypatch.setattr(families, "MAX_OWN", 1)
    for told in (config(name="a"), config(name="b"), config(name="a", tenant="acme")):
        await client.apply_family(applied(told))
    for told in (config(name="c"), config(name="b", tenant="acme")):
        with pytest.raises(FailedPrecondition) as refused:
            await client.apply_family(applied(told))
        assert refused.value.reason == "TOO_MANY_FAMILIES"
    assert (await client.apply_family(applied(config("x", name="a")))).family.number == 2


async def test_what_is_too_large_for_etcd_is_refused(client, monkeypatch):
    monkeypatch.setattr(families, "_MOST_BYTES", 100)
    with pytest.raises(TooLarge):
        await client.apply_family(applied(config("a", "b", "c", "d", "e")))


async def test_nothing_is_applied_while_a_part_would_not_follow(fleet, client):
    async with older_manager(fleet, 6):
        for dry_run in (False, True):
            with pytest.raises(FailedPrecondition) as refused:
                await client.apply_family(applied(config("age"), dry_run=dry_run))
            assert refused.value.reason == "NOT_UNDERSTOOD"
    assert (await client.apply_family(applied(config("age")))).family.number == 1


async def test_garbage_and_deletion_are_named_and_can_be_replaced_and_repaired(fleet, client):
    for name in ("a", "b"):
        await client.apply_family(applied(config(name)))
    good = await client.get_family("churn")

    async def bad() -> list[tuple[str, str, str]]:
        return [(one.key, one.kind, one.field) for one in (await client.get_status()).bad_records]

    await fleet.raw.put(KEY, b'{"schema":6,"number":3,"featurs":[]}')
    await eventually(lambda: _is(bad, [(KEY, "family", "featurs")]))
    assert await client.get_family("churn") == good
    # The same as is served, and yet a change: etcd does not say it.
    made = await client.apply_family(applied(config("b"), 2))
    assert (made.family.number, await bad(), await numbers(client)) == (3, [], [3, 2, 1])
    await fleet.raw.delete(KEY)
    await eventually(lambda: _is(bad, [(KEY, "family", "")]))
    assert await client.get_family("churn") == made
    await client.repair()
    await eventually(lambda: _is(bad, []))
    written = (await fleet.raw.get(KEY)).value
    assert json.loads(written)["number"] == 3
    await fleet.raw.delete(KEY)
    await eventually(lambda: _is(bad, [(KEY, "family", "")]))
    assert (await client.apply_family(applied(pb.Family(name="churn", removed=True), 3))).family.number == 4
    assert await bad() == []


async def _is(ask, expected) -> bool:
    return await ask() == expected


async def test_what_a_newer_release_wrote_stays(fleet, client):
    await client.apply_family(applied(config("a")))
    newer = {"schema": 8, "number": 2, "cache": 5, "features": [{"name": "a", "unit": "s"}]}
    await fleet.raw.put(KEY, json.dumps(newer).encode())

    async def is_taken() -> bool:
        return (await client.get_family("churn")).family.number == 2

    await eventually(is_taken)
    await client.apply_family(applied(config("b", "a"), 2))
    written = json.loads((await fleet.raw.get(KEY)).value)
    assert (written["schema"], written["cache"]) == (8, 5)
    assert written["features"] == [{"name": "b"}, {"name": "a", "unit": "s"}]
    old = json.loads((await fleet.raw.get(f"{KEY}/history/2")).value)
    assert (old["number"], old["cache"], old["features"]) == (2, 5, newer["features"])


async def test_a_watcher_is_told_of_families_and_of_their_change(client):
    await client.apply_family(applied(config("a")))
    async for event in client.watch(0, "", protocol=7):
        if event.chunk.families:
            (told,) = event.chunk.families
            assert family_from_pb(told, told.number).features[0].name == "a"
        if event.HasField("end"):
            await client.apply_family(applied(config("b")))
        if event.HasField("delta") and event.delta.families:
            assert [one.features[0].name for one in event.delta.families] == ["b"]
            break


async def test_the_next_number_is_above_all_that_are_kept(fleet, client):
    for name in ("a", "b", "c"):
        await client.apply_family(applied(config(name)))
    await fleet.raw.put(KEY, b'{"schema":6,"number":1,"owner":"by hand"}')

    async def is_taken() -> bool:
        return (await client.get_family("churn")).family.owner == "by hand"

    await eventually(is_taken)
    assert (await client.apply_family(applied(config("d"), 1))).family.number == 3
