"""Deletions that no version manager made are told, however few."""

import asyncio
import json
from random import Random

import pytest
from prometheus_client import REGISTRY
from support.manager import artifact, generation
from support.records import KEYS
from support.waiting import eventually

from croupier.errors import Unavailable
from croupier.stores.etcd import Compare, Put
from version_manager.map.audit import Audit
from version_manager.map.outside import Outside, from_outside

VERSION, RELEASE = KEYS.version("acme", "churn", 1), KEYS.release("acme", "churn")
SPENT = KEYS.spent("acme", "churn")


@pytest.mark.parametrize(
    ("deleted", "written", "is_outside"),
    [
        (VERSION, {SPENT: 7}, False),
        (RELEASE, {SPENT: 9}, False),
        (VERSION, {}, True),
        (VERSION, {SPENT: 6}, True),
        (VERSION, {KEYS.spent("acme", "other"): 7}, True),
        (KEYS.generation(3), {KEYS.active: 7}, False),
        (KEYS.generation(3), {KEYS.active: 6}, True),
        (KEYS.active, {SPENT: 7}, True),
        (KEYS.seed, {}, True),
        (SPENT, {}, True),
        (KEYS.residency("acme"), {}, True),
        (KEYS.limits("acme"), {}, True),
        (KEYS.limits(), {}, True),
        (KEYS.config("", "churn"), {}, True),
        (KEYS.config("acme", "churn"), {SPENT: 7}, True),
        (KEYS.old_config("", "churn", 1), {}, True),
        (KEYS.old_config("", "churn", 1), {KEYS.config("", "churn"): 7}, False),
        (KEYS.old_config("acme", "churn", 1), {KEYS.config("", "churn"): 7}, True),
        ("croupier/what", {}, False),
        # A chunk ends with its lease where whoever wrote it got no further.
        (KEYS.chunk(3, 1), {}, False),
        (KEYS.chunk(3, 1), {KEYS.generation(3): 5}, True),
        (KEYS.chunk(3, 1), {KEYS.generation(3): 5, KEYS.active: 7}, False),
    ],
)
def test_a_deletion_without_its_companion_is_from_outside(deleted, written, is_outside):
    found = from_outside(KEYS, {deleted: 7}, lambda key: written.get(key, 0))
    assert found == ({7: [deleted]} if is_outside else {})


def deletions() -> float:
    return REGISTRY.get_sample_value("croupier_version_manager_outside_deletions_total") or 0.0


async def entries(fleet) -> list[dict[str, object]]:
    return [one for one in map(json.loads, await fleet.audit()) if one["who"] == "outside"]


async def test_a_prefix_below_the_threshold_is_logged_counted_and_audited_once(fleet, client, caplog):
    for number in range(12):
        await client.publish("acme", f"m{number}", artifact(f"{number}"), release_if_first=True)
    before = deletions()
    # What managers delete is not from outside, whichever manager looks on.
    other = await fleet.start_manager()
    await client.delete_model("acme", "m0")
    await other.delete_model("acme", "m1")
    for number in range(34):
        await client.set_generation(generation("a", f"b-{number}"), number)
    revision = await fleet.raw.delete("croupier/models/acme/m2/", prefix=True)
    # Both managers count it, and one of them writes it down.
    await eventually(lambda: deletions() == before + 4)

    async def is_audited() -> bool:
        return bool(await entries(fleet))

    await eventually(is_audited)
    (entry,) = await entries(fleet)
    assert (entry["what"], entry["target"], entry["revision"]) == ("delete", "2 keys", revision)
    assert entry["keys"] == [KEYS.release("acme", "m2"), KEYS.version("acme", "m2", 1)]
    assert f"2 keys were deleted from outside at revision {revision}" in caplog.text
    await fleet.raw.delete(KEYS.generation(30))
    await eventually(lambda: deletions() == before + 6)


class Failing:
    """An etcd that takes no entry at first."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.asked: list[int] = []

    async def transact(self, compares: list[Compare], puts: list[Put]) -> None:
        self.asked.append(json.loads(puts[0].value)["revision"])
        if len(self.asked) <= self.failures:
            raise Unavailable("not now")


async def test_what_etcd_does_not_take_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("version_manager.map.outside._AGAIN_SECONDS", 0.0)
    seen, etcd = Outside(KEYS), Failing(2)
    keeping = asyncio.create_task(seen.keep(etcd, Audit(KEYS, lambda: 1, Random(1))))  # type: ignore[arg-type]
    seen.note({8: [SPENT], 7: [VERSION, RELEASE]})
    await eventually(lambda: not seen._waiting)
    seen.note({9: [SPENT]})
    await eventually(lambda: not seen._waiting)
    keeping.cancel()
    assert etcd.asked == [7, 7, 7, 8, 9]
