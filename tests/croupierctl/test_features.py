"""What an operator writes and reads of one entity."""

import time

import pytest

from croupier.stores.features import features_key

OF = ("acme", "profile", "u/1 ü")


@pytest.fixture
def put(ask, store_url):
    return lambda *words: ask("features", "put", *OF, *words, "--store", store_url)


@pytest.fixture
def get(ask, store_url):
    return lambda: ask("features", "get", *OF, "--store", store_url)


def test_what_was_put_is_shown(put, get, run, store_url):
    assert put("age=41", "city=Köln", "zip=01067", "--text", "zip")["zip"] == "01067"
    found = get()
    assert found["features"] == {"age": 41.0, "city": "Köln", "zip": "01067"}
    assert 0 <= found["age"] < 60
    assert abs(found["time"] - time.time()) < 60
    lines = run("features", "get", *OF, "--store", store_url).out.splitlines()
    assert [line.split()[-1] for line in lines[2:]] == ["age=41.0", "city=Köln", "zip=01067"]


def test_what_is_not_mentioned_goes_unless_it_is_merged(put, get):
    put("age=41", "city=Köln")
    put("--merge", "age=42")
    assert get()["features"] == {"age": 42.0, "city": "Köln"}
    put("age=43")
    assert get()["features"] == {"age": 43.0}


def test_nothing_there(put, run, store_url):
    put("age=41")
    said = run("features", "get", *OF[:2], "other", "--store", store_url, code=1)
    assert "nothing is stored of entity 'other' in group profile of acme" in said.err
    assert "croupierctl features scan" in said.err


@pytest.mark.parametrize(
    "words", [("get", *OF), ("scan",), ("check", "g"), ("gc", "g", "--keep-names", "a", "--dry-run")]
)
def test_who_reads_makes_no_store(run, store_url, words, tmp_path):
    said = run("features", *words, "--store", store_url, code=1)
    assert f"there is no feature store in {tmp_path}/features to be read" in said.err
    assert not (tmp_path / "features").exists()


def test_bytes_that_are_no_blob_are_said_to_be(run, put, stored, store_url):
    put("age=41")
    stored(lambda store: store.put_many([(features_key(*OF), b"x")], None))
    assert "features check" in run("features", "get", *OF, "--store", store_url, code=1).err


def test_a_blob_without_its_schema_is_said_to_be(run, put, stored, store_url):
    put("age=41")

    async def forget(store):
        await store.delete_many([key async for key in store.scan(b"croupier/s/")])

    stored(forget)
    assert "there is no schema" in run("features", "get", *OF, "--store", store_url, code=1).err


@pytest.mark.parametrize(
    "words", [("age",), ("age=nan",), ("age=inf",), ("age=1", "--text", "other"), ("age=1", "--keep", "long")]
)
def test_typing_errors(run, store_url, words):
    run("features", "put", *OF, *words, "--store", store_url, code=2)


def test_names_that_cannot_be(run, store_url):
    assert "slash" in run("features", "put", *OF, "a/b=1", "--store", store_url, code=1).err
    assert "slash" in run("features", "put", "a/b", "g", "e", "a=1", "--store", store_url, code=1).err


def test_what_is_kept_for_a_while(put, stored):
    put("age=41", "--keep", "1h")
    key = features_key(*OF)

    async def until(store):
        with store._env.begin() as transaction:
            return transaction.get(key)[:8]

    assert stored(until) != bytes(8)


def test_a_scan_lists_whose_features_there_are(run, ask, store_url):
    for tenant, group, entity in (("a", "g", "1"), ("a", "g", "2"), ("a", "h", "1"), ("ab", "g", "1")):
        run("features", "put", tenant, group, entity, "x=1", "--store", store_url)

    def scan(*words):
        found = ask("features", "scan", *words, "--store", store_url)
        return [(one["tenant"], one["group"], one["entity"]) for one in found]

    assert len(scan()) == 4
    assert scan("--tenant", "a") == [("a", "g", "1"), ("a", "g", "2"), ("a", "h", "1")]
    assert scan("--group", "g") == [("a", "g", "1"), ("a", "g", "2"), ("ab", "g", "1")]
    assert scan("--tenant", "a", "--group", "h") == [("a", "h", "1")]
    assert len(scan("--limit", "2")) == 2
    assert "--limit" in run("features", "scan", "--limit", 2, "--store", store_url).err


def test_a_store_that_is_none(run):
    assert "secret" not in run("features", "scan", "--store", "http://u:secret@a", code=1).err
    run("features", "scan", code=2)
