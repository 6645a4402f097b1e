"""How configs lie in etcd, what an operator may write there by hand, and what is said of the rest."""

import json
import math
from dataclasses import replace

import pytest

from version_manager.map.keys import BadRecord, ConfigKey, OldConfigKey
from version_manager.map.records import carry_over, decode, encode
from version_manager.map.schema import CURRENT, PROTOCOLS, schema_of
from version_manager.model.family import Config, Family, FeatureSpec, LogRule

KEY, OWN = ConfigKey("", "churn"), ConfigKey("acme", "churn")
CHURN = Family(
    "churn",
    3,
    "Who leaves.",
    "growth",
    ("a",),
    (
        FeatureSpec("age", low=0.0),
        FeatureSpec("nan", default=math.nan),
        FeatureSpec("word", "text", default="nan"),
        FeatureSpec("plan", "text", "store", "accounts", "{tenant}", "free", 60.0),
    ),
    "fail",
    LogRule(0.5, {"age": "hash"}),
)
RECORD = Config(3, CHURN, "ada", "a new one", 5.0)
LEAST = b'{"schema":6,"number":1}'


def test_a_config_lies_there_as_people_write_it() -> None:
    written = encode(RECORD)
    assert json.loads(written) == {
        "schema": 6,
        "number": 3,
        "description": "Who leaves.",
        "owner": "growth",
        "tags": ["a"],
        "features": [
            {"name": "age", "low": 0},
            {"name": "nan", "default": "nan"},
            {"name": "word", "dtype": "text", "default": "nan"},
            {
                "name": "plan",
                "dtype": "text",
                "source": "store",
                "group": "accounts",
                "entity": "{tenant}",
                "default": "free",
                "max_age": 60,
            },
        ],
        "store_failure": "fail",
        "log": {"share": 0.5, "sensitive": {"age": "hash"}},
        "author": "ada",
        "reason": "a new one",
        "at": 5,
    }
    assert decode(KEY, written) == RECORD
    assert decode(OWN, written) == replace(RECORD, family=replace(CHURN, tenant="acme"))


def test_what_says_nothing_is_left_out() -> None:
    assert encode(Config(1, Family("churn", 1))) == LEAST
    assert encode(Config(2, None)) == b'{"schema":6,"number":2,"removed":true}'
    for record in (Config(1, Family("churn", 1)), Config(2, None, "ada", "", 9.0)):
        assert decode(KEY, encode(record)) == record


def test_any_config_waits_until_every_part_knows_of_families() -> None:
    assert PROTOCOLS[schema_of(LEAST)] == 7


def test_an_old_one_has_the_number_of_its_key() -> None:
    assert decode(OldConfigKey("", "churn", 1), LEAST) == Config(1, Family("churn", 1))
    with pytest.raises(BadRecord) as refused:
        decode(OldConfigKey("", "churn", 2), LEAST)
    assert refused.value.field == "number"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"number": 0}, "number"),
        ({"number": "1"}, "number"),
        ({"descripton": ""}, "descripton"),
        ({"features": [{"name": "a"}, {"name": "b", "max_ago": 5}]}, "features[1].max_ago"),
        ({"features": [{"name": "a"}, {"name": "b", "max_age": 5}]}, "features[1].max_age"),
        ({"features": [{"name": "a"}, {"name": "b", "source": "store"}]}, "features[1].group"),
        ({"features": [{"name": "a", "default": [1]}]}, "features[0].default"),
        ({"features": [{"name": "a", "default": "nan?"}]}, "features[0].default"),
        ({"features": [{"low": 1}]}, "features[0].name"),
        ({"features": {}}, "features"),
        ({"store_failure": "ignore"}, "store_failure"),
        ({"log": {}}, "log.share"),
        ({"log": {"share": 2}}, "log.share"),
        ({"log": {"share": 1, "sensitive": {"a": 1}}}, "log.sensitive[...]"),
        ({"author": "x" * 1001}, "author"),
        ({"at": -1}, "at"),
        ({"removed": True, "features": [{"name": "a"}]}, "removed"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, object], field: str) -> None:
    with pytest.raises(BadRecord) as refused:
        decode(KEY, json.dumps({"schema": 6, "number": 1, **fields}).encode())
    assert refused.value.field == field


def test_too_much_is_refused() -> None:
    many = {"schema": 6, "number": 1, "features": [{"name": f"f{at}"} for at in range(513)]}
    with pytest.raises(BadRecord, match="512"):
        decode(KEY, json.dumps(many).encode())


def test_what_the_next_release_adds_is_passed_over_and_kept() -> None:
    newer = {
        "schema": CURRENT + 1,
        "number": 1,
        "cache": 5,
        "features": [{"name": "a", "unit": "s"}],
        "log": {"share": 1, "sink": "x"},
    }
    value = json.dumps(newer).encode()
    found = decode(KEY, value)
    assert found == Config(1, Family("churn", 1, features=(FeatureSpec("a"),), log=LogRule(1.0)))
    after = Family("churn", 2, features=(FeatureSpec("a", low=1.0),), log=LogRule(0.5))
    assert json.loads(carry_over(KEY, value, encode(Config(2, after)))) == {
        "schema": CURRENT + 1,
        "number": 2,
        "cache": 5,
        "features": [{"name": "a", "low": 1, "unit": "s"}],
        "log": {"share": 0.5, "sink": "x"},
    }
