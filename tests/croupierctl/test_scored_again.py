"""What was answered comes out again, bit for bit, from the log's row alone."""

import math
from random import Random
from typing import Any

import numpy as np
import pytest
from support import answered, natives
from support.models import train_small
from support.spooled import TENSORS

from croupier import fetched
from croupier.artifacts.format import view
from croupier.fetched import Origin
from croupier.stores.spool import Record
from croupierctl.scored_again import Difference, NotReproducible, differences, score, scorer_of
from logger.columns import table_of
from logger.decoding import rows_of
from logger.signatures import Signature
from protos.prediction.v1 import prediction_pb2 as pb

MODELS = {**natives.artifacts(), "onnx": train_small()[2]}
INFINITE = float("inf")


def logged(record: Record, artifact: bytes) -> list[dict[str, Any]]:
    """Its rows as they come out of a file."""
    rows: list[dict[str, Any]] = table_of(rows_of(record, Signature.of(view(artifact)))).to_pylist()
    return rows


def again(record: Record, artifact: bytes) -> list[list[Difference]]:
    scorer = scorer_of(artifact)
    rows = logged(record, artifact)
    requests = [row["request"] for row in rows if row["request"] is not None]
    return [
        differences(dict(row["outputs"]), score(scorer, row, requests[0] if requests else None))
        for row in rows
    ]


def values_of(artifact: bytes, seed: int) -> list[float]:
    rng = Random(seed)
    return [
        rng.choice([rng.gauss(0, 1), float(rng.randrange(3)), 0.1])
        for _ in scorer_of(artifact).signature.features
    ]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("way", ["floats", "doubles", "named"])
def test_items(name: str, way: str) -> None:
    artifact = MODELS[name]
    scorer = scorer_of(artifact)
    for seed in range(5):
        asked, values = pb.Item(model="churn"), values_of(artifact, seed)
        if way == "floats":
            asked.row.values.extend(values)
        elif way == "doubles":
            asked.row.doubles.extend(values)
        else:
            for feature, value in zip(scorer.signature.features, values, strict=True):
                asked.features.features.add(name=feature, number=value)
        assert again(answered.item(artifact, scorer, asked), artifact) == [[]]


@pytest.mark.parametrize("name", natives.artifacts())
@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_rows_of_a_tensor(name: str, datatype: str) -> None:
    artifact = MODELS[name]
    scorer = scorer_of(artifact)
    asked = answered.tensors(scorer, [values_of(artifact, seed) for seed in range(6)], datatype)
    assert again(answered.infer(artifact, scorer, asked), artifact) == [[]] * 6


@pytest.mark.parametrize("name", natives.artifacts())
def test_what_was_fetched_counts_as_what_was_sent(name: str) -> None:
    artifact = MODELS[name]
    scorer = scorer_of(artifact)
    first = scorer.signature.features[0]
    spec = fetched.spec_bytes([(first, "number", -INFINITE, INFINITE)])
    row = fetched.row_bytes((0.7,), (5,), (Origin.STORE,))
    added = fetched.field(fetched.pack(spec, 1, [row], 10, False))
    asked = pb.Item(model="churn")
    asked.row.values.extend(values_of(artifact, 1)[1:])
    record = answered.item(artifact, scorer, asked, added)
    assert again(record, artifact) == [[]]
    (row_again,) = logged(record, artifact)
    assert dict(row_again["features"])[first]["source"] == "store"


def test_another_answer_is_named() -> None:
    artifact = MODELS["boosted"]
    asked = pb.Item(model="churn")
    asked.row.values.extend(values_of(artifact, 1))
    record = answered.item(artifact, scorer_of(artifact), asked)
    (row,) = logged(record, artifact)
    name, output = row["outputs"][0]
    before = output["numbers"][0]
    output["numbers"][0] = float(np.nextafter(np.float32(before), np.float32(9)))
    (found,) = differences(dict(row["outputs"]), score(scorer_of(artifact), row, None))
    assert (found.output, found.place, found.now) == (name, 0, before)


def test_values_are_compared_by_their_bits() -> None:
    one = {"y": {"numbers": [0.0, math.nan]}}
    assert differences(one, {"y": {"numbers": [0.0, math.nan]}}) == []
    assert len(differences(one, {"y": {"numbers": [-0.0, math.nan]}})) == 1
    assert len(differences({}, {"y": {"numbers": [1.0]}})) == 1
    assert len(differences(one, {"y": {"texts": ["a"]}})) == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"code": 3}, "code 3"),
        ({"outputs": []}, "code 0"),
        ({"hidden": ["Column_0"]}, "hides Column_0"),
        ({"datatype": "FP32,FP64"}, "another signature"),
    ],
)
def test_what_is_not_there_cannot_be_scored(changes: dict[str, Any], why: str) -> None:
    artifact = MODELS["boosted"]
    asked = pb.Item(model="churn")
    asked.row.values.extend(values_of(artifact, 1))
    (row,) = logged(answered.item(artifact, scorer_of(artifact), asked), artifact)
    with pytest.raises(NotReproducible, match=why):
        score(scorer_of(artifact), {**row, **changes}, None)


def test_a_request_of_tensors_that_is_not_there_cannot_either() -> None:
    scorer: Any = type("S", (), {"signature": type("G", (), {"features": (), "input_places": {}})})
    row = {"code": 0, "outputs": [("y", {})], "hidden": [], "api": "ModelInfer", "row": 0}
    with pytest.raises(NotReproducible, match="not what was asked"):
        score(scorer, row, None)
    assert TENSORS.features == ()
