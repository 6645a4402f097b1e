"""What of a group cannot be read, or is old."""

import time

import pytest

from croupier.stores.feature_blob import Schema, encode
from croupier.stores.features import features_key
from croupierctl.features_check import PROBLEMS

AGE = Schema([("age", "number"), ("size", "number")])


@pytest.fixture
def check(ask, store_url):
    return lambda *words: ask("features", "check", "g", *words, "--store", store_url)


@pytest.fixture
def group(run, stored, store_url):
    for entity in ("1", "2"):
        run("features", "put", "acme", "g", entity, "age=1", "size=2", "--store", store_url)
    old = encode(AGE, {"age": 1.0}, int(time.time() - 7200) * 1000)
    stored(lambda store: store.put_many([(features_key("other", "g", "old"), old)], None))


def test_a_group_that_is_well(group, check, run, store_url):
    found = check("--max-age", "1h")
    assert (found["entities"], found["stale"], found["examples"]) == (3, 1, [])
    assert found["features"] == {"age": 3, "size": 2}
    assert [found[name.replace(" ", "_")] for name in PROBLEMS] == [0, 0, 0]
    assert check("--tenant", "acme", "--max-age", "1h")["stale"] == 0
    assert check("--max-age", "3h")["stale"] == 0
    assert check()["stale"] is None
    assert "age: 3" in run("features", "check", "g", "--store", store_url).out


def test_what_cannot_be_read_is_named_and_exits_with_1(group, stored, run, store_url):
    unknown = encode(Schema([("x", "number")]), {"x": 1.0}, 5)
    items = [(features_key("acme", "g", "bad"), b"bad"), (features_key("acme", "g", "unknown"), unknown)]
    stored(lambda store: store.put_many(items, None))
    out = run("features", "check", "g", "--store", store_url, code=1).out
    assert "acme/bad: bad blob" in out
    assert "acme/unknown: unknown schema" in out


def test_a_group_that_nobody_wrote_is_said_to_be_empty(group, run, store_url):
    said = run("features", "check", "spelt-wrong", "--store", store_url)
    assert "nothing is stored in group spelt-wrong" in said.err
