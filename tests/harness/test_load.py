"""The table [load]."""

from typing import Any

import pytest

from croupier_bench.keys import ScenarioError, Table
from croupier_bench.load import Load, Shape


def read(**values: Any) -> Load:
    return Load.read(Table(values, "load"))


def test_what_is_left_out() -> None:
    assert read(rate=100) == Load(rate=100.0)
    assert read(mode="closed") == Load(mode="closed")


WHOLE: list[dict[str, Any]] = [
    {"rate": "2k", "seconds": "1min", "warm_up": 0, "arrivals": "constant", "timeout": "500ms"},
    {"rate": 5, "workers": 16, "connections": 32},
    {"mode": "closed", "streams": 3, "connections": 2},
    {"rate": 5, "shape": {"kind": "bursts", "times": 5, "every": 10, "lasts": "500ms"}},
    {"rate": 5, "shape": {"kind": "wave", "period": "1h", "depth": 1}},
    {"shape": {"kind": "steps", "rates": [1, "2k", 30], "every": 5}},
]


@pytest.mark.parametrize("values", WHOLE)
def test_what_is_written_reads_the_same(values: dict[str, Any]) -> None:
    assert read(**read(**values).write()) == read(**values)


def test_shapes() -> None:
    assert read(**WHOLE[3]).shape == Shape("bursts", times=5.0, every=10.0, lasts=0.5)
    assert read(**WHOLE[4]).shape == Shape("wave", period=3600.0, depth=1.0)
    assert read(**WHOLE[5]).shape == Shape("steps", (1.0, 2000.0, 30.0), 5.0)


def test_steps_say_the_rate() -> None:
    assert read(**WHOLE[5]).rate == 2000.0
    with pytest.raises(ScenarioError, match=r"load\.rate: leave it out"):
        read(rate=30, shape={"kind": "steps", "rates": [1, 2], "every": 5})


def test_more_workers_have_more_connections() -> None:
    assert read(rate=5, workers=16).connections == 16


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({}, "rate"),
        ({"rate": 0}, "rate"),
        ({"rate": 1e9}, "rate"),
        ({"rate": "much"}, "rate"),
        ({"rate": 1, "seconds": 0}, "seconds"),
        ({"rate": 1, "seconds": "30d"}, "seconds"),
        ({"rate": 1, "workers": 1_000_000}, "workers"),
        ({"rate": 1, "workers": 4, "connections": 3}, "connections"),
        ({"rate": 1, "connections": 100_000}, "connections"),
        ({"rate": 1, "timeout": 0}, "timeout"),
        ({"rate": 1, "streams": 3}, "streams"),
        ({"rate": 1, "mode": "ajar"}, "mode"),
        ({"rate": 1, "arrivals": "regular"}, "arrivals"),
        ({"mode": "closed", "rate": 1}, "rate"),
        ({"mode": "closed", "shape": {"kind": "steady"}}, "shape"),
        ({"mode": "closed", "streams": 100_000, "connections": 100}, "streams"),
        ({"rate": 1, "shape": {"kind": "square"}}, "shape.kind"),
        ({"rate": 1, "shape": {"kind": "steady", "every": 1}}, "shape.every"),
        ({"rate": 1, "shape": {"kind": "bursts", "times": 2, "every": 1, "lasts": 2}}, "shape.lasts"),
        ({"rate": 1, "shape": {"kind": "bursts", "times": 2, "every": 1e-9, "lasts": 1e-9}}, "shape.every"),
        ({"rate": 6e6, "shape": {"kind": "bursts", "times": 2, "every": 2, "lasts": 1}}, "rate"),
        ({"rate": 1, "shape": {"kind": "wave", "period": 1, "depth": 2}}, "shape.depth"),
        ({"shape": {"kind": "steps", "rates": [], "every": 1}}, "shape.rates"),
        ({"shape": {"kind": "steps", "rates": [1, 0], "every": 1}}, "shape.rates[1]"),
    ],
)
def test_what_is_refused(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        read(**values)
    assert raised.value.key == f"load.{key}"
