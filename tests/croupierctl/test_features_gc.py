"""Features that nobody asks for go; what else there is stays as it is."""

import asyncio
from types import MappingProxyType

import pytest

from croupier.errors import FailedPrecondition
from croupier.stores.feature_blob import Schema, encode
from croupier.stores.feature_schemas import Schemas
from croupier.stores.features import features_key, schema_key
from croupierctl.feature_scan import found_in
from croupierctl.features_gc import _asked_for, _collect
from protos.versions.v1 import versions_pb2 as pb

WIDE = Schema([("age", "number"), ("city", "text"), ("old", "number")])
NARROW = Schema([("age", "number"), ("city", "text")])
ONLY_OLD = Schema([("old", "number")])
ELSE = Schema([("else", "number")])


async def fill(store):
    schemas = Schemas(store, float)
    for schema in (WIDE, ONLY_OLD, ELSE):
        await schemas.put("g", schema)
    await schemas.put("h", WIDE)
    items = {
        "wide": encode(WIDE, {"age": 1.0, "city": "x", "old": 5.0}, 111, compress=True),
        "partly": encode(WIDE, {"old": 5.0}, 222),
        "only": encode(ONLY_OLD, {"old": 5.0}, 333),
    }
    await store.put_many([(features_key("t", "g", name), blob) for name, blob in items.items()], 1000.0)
    await store.put_many([(features_key("t", "h", "wide"), items["wide"])], None)


async def left(store):
    found = [one async for one in found_in(store, Schemas(store, float), "g")]
    return {one.key.rpartition(b"/")[2].decode(): (one.event_ms, one.values) for one in found}


@pytest.fixture
def gc(stored, ask, store_url):
    stored(fill)
    return lambda *words: ask("features", "gc", "g", "--keep-names", "age,city", *words, "--store", store_url)


def test_what_nobody_asks_for_goes(gc, stored):
    found = gc()
    assert (found["entities"], found["rewritten"], found["removed"]) == (3, 1, 2)
    assert (found["dropped"], found["schemas_removed"]) == (["old"], 3)
    assert found["saved"] > 0
    assert stored(left) == {"wide": (111, {"age": 1.0, "city": "x"})}

    async def schemas(store):
        return sorted([key async for key in store.scan(b"croupier/s/")])

    assert stored(schemas) == sorted([schema_key("g", NARROW.fingerprint), schema_key("h", WIDE.fingerprint)])
    # Of what is left nothing is to be done.
    assert (gc_again := gc)("--dry-run")["entities"] == 1
    assert gc_again()["rewritten"] == 0


def test_what_was_compressed_is_and_times_stay(gc, stored):
    async def value(store):
        with store._env.begin() as transaction:
            return transaction.get(features_key("t", "g", "wide"))

    before = stored(value)
    gc()
    after = stored(value)
    assert before[:8] == after[:8] != bytes(8)
    assert (before[9], after[9]) == (1, 1)


def test_a_dry_run_says_it_and_changes_nothing(gc, stored):
    before = stored(left)
    assert (gc("--dry-run")["rewritten"], gc("--dry-run")["schemas_removed"]) == (1, 3)
    assert stored(left) == before


def test_what_is_written_meanwhile_keeps_its_schema(stored, gc):
    async def collect(store):
        change = store.change_many

        async def written_meanwhile(changes):
            await store.put_many([(features_key("t", "g", "wide"), encode(WIDE, {"old": 6.0}, 999))], None)
            return await change(changes)

        store.change_many = written_meanwhile
        return await _collect(store, "g", {"age"}, is_dry=False)

    done = stored(collect)
    assert (done.written_meanwhile, done.schemas) == (1, 0)
    assert stored(left) == {"wide": (999, {"old": 6.0})}


class Families:
    """A version manager that has three configs."""

    rows_total = 3
    of = MappingProxyType(
        {
            ("", "churn"): [("age", "g"), ("city", "h")],
            ("", "plain"): [],
            ("acme", "churn"): [("old", "g")],
        }
    )

    async def list_families(self):
        rows = [
            pb.FamilyRow(tenant=tenant, name=name, stored=len(specs))
            for (tenant, name), specs in self.of.items()
        ]
        return pb.ListFamiliesResponse(rows=rows, rows_total=self.rows_total)

    async def get_family(self, name, tenant):
        specs = [pb.FeatureSpec(name=one, group=group) for one, group in self.of[tenant, name]]
        return pb.KeptFamily(family=pb.Family(name=name, features=specs))


async def test_what_families_and_models_of_their_own_ask_for_stays():
    assert await _asked_for(Families(), "g") == {"age", "old"}
    assert await _asked_for(Families(), "none") == set()


async def test_families_that_are_not_all_listed_are_not_believed():
    families = Families()
    families.rows_total = 4
    with pytest.raises(FailedPrecondition, match="4 configs"):
        await _asked_for(families, "g")


def test_without_names_families_are_asked(gc, ask, run, store_url, monkeypatch):
    monkeypatch.setattr("croupierctl.features_gc.ask_manager", lambda work: asyncio.run(work(Families())))
    told = ask("features", "gc", "g", "--dry-run", "--store", store_url)
    assert told["dropped"] == ["city"]
    run("features", "gc", "x", "--dry-run", "--store", store_url, code=2)


def test_something_is_kept(run, store_url):
    run("features", "gc", "g", "--keep-names", " , ", "--store", store_url, code=2)
