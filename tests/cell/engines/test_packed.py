"""The native engines: over the batcher, many models in one call, and from what is published."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cells import resident
from support.forests import Array, data, scored
from support.natives import FULL, X, artifacts, boosted, load, native_of

from cell.engines import ArtifactRefused
from cell.engines.native import Native, score_joined
from cell.scoring.batcher import Batcher
from croupier.artifacts.format import Artifact, Tensor, pack, view
from croupier.artifacts.packers.forest import pack_forest
from croupier.deadline import NEVER


def changed(name: str, **changes: Any) -> Artifact:
    """An artifact that says other than it was packed with."""
    found = view(artifacts()[name])
    parts = {
        "engine": found.engine,
        "features": found.features,
        "inputs": found.inputs,
        "outputs": found.outputs,
        "sections": {each: bytes(content) for each, content in found.sections.items()},
    }
    return view(pack(**{**parts, **changes}))


async def test_over_the_batcher_each_caller_gets_its_own_rows() -> None:
    leases = [resident(load(view(boosted(seed))), f"model-{seed}") for seed in range(3)]
    with ThreadPoolExecutor(1) as pool:
        batcher = Batcher(pool, workers=1, max_rows=64, max_queued_rows=1000, clock=lambda: 0.0)
        asked = [(seed, X[place : place + 1 + place % 3]) for place in range(12) for seed in range(3)]
        found = await asyncio.gather(
            *(
                batcher.score(leases[seed], {"input": rows}, len(rows), ["value"], NEVER)
                for seed, rows in asked
            )
        )
        await batcher.close()
    for (seed, rows), outputs in zip(asked, found, strict=True):
        np.testing.assert_array_equal(outputs["value"], scored(boosted(seed), rows)["value"])


def joined(counts: list[int]) -> tuple[list[Native], bytes, bytes, list[int]]:
    """Models of both kinds, rows for them, the answers that they give one by one, and the classes."""
    natives, rows, answers_, classes = [], [], [], []
    for place, (name, count) in enumerate(zip(sorted(artifacts()), counts, strict=True)):
        native = native_of(name)
        each = np.ascontiguousarray(FULL[place : place + count])
        out, labels = np.empty((count, native.columns), np.float32), np.empty(count, np.int64)
        native.score_into(each, out, labels)
        expected = scored(artifacts()[name], each)
        np.testing.assert_array_equal(out, next(found for name, found in expected.items() if name != "label"))
        natives.append(native)
        rows.append(each.tobytes())
        answers_.append(out.tobytes())
        classes += labels.tolist()
    return natives, b"".join(rows), b"".join(answers_), classes


def test_one_call_scores_many_models_of_both_kinds() -> None:
    counts = [0, 3, 1, 2, 5]
    natives, rows, expected, classes = joined(counts)
    out, labels = bytearray(len(expected)), np.full(sum(counts), -1, np.int64)
    score_joined(natives, counts, rows, out)
    assert bytes(out) == expected
    out = bytearray(len(expected))
    score_joined(natives, counts, rows, out, labels)
    assert (bytes(out), labels.tolist()) == (expected, classes)
    assert len(set(classes)) > 1
    score_joined([], [], b"", bytearray(), bytearray())


def test_buffers_of_another_size_are_refused_before_anything_is_scored() -> None:
    counts = [0, 3, 1, 2, 5]
    natives, rows, expected, _ = joined(counts)
    clean, labels = bytearray(len(expected)), np.zeros(sum(counts), np.int64)
    closed = native_of("boosted")
    closed.close()
    bad: list[tuple[Any, ...]] = [
        (natives, counts[:-1], rows, clean),
        (natives, [1, *counts[1:]], rows, clean),
        (natives, [-1, *counts[1:]], rows, clean),
        (natives, [2**62, *counts[1:]], rows, clean),
        (natives, counts, rows[:-4], clean),
        (natives, counts, rows + bytes(4), clean),
        (natives, counts, rows, clean + bytes(4)),
        (natives, counts, rows, clean[:-4]),
        (natives, counts, rows, bytes(clean)),
        (natives, counts, rows, clean, labels[1:]),
        (natives, counts, rows, clean, bytearray(8 * sum(counts) + 8)),
        (natives, counts, rows, clean, labels[::-1]),
        ([*natives[:-1], Native()], counts, rows, clean),
        ([*natives[:-1], closed], counts, rows, clean),
        ([*natives[:-1], None], counts, rows, clean),
    ]
    for arguments in bad:
        with pytest.raises((ValueError, TypeError, BufferError)):
            score_joined(*arguments)
    assert not any(clean)
    assert not labels.any()


@pytest.mark.parametrize("name", ["boosted", "vectors", "linear"])
def test_arrays_of_another_size_are_refused(name: str) -> None:
    native: Native = native_of(name)
    out, labels = np.zeros((2, native.columns), np.float32), np.zeros(2, np.int64)
    bad: list[Any] = [
        (FULL[:2, :5].copy(), out, None),
        (FULL[:3].copy(), out, None),
        (FULL[:3].astype(np.float64), out, None),
        (FULL[:2].astype(np.float16), out, None),
        (FULL[:2].copy(), out, labels[:1]),
        (FULL[:2, ::-1], out, None),
        (FULL[:2].copy(), out.tobytes(), None),
        (None, out, None),
    ]
    for rows, scores, places in bad:
        with pytest.raises((ValueError, TypeError, BufferError)):
            native.score_into(rows, scores, places)
    assert not out.any()


def test_the_float_output_alone_or_the_label_alone() -> None:
    scorer = load(view(artifacts()["vectors"]))
    assert scorer.score({"input": FULL[:3]}, ["label"])["label"].tolist() == [
        int(label) for label in scorer.score({"input": FULL[:3]}, ["label", "probabilities"])["label"]
    ]
    assert list(scorer.score({"input": FULL[:3]}, ["probabilities"])) == ["probabilities"]
    assert scorer.batchable


WIDE, LABEL = Tensor("probabilities", "FP32", (-1, 3)), Tensor("label", "INT64", (-1,))


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("boosted", {"features": (), "inputs": [Tensor("input", "FP32", (-1, 7))]}, "shape (-1, 6)"),
        ("boosted", {"features": (), "inputs": [Tensor("input", "INT32", (-1, 6))]}, "FP64"),
        ("boosted", {"outputs": [Tensor("value", "FP32", (-1, 2))]}, "shape (-1, 1)"),
        ("boosted", {"outputs": [LABEL]}, "shape (-1, 1)"),
        ("vectors", {"outputs": [WIDE, Tensor("label", "BYTES", (-1,))]}, "labels"),
        ("vectors", {"outputs": [WIDE, Tensor("label", "INT64", (-1, 1))]}, "labels"),
        ("classes", {"outputs": [WIDE, Tensor("label", "FP32", (-1,))]}, "INT64 or BYTES"),
        ("classes", {"outputs": [WIDE, LABEL]}, "decoded"),
        ("boosted", {"sections": {"other": b"x"}}, "has a section 'forest'"),
        ("linear", {"sections": {"linear": b"x"}}, "too short"),
    ],
)
def test_an_artifact_that_says_other_than_its_section(name: str, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ArtifactRefused) as caught:
        load(changed(name, **changes))
    assert says in caught.value.message


def test_too_few_classes() -> None:
    sections = {name: bytes(content) for name, content in view(artifacts()["classes"]).sections.items()}
    with pytest.raises(ArtifactRefused, match="2 classes for 3"):
        load(changed("classes", sections={**sections, "classes": b"a\0b"}))


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 8), st.booleans())
def test_any_trained_forest_answers_as_its_library(seed: int, leaves: int, rounds: int, zeros: bool) -> None:
    random = np.random.default_rng(seed)
    trained = data(seed, rows=120, zeros=0.2, missing=0.1)
    options = {"num_leaves": leaves, "min_data_in_leaf": 1, "verbose": -1, "num_threads": 1}
    options |= {"zero_as_missing": zeros, "objective": "poisson" if seed % 2 else "regression"}
    sets = lightgbm.Dataset(trained, np.abs(random.normal(size=120)), params={"verbose": -1})
    booster = lightgbm.train(options, sets, rounds)
    rows: Array = data(seed + 1, rows=100, zeros=0.2, missing=0.2)
    found = scored(pack_forest(booster), rows)["value"][:, 0]
    np.testing.assert_allclose(found, booster.predict(rows, num_threads=1), rtol=1e-6, atol=1e-6)
