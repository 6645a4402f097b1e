"""What somebody else than a version manager writes to etcd is audited as such, with what it changed."""

import json
from typing import Any

import pytest
from prometheus_client import REGISTRY
from support.manager import artifact, cell_report, generation, joined
from support.records import KEYS
from support.waiting import eventually

from croupier.stores.etcd import Etcd, KeyValue, Put
from sharding.generation import Generation, Seat
from version_manager.map.edits import Edits
from version_manager.map.records import Active, Spent, encode

RELEASE = KEYS.release("acme", "churn")


async def edits(fleet) -> list[dict[str, Any]]:
    return [one for one in map(json.loads, await fleet.audit()) if one["what"] == "edit"]


async def audited(fleet, count: int = 1) -> list[dict[str, Any]]:
    async def are_there() -> bool:
        return len(await edits(fleet)) >= count

    await eventually(are_there)
    found = await edits(fleet)
    assert len(found) == count
    return found


def counted() -> float:
    return REGISTRY.get_sample_value("croupier_version_manager_outside_edits_total") or 0.0


async def test_an_edit_by_hand_is_audited_once_with_what_stood_there(fleet, client, caplog):
    await client.publish("acme", "churn", artifact(), release_if_first=True)
    before = (await fleet.raw.get(RELEASE)).value.decode()
    await fleet.start_manager()
    at = counted()
    revision = await fleet.raw.put(RELEASE, b'{"number":2,"splits":[],"lables":{}}')
    (entry,) = await audited(fleet)
    assert (entry["who"], entry["target"], entry["revision"]) == ("outside", RELEASE, revision)
    (edit,) = entry["edits"]
    assert edit["key"] == RELEASE
    assert (edit["before"], edit["after"]) == (before, '{"number":2,"splits":[],"lables":{}}')
    assert "unknown field `lables`" in edit["fault"]
    await eventually(lambda: "1 keys were written from outside" in caplog.text)
    # Two managers saw it, and one of them told.
    await eventually(lambda: counted() == at + 1)


async def test_what_version_managers_and_cells_write_is_not_from_outside(fleet, client):
    other = await fleet.start_manager()
    for number in range(3):
        await client.publish("acme", f"m{number}", artifact(f"{number}"), release_if_first=True)
        await other.publish("acme", f"m{number}", artifact(f"other {number}"))
        await client.set_generation(generation("a", f"b-{number}"), number)
    await client.reseed_shards(3, "a drill")
    await other.delete_model("acme", "m1")
    async with joined(client, cell_report("a")) as cell:
        await cell.say(cell_report("a", state="draining"))
    # So that what came before has been looked at.
    await fleet.raw.put("croupier/tenants/acme/residency", b'{"floor_bytes":0,"pinned":[]}')
    (entry,) = await audited(fleet)
    (edit,) = entry["edits"]
    assert (edit["key"], edit["before"], "fault" in edit) == ("croupier/tenants/acme/residency", None, False)


async def test_an_edit_of_the_shard_map_says_what_it_changes(fleet, client):
    await client.set_generation(generation("a", "b"), 0)
    await client.set_generation(generation("a", "b", "c"), 1)
    entries = [json.loads(one) for one in await fleet.audit()]
    made = [one for one in entries if one["what"] == "set generation"]
    assert [one["changes"] for one in made] == [[], ["+ seat c in zone-c"]]
    await fleet.raw.put(KEYS.active, encode(Active(1, 2)))
    (entry,) = await audited(fleet)
    assert entry["edits"][0]["changes"] == ["- seat c in zone-c"]
    known = (await fleet.raw.get(KEYS.generation(1))).value
    await fleet.raw.put(KEYS.generation(1), known.replace(b"zone-b", b"zone-x"))
    found = await audited(fleet, 2)
    assert found[1]["edits"][0]["changes"] == ["~ seat b in zone-b → b in zone-x"]


async def test_an_edit_while_every_manager_was_away_is_noticed_at_the_start(fleet, client):
    await client.publish("acme", "churn", artifact(), release_if_first=True)
    await fleet.stop_manager()
    await fleet.raw.put(KEYS.spent("acme", "churn"), encode(Spent(7, 7)))
    await fleet.start_manager()
    (entry,) = await audited(fleet)
    assert entry["target"] == KEYS.spent("acme", "churn")


async def test_many_keys_and_long_values_make_a_short_entry(fleet, client):
    at = counted()
    await fleet.raw.transact([], [Put(f"croupier/{n:03}\udcff\x1b", b"\xff" * 10_000) for n in range(100)])
    (entry,) = await audited(fleet)
    await eventually(lambda: counted() == at + 1)
    assert entry["target"] == "100 keys"
    assert len(entry["edits"]) == 20
    assert entry["edits"][0]["key"] == "croupier/000\\udcff\x1b".replace("\\udcff", "\\xff")
    assert len(json.dumps(entry)) < 1_000_000


async def test_what_etcd_has_forgotten_is_left_out(fleet, client):
    await fleet.raw.put("croupier/x", b"1")
    await audited(fleet)
    revision = await fleet.raw.put("croupier/x", b"2")
    await audited(fleet, 2)
    await fleet.etcd.etcdctl("compact", str(revision + 1))
    told = await Edits(KEYS)._edit(fleet.raw, "croupier/x", revision)
    assert told == {"key": "croupier/x"}


class Away:
    """An etcd that fails, then answers, that all was audited."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.since: list[str] = []

    async def revisions(self, prefix: str, since: str, first: int, last: int) -> set[int]:
        self.asked.append((first, last))
        self.since.append(since)
        return set(range(first, last + 1))


async def test_what_is_seen_is_looked_at_together_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, etcd = Edits(KEYS), Away()
    seen.saw(KeyValue(RELEASE, b"", revision, 1, 0) for revision in range(1, 20_001))
    seen.saw([KeyValue(KEYS.cell("a"), b"", 50_000, 1, 7), KeyValue(KEYS.manager("a"), b"", 50_001, 1, 7)])
    assert len(seen._waiting) == 10_000
    while seen._waiting:
        await seen._settle(etcd, None, 0)  # type: ignore[arg-type]
    assert (len(etcd.asked), etcd.asked[0], etcd.asked[-1][1]) == (20, (10_001, 10_500), 20_000)


def test_only_what_is_leased_and_may_be_is_its_owner_s() -> None:
    seen, cell = Edits(KEYS), KEYS.cell("a")
    seen.saw([KeyValue(cell, b"", 1, 1, 7), KeyValue(cell, b"", 2, 1, 0), KeyValue(RELEASE, b"", 3, 1, 7)])
    assert [*seen._waiting] == [2, 3]


async def test_a_pointer_to_nothing_changes_nothing_that_could_be_told(fleet, client) -> None:
    await client.set_generation(generation("a", "b"), 0)
    revision = await fleet.raw.put(KEYS.active, encode(Active(9)))
    (entry,) = await audited(fleet)
    (edit,) = entry["edits"]
    assert (entry["revision"], edit["key"], "changes" in edit) == (revision, KEYS.active, False)
    # Nor is it the end of what notices edits.
    await fleet.raw.put(RELEASE, b"?")
    assert (await audited(fleet, 2))[1]["target"] == RELEASE


async def test_a_first_pointer_and_one_that_is_gone_change_nothing_that_could_be_told(fleet, client) -> None:
    first = await fleet.raw.put(KEYS.active, encode(Active(1)))
    gone = await fleet.raw.delete(KEYS.active)
    await fleet.raw.put(KEYS.active, encode(Active(9)))
    await fleet.raw.put(KEYS.generation(1), encode(Generation(1, 7, 1, (Seat("a", "zone-a"),))))
    found = await fleet.raw.put(KEYS.active, encode(Active(1)))
    for revision in (first, gone, found):
        told = await Edits(KEYS)._edit(fleet.raw, KEYS.active, revision)
        assert "changes" not in told


async def test_of_what_is_old_all_of_the_audit_is_looked_through_and_else_ten_minutes() -> None:
    etcd, now = Away(), 3_600 * 10**9
    for is_old in (False, True):
        seen = Edits(KEYS)
        seen.saw([KeyValue(RELEASE, b"", 7, 1, 0)], is_old=is_old)
        await seen._settle(etcd, None, now)  # type: ignore[arg-type]
    assert etcd.since == [KEYS.audit(now - 600 * 10**9, ""), KEYS.audit(0, "")]


async def test_what_is_gone_by_the_time_of_its_look_is_told_as_it_was(fleet, client) -> None:
    await fleet.raw.put("croupier/x", b"1")
    await audited(fleet)
    revision = await fleet.raw.put("croupier/x", b"2")
    await fleet.raw.delete("croupier/x")
    told = await Edits(KEYS)._edit(fleet.raw, "croupier/x", revision)
    assert (told["before"], told["after"]) == ("1", "2")
    gone = await Edits(KEYS)._edit(fleet.raw, "croupier/x", revision + 1)
    assert (gone["before"], gone["after"], "fault" in gone) == ("2", None, False)


async def test_revisions_of_keys_are_told_within_bounds(fleet) -> None:
    raw: Etcd = fleet.raw
    at = [await raw.put(f"other/{name}", b"") for name in "abcd"]
    assert await raw.revisions("other/", "other/", 0, at[-1]) == set(at)
    assert await raw.revisions("other/", "other/b", at[0], at[2]) == set(at[1:3])
    assert await raw.revisions("other/", "other/", at[-1] + 1, at[-1] + 9) == set()
