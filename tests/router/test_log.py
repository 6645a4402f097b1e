"""What is logged is what was asked and answered, of the share of requests that a family wants."""

import json
import mmap
import os
import re
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from support.fakes import generation, model, view
from xxhash import xxh3_64_intdigest

from croupier.request_ids import Known, RequestId
from croupier.stores.spool import HEADER, Kind, Record, records_from, unpack
from croupier.stores.spool_writer import Appender
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb
from router.log import SEED, PredictionLog
from router.pipeline import decide
from router.remembered import Route
from router.routes import Routes
from router.units import Unit
from version_manager.model.family import Family, LogRule
from version_manager.model.fleet import Cell

SIZE = 2**20


class World:
    """Routes of a family, and a log of them."""

    def __init__(self, rule: LogRule | None = None, *, word: str = "me") -> None:
        self.family: Family | None = Family("churn", 5, log=rule)
        self.routes = Routes(self.decide, lambda: 0.25)
        self.routes.follow(view([model(versions=(3,))], (generation(["a"]),), [Cell("a", "zone-0", "a:1")]))
        self.appender = Appender(SIZE, lambda: None)
        file = os.memfd_create("segment")
        os.truncate(file, SIZE)
        self.appender.give(file, 0)
        self._pages = mmap.mmap(file, SIZE, prot=mmap.PROT_READ)
        os.close(file)
        self.log = PredictionLog(self.appender, word, 1.0)

    def decide(self, *asked: Any) -> Route:
        found = decide(*asked)
        wanted = None if self.family is None else SimpleNamespace(family=self.family, features=None)
        return Route(found.record, found.choices, found.order, found.cells, family=wanted)

    def infer(self, outcome: Any = b"reply", **parameters: str) -> Unit:
        request = inference_pb2.ModelInferRequest(model_name="churn")
        for name, value in parameters.items():
            request.parameters[name].string_param = value
        (unit,) = self.routes.infer("acme", request.SerializeToString())
        unit.outcome = outcome
        return unit

    def items(self, *items: pb.Item, shared: pb.Shared | None = None) -> list[Unit]:
        request = pb.PredictRequest(items=items, shared=shared)
        units = self.routes.items("acme", request.SerializeToString(), 100)
        for at, unit in enumerate(units):
            unit.outcome = b"reply %d" % at
        return units

    def end(
        self, units: list[Unit], *, method: str = "Predict", given: str = "", seconds: float = 0.5
    ) -> None:
        caller = Known(RequestId(given), is_named=bool(given))
        self.log.ended(method, caller, "acme", units, seconds)

    def records(self) -> list[Record]:
        with memoryview(self._pages) as whole:
            return [unpack(whole[one.begin : one.end]) for one in records_from(whole, HEADER.size)]


ALL = LogRule(1.0)


def test_a_record_has_what_was_asked_and_answered() -> None:
    world = World(LogRule(1.0, {"age": "hash", "entity": "drop"}))
    unit = world.infer()
    unit.fetched = b"\xe2\x3e\x01f"
    world.end([unit], method="ModelInfer", given="mine", seconds=0.25)
    (record,) = world.records()
    assert record.kind == Kind.INFER
    assert (record.request_id, record.tenant, record.model, record.family) == (
        "mine",
        "acme",
        "churn",
        "churn",
    )
    assert (record.version, record.number, record.item, record.took_us) == (3, 5, 0, 250_000)
    assert (record.artifact, record.request, record.reply) == (unit.artifact, unit.request, b"reply")
    assert (record.added, record.shared) == (b"\xe2\x3e\x01f", b"")
    assert json.loads(record.rule) == {"age": "hash", "entity": "drop"}


def test_of_a_request_of_items_each_is_a_record() -> None:
    world = World(ALL)
    features = pb.Features(features=[pb.Feature(name="a", number=1.0)])
    shared = pb.Shared(features=features, entity_id="all")
    world.end(world.items(pb.Item(model="churn", entity_id="1"), pb.Item(model="churn"), shared=shared))
    first, second = world.records()
    assert (first.item, second.item) == (0, 1)
    assert (first.reply, second.reply) == (b"reply 0", b"reply 1")
    assert first.request_id == second.request_id
    assert pb.Item.FromString(first.request + first.added).shared == features
    assert pb.Shared.FromString(second.shared) == shared
    assert first.rule == b""


@pytest.mark.parametrize("family", [None, Family("churn", 1), Family("churn", 1, log=LogRule(0.0))])
def test_what_no_family_wants_logged_is_not(family: Family | None) -> None:
    world = World()
    world.family = family
    world.end([world.infer()], method="ModelInfer")
    assert world.records() == []


@pytest.mark.parametrize("method", ["ModelMetadata", "ServerLive"])
def test_what_predicts_nothing_is_not_logged(method: str) -> None:
    world = World(ALL)
    world.end([world.infer()], method=method)
    assert world.records() == []


def test_what_was_not_answered_is_not_logged() -> None:
    world = World(ALL)
    lost = Unit(b"nowhere", ("a",), b"reply")
    world.end(
        [world.infer(None), world.infer(ValueError("no")), lost, world.infer(b"yes")], method="ModelInfer"
    )
    assert [(record.item, record.reply) for record in world.records()] == [(3, b"yes")]


def test_whoever_named_nothing_gets_a_name() -> None:
    world = World(ALL)
    for _ in range(40):
        world.end([world.infer()], method="ModelInfer")
    assert [record.request_id for record in world.records()] == [f"me-{n:x}" for n in range(1, 41)]


def test_a_slow_request_has_the_name_that_its_line_of_the_log_has() -> None:
    world = World(ALL)
    caller = Known(RequestId(), is_named=False)
    world.log.ended("ModelInfer", caller, "acme", [world.infer()], 1.0)
    assert [record.request_id for record in world.records()] == [str(caller.request_id)]


WAYS: Mapping[str, Callable[[str], Callable[[World], list[Unit]]]] = {
    "routing key of a ModelInferRequest": lambda key: lambda world: [world.infer(routing_key=key)],
    "routing key of an item": lambda key: (
        lambda world: world.items(pb.Item(model="churn", routing_key=key, entity_id="other"))
    ),
    "entity of an item": lambda key: lambda world: world.items(pb.Item(model="churn", entity_id=key)),
    "shared entity": lambda key: (
        lambda world: world.items(pb.Item(model="churn"), shared=pb.Shared(entity_id=key))
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_hash_of_the_routing_key_decides(way: str) -> None:
    world = World(LogRule(0.3))
    keys = [f"key-{at}" for at in range(300)]
    method = "ModelInfer" if "Infer" in way else "Predict"
    for key in keys:
        world.end(WAYS[way](key)(world), method=method, given=key)
    logged = [record.request_id for record in world.records()]
    assert logged == [key for key in keys if xxh3_64_intdigest(key.encode(), SEED) < 0.3 * 2**64]
    assert 60 < len(logged) < 120


def test_without_a_key_a_share_is_logged_all_the_same() -> None:
    world = World(LogRule(0.25))
    for _ in range(2000):
        world.end([world.infer()], method="ModelInfer")
    assert 400 < len(world.records()) < 600


def test_another_config_holds_at_once() -> None:
    world = World(ALL)
    world.end([world.infer()], method="ModelInfer")
    world.family = Family("churn", 6, log=LogRule(1.0, {"a": "drop"}))
    world.routes.follow(view([model(versions=(4,))], (generation(["a"]),), [Cell("a", "zone-0", "a:1")]))
    world.end([world.infer()], method="ModelInfer")
    assert [(record.number, record.rule) for record in world.records()] == [(5, b""), (6, b'{"a":"drop"}')]


def test_a_bug_in_it_is_nobodys_error(caplog: pytest.LogCaptureFixture) -> None:
    world = World(ALL)
    broken: Any = SimpleNamespace(is_named=True)
    world.log.ended("ModelInfer", broken, "acme", [world.infer()], 0.1)
    assert re.search("a bug in writing down", caplog.text)


def test_a_word_for_names_is_short() -> None:
    with pytest.raises(ValueError, match="short"):
        World(word="x" * 65)
