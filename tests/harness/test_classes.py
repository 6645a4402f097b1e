"""The tables [[class]]: what is asked, and how models are called."""

from typing import Any

import pytest

from croupier_bench.classes import Popularity, RequestClass
from croupier_bench.keys import ScenarioError, Table


def read(protocol: str = "croupier", **values: Any) -> RequestClass:
    return RequestClass.read(Table({"name": "a", **values}, "class[0]"), protocol)


def test_what_is_left_out() -> None:
    assert read() == RequestClass("a")


WHOLE: list[dict[str, Any]] = [
    {
        "weight": 0.5,
        "tenants": 200,
        "models": 1000,
        "rows": 8,
        "features": 5,
        "datatype": "INT64",
        "input": "x",
    },
    {"tenants": ["acme", "globex"], "names": ["churn"], "call": "items", "items": 32},
    {
        "popularity": {"kind": "zipf", "alpha": 1.1, "drift": "10%", "scan": 0.1},
        "cold": "1%",
        "cold_models": 50,
    },
    {"call": "stream", "datatype": "FP64", "prefix": "other", "popularity": {"kind": "uniform"}},
]


@pytest.mark.parametrize("values", WHOLE)
def test_what_is_written_reads_the_same(values: dict[str, Any]) -> None:
    assert read(**read(**values).write()) == read(**values)


def test_popularity() -> None:
    assert read(**WHOLE[2]).popularity == Popularity("zipf", 1.1, 0.1, 0.1)
    assert read(popularity={"kind": "zipf"}).popularity.alpha == 1.0


def test_models_are_dealt_to_tenants_in_turn() -> None:
    asked = read(tenants=3, models=7, cold=0.1, cold_models=4)
    names = [f"{asked.tenant(index)}/{asked.model(index)}" for index in range(asked.all_models)]
    assert names == [
        "tenant-00000/model-0000",
        "tenant-00001/model-0000",
        "tenant-00002/model-0000",
        "tenant-00000/model-0001",
        "tenant-00001/model-0001",
        "tenant-00002/model-0001",
        "tenant-00000/model-0002",
        "tenant-00000/model-cold-0000",
        "tenant-00001/model-cold-0000",
        "tenant-00002/model-cold-0000",
        "tenant-00000/model-cold-0001",
    ]


def test_each_tenant_has_a_model_of_each_name() -> None:
    asked = read(tenants=["acme", "globex"], names=["churn", "fraud"])
    assert asked.models == 4
    assert {(asked.tenant(index), asked.model(index)) for index in range(4)} == {
        ("acme", "churn"),
        ("acme", "fraud"),
        ("globex", "churn"),
        ("globex", "fraud"),
    }


@pytest.mark.parametrize(
    ("one", "other", "they_share"),
    [
        ({}, {}, True),
        ({}, {"prefix": "x"}, False),
        ({"tenants": ["a"]}, {}, False),
        ({"tenants": ["tenant-00002"]}, {"tenants": 3}, True),
        ({"tenants": ["tenant-00003"]}, {"tenants": 3}, False),
        ({"tenants": ["a", "b"]}, {"tenants": ["b"]}, True),
        ({"names": ["a"]}, {"names": ["a", "b"]}, True),
        ({"names": ["a"]}, {"names": ["b"]}, False),
        ({"names": ["model-0000"]}, {}, True),
        ({"names": ["churn"]}, {}, False),
    ],
)
def test_whether_two_classes_share_models(
    one: dict[str, Any], other: dict[str, Any], they_share: bool
) -> None:
    assert read(**one).may_share_models(read(**other)) is they_share
    assert read(**other).may_share_models(read(**one)) is they_share


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"name": "a/b"}, "name"),
        ({"weight": 0}, "weight"),
        ({"tenants": 0}, "tenants"),
        ({"tenants": 2_000_000}, "tenants"),
        ({"tenants": []}, "tenants"),
        ({"models": 1_000_001}, "models"),
        ({"models": 3, "names": ["a"]}, "models"),
        ({"names": ["a", "b"], "tenants": 600_000}, "names"),
        ({"prefix": "x" * 101}, "prefix"),
        ({"cold": 0.1}, "cold_models"),
        ({"cold_models": 3}, "cold"),
        ({"cold": 0.6, "cold_models": 3, "popularity": {"kind": "uniform", "scan": 0.5}}, "cold"),
        ({"popularity": {"kind": "pareto"}}, "popularity.kind"),
        ({"popularity": {"kind": "uniform", "alpha": 1}}, "popularity.alpha"),
        ({"popularity": {"kind": "zipf", "drift": "101%"}}, "popularity.drift"),
        ({"call": "batch"}, "call"),
        ({"call": "items", "rows": 2}, "rows"),
        ({"items": 2}, "items"),
        ({"call": "items", "datatype": "INT32"}, "datatype"),
        ({"datatype": "BYTES"}, "datatype"),
        ({"features": 0}, "features"),
        ({"rows": 60_000, "features": 30_000}, "rows"),
        ({"call": "items", "items": 4_000, "features": 30_000}, "items"),
        ({"feature": 3}, "feature"),
    ],
)
def test_what_is_refused(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        read(**values)
    assert raised.value.key == f"class[0].{key}"


def test_croupiers_own_calls_need_croupier() -> None:
    for call in ("items", "stream"):
        with pytest.raises(ScenarioError, match=r'class\[0\]\.call: .*takes target\.protocol = "croupier"'):
            read("oip", call=call)
