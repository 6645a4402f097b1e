"""Whole scenarios: files, what has to fit together, and changing them."""

import json
import pickle
import tomllib
from pathlib import Path
from typing import Any

import pytest

from croupier_bench.scenario import Event, Scenario, ScenarioError, load

EXAMPLES = sorted((Path(__file__).parents[2] / "examples/load").glob("*.toml"))

MINIMAL = """
[target]
address = "127.0.0.1:8500"
[load]
rate = 100
[[class]]
name = "a"
"""
WHOLE = """
name = "whole"
seed = 3
[target]
address = "127.0.0.1:8500"
protocol = "croupier"
manager = "127.0.0.1:8400"
metadata = {authorization = "Bearer abc", x-team = "load", api-key = "k"}
[load]
rate = 1000
workers = 2
shape = {kind = "wave", period = 60, depth = 0.5}
[[class]]
name = "a"
weight = 0.9
tenants = 20
models = 100
[[class]]
name = "b"
call = "items"
items = 4
prefix = "b"
features = 3
[[event]]
at = 10
kind = "release"
tenant = "tenant-00000"
model = "model-0000"
version = 2
required = true
[[event]]
at = 11
kind = "map"
verb = "cells drain"
arguments = ["cell-1"]
[[event]]
at = "12s"
kind = "kill"
unit = "cell-3"
signal = "TERM"
[[event]]
at = 13
kind = "command"
argv = ["true"]
label = "nothing"
[stop]
errors = "5%"
[slo]
p99 = "10ms"
errors = "0.01%"
"""


def key_of(read: Any) -> str:
    with pytest.raises(ScenarioError) as raised:
        read()
    return raised.value.key


def test_the_least_that_there_may_be() -> None:
    scenario = load(MINIMAL)
    assert (scenario.name, scenario.seed, scenario.events, scenario.slo) == ("load", 1, (), {})
    assert scenario.stop.errors is None


def test_all_that_there_may_be() -> None:
    scenario = load(WHOLE)
    assert scenario.slo == {"p99_ms": 10.0, "errors": 0.0001}
    assert scenario.events == (
        Event(10.0, "release", "", True, 60.0, "tenant-00000", "model-0000", 2, "127.0.0.1:8400"),
        Event(11.0, "map", manager="127.0.0.1:8400", verb="cells drain", arguments=("cell-1",)),
        Event(12.0, "kill", unit="cell-3", signal="TERM"),
        Event(13.0, "command", "nothing", argv=("true",)),
    )


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_read(path: Path) -> None:
    scenario = load(path)
    assert scenario.name == path.stem
    assert scenario.target.manager


def test_there_are_examples() -> None:
    assert {path.stem for path in EXAMPLES} == {"quick", "retail", "stream"}


def test_examples_can_be_prepared_on_one_stack() -> None:
    """Models of equal names are equal only if seed and features are."""
    quick, retail, stream = map(load, EXAMPLES)
    for one, other in ((quick, retail), (quick, stream), (retail, stream)):
        assert not any(a.may_share_models(b) for a in one.classes for b in other.classes)


def test_a_path_may_be_text() -> None:
    assert load(str(EXAMPLES[0])) == load(EXAMPLES[0])


@pytest.mark.parametrize("text", [MINIMAL, WHOLE])
def test_json_reads_as_the_same_scenario(text: str) -> None:
    scenario = load(text.replace("metadata =", "#"))
    again = Scenario.read(json.loads(json.dumps(scenario.to_json())))
    assert again == scenario
    assert pickle.loads(pickle.dumps(scenario)) == scenario


def test_secrets_are_not_written() -> None:
    told = load(WHOLE).to_json()
    assert told["target"]["metadata"] == {"authorization": "hidden", "x-team": "load", "api-key": "hidden"}
    assert load(WHOLE).with_(seed=9).target.metadata[0] == ("authorization", "Bearer abc")


def test_with_changes_one_thing() -> None:
    scenario = load(WHOLE)
    assert scenario.with_() == scenario
    assert scenario.with_(rate=5.0).load.rate == 5.0
    assert scenario.with_(seconds=5.0).load.seconds == 5.0
    assert scenario.with_(warm_up=0.0).load.warm_up == 0.0
    assert scenario.with_(workers=16).load.connections == 16
    assert scenario.with_(connections=3).load.connections == 3
    assert scenario.with_(address="unix:/x").target.addresses == ("unix:/x",)
    assert scenario.with_(slo="p50=1ms").slo == {"p50_ms": 1.0}
    assert scenario.with_(slo={"p50": 0.001}).slo == {"p50_ms": 1.0}


def test_with_checks_again() -> None:
    scenario = load(WHOLE)
    assert key_of(lambda: scenario.with_(rate=1e12)) == "load.rate"
    assert key_of(lambda: scenario.with_(workers=10_000)) == "load.workers"
    assert key_of(lambda: Scenario.read(_closed()).with_(rate=5.0)) == "load.rate"


def _closed() -> dict[str, Any]:
    values = tomllib.loads(MINIMAL)
    values["load"] = {"mode": "closed"}
    return values


def test_steps_are_scaled() -> None:
    values = tomllib.loads(MINIMAL)
    values["load"] = {"shape": {"kind": "steps", "rates": [100, 400], "every": 5}}
    scenario = Scenario.read(values).with_(rate=40.0)
    assert (scenario.load.rate, scenario.load.shape.rates) == (40.0, (10.0, 40.0))


@pytest.mark.parametrize(
    ("line", "instead", "key"),
    [
        ("rate = 100", "rate = 100\nretries = 3", "load.retries"),
        ("[[class]]", "[class]", "class"),
        ('[[class]]\nname = "a"', "", "class"),
        ("[load]\nrate = 100", "", "load"),
        ("[[class]]", "[[classes]]", "class"),
        ('name = "a"', 'name = "a"\n[[class]]\nname = "a"', "class[1].name"),
        ('name = "a"', 'name = "a"\n[[class]]\nname = "b"\nfeatures = 3', "class[1].features"),
        ('name = "a"', 'name = "a"\n[[event]]\nat = 1\nkind = "release"', "event[0].tenant"),
        ('name = "a"', 'name = "a"\n[[event]]\nat = 1\nkind = "map"\nverb = "x"', "event[0].manager"),
        ('name = "a"', 'name = "a"\n[[event]]\nat = 1\nkind = "kill"', "event[0].unit"),
        (
            'name = "a"',
            'name = "a"\n[[event]]\nat = 1\nkind = "kill"\nunit = "a"\npid_file = "b"',
            "event[0].unit",
        ),
        ('name = "a"', 'name = "a"\n[[event]]\nat = 1\nkind = "command"\nargv = []', "event[0].argv"),
        ('name = "a"', 'name = "a"\n[[event]]\nat = 1\nkind = "command"\nargv = "ls"', "event[0].argv"),
        (
            'name = "a"',
            'name = "a"\n[[event]]\nat = 1\nkind = "command"\nargv = ["a"]\nunit = "b"',
            "event[0].unit",
        ),
        ('name = "a"', 'name = "a"\n[[event]]\nat = 31\nkind = "command"\nargv = ["a"]', "event[0].at"),
        ('name = "a"', 'name = "a"\n[slo]\np98 = 1', "slo.p98"),
        ("[target]", "seed = -1\n[target]", "seed"),
        ("[target]", "version = 3\n[target]", "version"),
        ("[target]", "[target", ""),
    ],
)
def test_what_is_refused(line: str, instead: str, key: str) -> None:
    assert line in MINIMAL
    assert key_of(lambda: load(MINIMAL.replace(line, instead))) == key


def test_there_are_as_many_cold_models_as_requests_for_them() -> None:
    text = MINIMAL.replace('name = "a"', 'name = "a"\ncold = 0.1\ncold_models = {}')
    with pytest.raises(
        ScenarioError, match=r"class\[0\]\.cold_models: 300 are too few for some 320 .* take 428"
    ):
        load(text.format(300))
    scenario = load(text.format(428))
    assert key_of(lambda: scenario.with_(rate=1000.0)) == "class[0].cold_models"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert key_of(lambda: load(tmp_path / "nothing.toml")) == ""
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    assert key_of(lambda: load(tmp_path / "latin.toml")) == ""
    (tmp_path / "large.toml").write_bytes(b"#" * (17 << 20))
    with pytest.raises(ScenarioError, match="more than"):
        load(tmp_path / "large.toml")
