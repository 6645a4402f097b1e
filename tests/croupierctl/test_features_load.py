"""A file of features into the store: whole, again, and from where it was stopped."""

import pyarrow as pa
import pytest
from pyarrow import parquet

from croupier.stores.feature_schemas import Schemas
from croupier.stores.features import StoreDown
from croupier.stores.features_embedded import EmbeddedFeatures
from croupierctl.feature_scan import found_in

COUNT = 12_000


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "table.parquet"
    table = {
        "tenant": [f"t{row % 3}" for row in range(COUNT)],
        "entity": [f"e{row % 11_000}" for row in range(COUNT)],
        "row": list(range(COUNT)),
    }
    parquet.write_table(pa.table(table), path)
    return path


@pytest.fixture
def load(file, store_url):
    return ("features", "load", "g", file, "--store", store_url)


async def entities(store):
    found = [one async for one in found_in(store, Schemas(store, float), "g")]
    return {tuple(one.key.decode().split("/")[2::2]): one.values for one in found}


def expected(rows):
    return {(f"t{row % 3}", f"e{row % 11_000}"): {"row": float(row)} for row in rows}


def test_every_row_is_loaded_and_the_last_of_an_entity_stays(load, ask, stored, file):
    told = ask(*load)
    assert (told["rows"], told["features"]) == (COUNT, ["row"])
    assert stored(entities) == expected(range(COUNT))
    assert [path.name for path in file.parent.iterdir() if "loading" in path.name] == []


def test_a_load_that_was_stopped_goes_on_from_there(load, run, ask, stored, monkeypatch):
    put, calls = EmbeddedFeatures.put_many, []

    async def fails(self, items, keep_seconds):
        calls.append(len(items))
        if calls == [1, 5000, 5000, 2000]:
            raise StoreDown("killed")
        await put(self, items, keep_seconds)

    monkeypatch.setattr(EmbeddedFeatures, "put_many", fails)
    said = run(*load, code=1)
    assert "10000 rows are loaded: the same command goes on from there" in said.err
    assert stored(entities) == expected(range(10_000))
    calls.clear()
    said = run(*load)
    assert "10000 rows of it were loaded before" in said.err
    assert calls == [1, 2000]
    assert stored(entities) == expected(range(COUNT))
    assert ask(*load)["rows"] == COUNT


def test_another_file_or_store_begins_at_its_own_begin(load, run, ask, file, tmp_path, monkeypatch):
    async def fails(self, items, keep_seconds):
        if len(items) > 1:
            raise StoreDown("killed")

    beside = tmp_path / "table.parquet.loading"
    with monkeypatch.context() as patch:
        patch.setattr(EmbeddedFeatures, "put_many", fails)
        run(*load, "--from-row", 6000, code=1)
    kept = beside.read_bytes()
    assert ask(*load[:-1], f"lmdb:{tmp_path}/other")["rows"] == COUNT
    beside.write_bytes(kept)
    parquet.write_table(pa.table({"tenant": ["a"], "entity": ["e"], "row": [1]}), file)
    assert ask(*load)["rows"] == 1
    for damaged in (b"", b"[]", b'{"row": "x"}', b"\xff"):
        beside.write_bytes(damaged)
        assert ask(*load)["rows"] == 1


def test_rows_that_are_passed_over(load, ask, stored):
    assert ask(*load, "--from-row", 11_500)["rows"] == 500
    assert stored(entities) == expected(range(11_500, COUNT))


def test_a_row_that_no_store_takes_stops_it(load, run, file, stored):
    parquet.write_table(pa.table({"tenant": ["a", "b/c"], "entity": ["e", "e"], "n": [1, 2]}), file)
    said = run(*load, code=1)
    assert "row 2: tenant has a slash" in said.err
    assert stored(entities) == {}


def test_other_files_are_not_taken(run, tmp_path, store_url):
    (tmp_path / "table.json").write_text("{}")
    run("features", "load", "g", tmp_path / "table.json", "--store", store_url, code=2)
