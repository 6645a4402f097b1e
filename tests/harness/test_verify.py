"""Answers that are right, and each kind of those that are wrong: of a real cell, and made by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cell_server import CellServer, open_cell

from croupier_bench.models import Models
from croupier_bench.publish import artifact
from croupier_bench.requests import Prepared
from croupier_bench.scenario import Scenario
from croupier_bench.verify import KINDS, Verifier
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2

MODEL, VERSION, VALUE, UNREADABLE = KINDS
RELEASE = {
    "at": 1,
    "kind": "release",
    "tenant": "tenant-00001",
    "model": "model-0000",
    "version": 4,
    "manager": "a:1",
}


def scenario(*classes: dict[str, Any], events: bool = True) -> Scenario:
    named = [{"name": f"class-{at}", "tenants": 3, "models": 12, **each} for at, each in enumerate(classes)]
    return Scenario.read(
        {
            "target": {"address": "127.0.0.1:1", "protocol": "croupier"},
            "load": {"rate": 1},
            "class": named,
            "seed": 5,
            "event": [RELEASE] if events else [],
        }
    )


def infer(
    asked: Scenario, model: int, version: int, number: int, *, say: int | None = None, **told: Any
) -> bytes:
    """What a server answers that has computed it rightly; `say` is the version that it names."""
    kind = asked.classes[0]
    answers = Models(kind, asked.seed).answers(model, version)
    values = answers[(number + np.arange(kind.rows)) % len(answers)]
    said = version if say is None else say
    response = inference_pb2.ModelInferResponse(
        **{"model_name": kind.model(model), "model_version": str(said) if said else "", **told},
        outputs=[{"name": "value", "datatype": "FP32", "shape": [kind.rows, 1]}],
        raw_output_contents=[values.tobytes()],
    )
    return response.SerializeToString()


def predict(asked: Scenario, model: int, versions: list[int], number: int) -> bytes:
    response = prediction_pb2.PredictResponse()
    for place, version in enumerate(versions):
        answers = Models(asked.classes[0], asked.seed).answers(model, version)
        result = response.results.add(version=version, took_us=7)
        result.value.outputs.add(name="value").numbers.values.append(answers[(number + place) % len(answers)])
    return response.SerializeToString()


@pytest.mark.parametrize("rows", [1, 5, 300])
def test_right_answers_of_several_rows(rows: int) -> None:
    asked = scenario({"rows": rows})
    verifier = Verifier(asked)
    for model, number in ((0, 0), (11, 255), (5, 10**12 + 3)):
        assert verifier.is_right(0, model, number, infer(asked, model, 1, number)) is None
    assert verifier.examples == []


def test_released_versions_are_right_and_others_are_not() -> None:
    asked = scenario({})
    verifier = Verifier(asked)
    # Model 1 is tenant-00001/model-0000.
    assert verifier.is_right(0, 1, 7, infer(asked, 1, 1, 7)) is None
    assert verifier.is_right(0, 1, 7, infer(asked, 1, 4, 7)) is None
    assert verifier.is_right(0, 1, 7, infer(asked, 1, 4, 7, say=0)) is None
    assert verifier.is_right(0, 1, 7, infer(asked, 1, 2, 7)) == VERSION
    assert verifier.is_right(0, 1, 7, infer(asked, 1, 4, 7, say=1)) == VERSION
    assert verifier.is_right(0, 2, 7, infer(asked, 2, 4, 7)) == VERSION
    assert verifier.is_right(0, 2, 7, infer(asked, 2, 1, 7, model_version="first")) == VERSION
    assert verifier.examples[-2] == (
        "another version, asked for tenant-00002/model-0000: version 4 is said, it is that of version 4, "
        "released are [1]"
    )


def test_another_models_answer_says_whose() -> None:
    asked = scenario({}, {"models": 3, "prefix": "other"})
    verifier = Verifier(asked)
    # Of another tenant's model of the same name, which no name in the reply would tell.
    assert verifier.is_right(0, 0, 7, infer(asked, 1, 1, 7)) == MODEL
    assert "it is that of tenant-00001/model-0000 version 1" in verifier.examples[-1]
    # Of another class, whose rows are the same.
    other = Models(asked.classes[1], 5).answers(2, 1)[7:8].tobytes()
    reply = inference_pb2.ModelInferResponse.FromString(infer(asked, 0, 1, 7))
    reply.raw_output_contents[0] = other
    assert verifier.is_right(0, 0, 7, reply.SerializeToString()) == MODEL
    assert "tenant-00002/other-0000 version 1" in verifier.examples[-1]
    assert verifier.is_right(0, 0, 7, infer(asked, 0, 1, 7, model_name="model-0009")) == MODEL


def test_another_value() -> None:
    asked = scenario({"rows": 2})
    verifier = Verifier(asked)
    # The answer to another request, and of too few rows.
    assert verifier.is_right(0, 3, 8, infer(asked, 3, 1, 9)) == VALUE
    reply = inference_pb2.ModelInferResponse.FromString(infer(asked, 3, 1, 8))
    reply.raw_output_contents[0] = reply.raw_output_contents[0][:4]
    assert verifier.is_right(0, 3, 8, reply.SerializeToString()) == VALUE
    values = np.frombuffer(infer(asked, 3, 1, 8)[-8:], "<f4").copy()
    values[1] = np.nextafter(values[1], np.float32(np.inf))
    reply.raw_output_contents[0] = values.tobytes()
    assert verifier.is_right(0, 3, 8, reply.SerializeToString()) == VALUE
    assert len(verifier.examples) == 3


def test_unreadable() -> None:
    asked = scenario({})
    assert Verifier(asked).is_right(0, 3, 8, b"\xff\xff") == UNREADABLE
    items = scenario({"call": "items", "items": 3})
    verifier = Verifier(items)
    assert verifier.is_right(0, 3, 8, b"\xff\xff") == UNREADABLE
    assert verifier.is_right(0, 3, 8, b"") == UNREADABLE
    assert verifier.is_right(0, 3, 8, predict(items, 3, [1, 1], 8)) == UNREADABLE


def test_items() -> None:
    asked = scenario({"call": "items", "items": 3})
    verifier = Verifier(asked)
    for number in (0, 254, 10**9):
        assert verifier.is_right(0, 1, number, predict(asked, 1, [1, 1, 1], number)) is None
        assert verifier.is_right(0, 1, number, predict(asked, 1, [1, 4, 1], number)) is None
        assert verifier.is_right(0, 1, number, predict(asked, 1, [1, 4, 2], number)) == VERSION
        assert verifier.is_right(0, 1, number, predict(asked, 1, [1, 1, 1], number + 1)) == VALUE
        assert verifier.is_right(0, 1, number, predict(asked, 2, [1, 1, 4], number)) == MODEL


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("croupier_bench.verify._KEPT_BYTES", 3 * 4 * 256)
    monkeypatch.setattr("croupier_bench.verify._KEPT_NAMES", 3)
    asked = scenario({}, events=False)
    verifier = Verifier(asked)
    for model in [*range(12), *range(12)]:
        assert verifier.is_right(0, model, 7, infer(asked, model, 1, 7)) is None
    (kept,) = verifier._classes
    assert (len(kept._kept), len(kept._names)) == (3, 3)


def test_many_wrong_answers_cost_no_more_than_the_first_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("croupier_bench.verify._LOOKED_FOR", 2)
    asked = scenario({})
    verifier = Verifier(asked)
    kinds = [verifier.is_right(0, 0, number, infer(asked, 1, 1, number)) for number in range(40)]
    assert kinds == [MODEL] * 2 + [VALUE] * 38
    assert len(verifier.examples) == 10


async def score(server: CellServer, message: bytes, digest: bytes, version: int) -> bytes:
    """As a router hands a request on."""
    extra = inference_pb2.ModelInferRequest(model_version=str(version), artifact=digest)
    return await server.send_bytes(
        "/inference.GRPCInferenceService/ModelInfer", message + extra.SerializeToString()
    )


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
@pytest.mark.parametrize("features", [1, 20, 501])
async def test_a_cells_answers_are_right(tmp_path: Path, datatype: str, features: int) -> None:
    asked = scenario({"features": features, "datatype": datatype, "rows": 3})
    made = Models(asked.classes[0], asked.seed)
    prepared, verifier = Prepared(asked), Verifier(asked)
    async with open_cell(tmp_path) as server:
        digests = {
            (model, version): await server.store.put(artifact(made, model, version))
            for model in (1, 2)
            for version in (1, 4)
        }
        for number in range(0, 300, 7):
            message = prepared.message(0, 1, number)
            for version in (1, 4):
                reply = await score(server, message, digests[1, version], version)
                assert verifier.is_right(0, 1, number, reply) is None
            reply = await score(server, message, digests[2, 1], 1)
            assert verifier.is_right(0, 1, number, reply) in (MODEL, VALUE)


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
async def test_a_cells_answers_to_items_are_right(tmp_path: Path, datatype: str) -> None:
    asked = scenario({"datatype": datatype, "call": "items", "items": 5})
    made = Models(asked.classes[0], asked.seed)
    prepared, verifier = Prepared(asked), Verifier(asked)
    async with open_cell(tmp_path) as server:
        digest = await server.store.put(artifact(made, 1, 1))
        for number in range(0, 300, 7):
            request = prediction_pb2.PredictRequest.FromString(prepared.message(0, 1, number))
            for item in request.items:
                item.artifact, item.version = digest, 1
            results = await server.predict(*request.items)
            reply = prediction_pb2.PredictResponse(results=results).SerializeToString()
            assert verifier.is_right(0, 1, number, reply) is None
            assert verifier.is_right(0, 1, number + 1, reply) == VALUE
