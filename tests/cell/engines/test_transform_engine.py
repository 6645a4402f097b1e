"""Packed models behind a transform: the columns of plain Python, scored by the model alone."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from random import Random
from typing import Any

import lightgbm
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from support.forests import Array
from support.reference.transform import (
    KNOWN,
    MISSING,
    TEXT,
    Block,
    Step,
    random_block,
    random_raw,
    with_transform,
)

from cell.engines import ArtifactRefused, ScoringFailed
from cell.engines.native import Native, score_joined
from cell.engines.packed import PackedEngine
from cell.memory.arena import Arena
from croupier.artifacts.format import Tensor, digest_of, pack, view
from croupier.artifacts.packers.forest import pack_forest
from croupier.artifacts.packers.linear import pack_linear
from croupier.errors import InvalidRequest

CITY = Block(
    [0, TEXT | MISSING | KNOWN],
    [Step(1, source=0, a=1.0, b=2.0), Step(3, source=1, column=1, count=2, fill=0.0, a=2.0)],
    [0.0, 1.0, 0.0, 1.0],
    {1: ["Köln".encode(), b"Oslo"]},
)


@functools.cache
def packed(kind: str, columns: int) -> bytes:
    """A small model of so many columns."""
    random = np.random.default_rng(columns)
    rows = random.normal(size=(120, columns)).round(1)
    sums = rows @ np.linspace(-1, 1, columns)
    if kind == "linear":
        return pack_linear(Ridge().fit(rows, sums))
    if kind == "classes":
        return pack_linear(LogisticRegression().fit(rows, np.where(sums > 0, "yes", "no")))
    if kind == "forest":
        return pack_forest(RandomForestClassifier(5, max_depth=4, random_state=1).fit(rows, sums > 0))
    sets = lightgbm.Dataset(rows, sums, params={"verbose": -1})
    return pack_forest(lightgbm.train({"verbose": -1, "num_leaves": 6, "num_threads": 1}, sets, 3))


def load(artifact: bytes, arena: Arena | None = None) -> Native:
    found = view(artifact)
    return PackedEngine(found.engine, arena).load(found, digest_of(artifact))


def scored(artifact: bytes, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
    model = load(artifact)
    return model.score(inputs, [tensor.name for tensor in view(artifact).outputs])


def arrays_of(block: Block, raw: list[list[float]]) -> dict[str, Array]:
    """Raw rows as a caller sends them."""
    if not block.dictionaries:
        return {"input": np.array(raw)}
    arrays: dict[str, Array] = {}
    for place in range(len(block.bits)):
        values: list[Any] = [row[place] for row in raw]
        if place in block.dictionaries:
            texts = [None if math.isnan(x) else _text(block, place, x) for x in values]
            arrays[str(place)] = np.array(texts, np.object_).reshape(-1, 1)
        else:
            arrays[str(place)] = np.array(values).reshape(-1, 1)
    return arrays


def _text(block: Block, place: int, code: float) -> str:
    return (
        "nowhere"
        if code < 0 or not block.dictionaries[place]
        else block.dictionaries[place][int(code)].decode()
    )


def assert_same(found: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    assert found.keys() == expected.keys()
    for name in found:
        np.testing.assert_array_equal(found[name], expected[name], strict=True)


@pytest.mark.parametrize("kind", ["linear", "classes", "forest", "boosted"])
@pytest.mark.parametrize("seed", range(4))
def test_raw_rows_are_scored_as_the_columns_that_they_become(kind: str, seed: int) -> None:
    random = Random(seed)
    block = random_block(random, 6)
    artifact = packed(kind, block.columns)
    raw = [random_raw(random, block) for _ in range(30)]
    # A text that is not in an empty dictionary has no place there.
    for place, entries in block.dictionaries.items():
        for row in raw:
            row[place] = row[place] if entries or math.isnan(row[place]) else -1.0
    columns = np.array([block.apply(row) for row in raw])
    expected = scored(artifact, {"input": columns})
    behind = with_transform(artifact, block)
    assert_same(scored(behind, arrays_of(block, raw)), expected)
    model = load(behind)
    assert (model.features, model.columns) == (len(block.bits), load(artifact).columns)
    assert model.wide
    assert model.row_cost > load(artifact).row_cost


def test_float32_rows_are_widened() -> None:
    block = Block([0, 0], [Step(1, source=1, a=0.1, b=3.0), Step(0, source=0, column=1)])
    artifact = packed("boosted", 2)
    rows = np.random.default_rng(1).normal(size=(50, 2)).astype(np.float32)
    wide = [block.apply(row) for row in rows.astype(np.float64).tolist()]
    model = load(with_transform(artifact, block))
    out = np.empty((50, 1), np.float32)
    model.score_into(rows, out)
    assert_same({"value": out}, scored(artifact, {"input": np.array(wide)}))


def test_models_with_and_without_a_transform_are_scored_in_one_call() -> None:
    random = Random(5)
    blocks = [random_block(random, features) for features in (3, 5, 4)]
    behind = [load(with_transform(packed("boosted", block.columns), block)) for block in blocks]
    alone = [load(packed("boosted", block.columns)) for block in blocks]
    raw = [[random_raw(random, block) for _ in range(3)] for block in blocks]
    columns = [[block.apply(row) for row in rows] for block, rows in zip(blocks, raw, strict=True)]
    models = [model for pair in zip(behind, alone, strict=True) for model in pair]
    parts = [part for pair in zip(raw, columns, strict=True) for part in pair]
    rows = np.concatenate([np.array(part).ravel() for part in parts])
    out = np.empty(18, np.float32)
    score_joined(models, [3] * 6, rows, out, wide=[True] * 6)
    pairs = out.reshape(3, 2, 3)
    np.testing.assert_array_equal(pairs[:, 0], pairs[:, 1])


def test_rows_that_fit_are_admitted() -> None:
    model = load(with_transform(packed("linear", 3), CITY, ["age", "city"]))
    texts = np.array([["Oslo"], [None], ["Köln"]], np.object_)
    (raw,) = model.admitted({"age": np.array([[1.0], [2.0], [3.0]]), "city": texts}, "inputs").values()
    np.testing.assert_array_equal(raw, [[1, 1], [2, math.nan], [3, 0]])


@pytest.mark.parametrize(
    ("age", "city", "told"),
    [
        (math.nan, "Oslo", "feature 'age' is missing, which this model does not take"),
        (math.inf, "Oslo", "feature 'age' is infinite, which this model does not take"),
        (1.0, "Rome", "feature 'city' has the unknown category 'Rome'"),
        (1.0, "", "feature 'city' has the unknown category ''"),
        (1.0, "a" * 10**6, f"feature 'city' has the unknown category '{'a' * 40}'…"),
    ],
)
def test_what_is_refused_is_told_by_feature(age: float, city: str, told: str) -> None:
    model = load(with_transform(packed("linear", 3), CITY, ["age", "city"]))
    good = {"age": np.array([[1.0], [2.0]]), "city": np.array([["Oslo"], [None]], np.object_)}
    one = {"age": np.array([[age]]), "city": np.array([[city]], np.object_)}
    with pytest.raises(InvalidRequest) as refused:
        model.admitted(one, "features")
    assert refused.value.message == told
    both = {name: np.concatenate([good[name], one[name]]) for name in good}
    with pytest.raises(InvalidRequest) as refused:
        model.admitted(both, "inputs")
    assert refused.value.message == f"{told} in row 2"


def test_numbers_that_are_categories_have_to_be_known() -> None:
    block = Block([KNOWN, 0], [Step(4, source=0, count=2)], [205.0, 3e9, 1.0, 2.0])
    model = load(with_transform(packed("linear", 1), block, ["zip", "age"]))
    model.admitted({"input": np.array([[205.0, 1.0], [3e9, 2.0]])}, "inputs")
    with pytest.raises(InvalidRequest, match=r"feature 'zip' has the unknown category 206$"):
        model.admitted({"input": np.array([[206.0, 1.0]])}, "inputs")


@pytest.mark.parametrize(
    "inputs",
    [
        {"age": np.ones((2, 1))},
        {"age": np.ones((2, 1)), "town": np.array([["Oslo"]] * 2, np.object_)},
        {"age": np.ones((3, 1)), "city": np.array([["Oslo"]] * 2, np.object_)},
        {"age": np.ones((2, 1)), "city": np.array([[1.0]] * 2, np.object_)},
        {"age": np.ones((2, 2)), "city": np.array([["Oslo"]] * 2, np.object_)},
    ],
)
def test_other_arrays_are_not_scored(inputs: Mapping[str, Array]) -> None:
    model = load(with_transform(packed("linear", 3), CITY, ["age", "city"]))
    with pytest.raises(ScoringFailed):
        model.score(inputs, ["value"])


def test_a_closed_model_admits_nothing() -> None:
    model = load(with_transform(packed("linear", 3), CITY, ["age", "city"]))
    model.close()
    with pytest.raises(ScoringFailed, match="closed"):
        model.admitted({"age": np.ones((1, 1)), "city": np.array([["Oslo"]], np.object_)}, "features")


@pytest.mark.parametrize("kind", ["linear", "boosted"])
def test_a_damaged_block_is_refused(kind: str) -> None:
    artifact = with_transform(packed(kind, 3), CITY, ["age", "city"])
    found = view(artifact)
    section = bytes(found.section(found.engine))
    begin = len(section) - len(CITY.pack())
    assert begin % 64 == 0
    other = Block([0, 0], [Step(0), Step(0, column=1)])
    for changed, what in [
        (section[:-1], "fill"),
        (section[: begin + 20], "too short"),
        (section[:begin], "too short"),
        (section[:begin] + other.pack(), "other columns"),
        (section[:begin] + bytes(40), "version"),
        (section + bytes(8), "fill"),
    ]:
        with pytest.raises(ArtifactRefused, match=what):
            load(_with_section(artifact, changed))
    # Without its flag the block is more than the arrays.
    with pytest.raises(ArtifactRefused, match="do not fill"):
        load(_with_section(artifact, section[:4] + bytes(4) + section[8:]))


@pytest.mark.parametrize(
    "inputs",
    [
        [Tensor("input", "FP64", (-1, 2))],
        [Tensor("age", "FP64", (-1, 1)), Tensor("city", "FP64", (-1, 1))],
        [Tensor("age", "FP64", (-1, 1))],
    ],
)
def test_inputs_are_those_of_the_block(inputs: list[Tensor]) -> None:
    artifact = with_transform(packed("linear", 3), CITY, ["age", "city"])
    found = view(artifact)
    changed = pack(engine="linear", inputs=inputs, outputs=found.outputs, sections=found.sections)
    with pytest.raises(ArtifactRefused, match="2 features"):
        load(changed)


def _with_section(artifact: bytes, section: bytes) -> bytes:
    found = view(artifact)
    return pack(
        engine=found.engine,
        inputs=found.inputs,
        outputs=found.outputs,
        sections={**found.sections, found.engine: section},
        features=found.features,
    )
