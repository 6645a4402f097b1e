"""The native engines: over the batcher, many models in one call, and from what is published."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from support.cells import resident
from support.forests import scored
from support.natives import FULL, X, artifacts, boosted, load

from cell.engines import ArtifactRefused
from cell.scoring.batcher import Batcher
from croupier.artifacts.format import Artifact, Tensor, pack, view
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
