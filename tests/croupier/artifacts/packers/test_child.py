"""The process that packs a file nobody trusts: what it answers, and what real parsers die of in it."""

import json
from typing import Any

import pytest
from support.apart import XGBOOST, refusal
from support.graphs import centred, matmul

from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers import child
from croupier.artifacts.packers.files import pack_file
from croupier.artifacts.repack import with_section
from croupier.artifacts.rowwise import INDEPENDENT, SECTION


def test_a_model_that_crashes_the_real_treelite() -> None:
    model = json.loads(XGBOOST)
    tree = model["learner"]["gradient_booster"]["model"]["trees"][0]
    tree["split_type"] = [1] + [0] * (len(tree["left_children"]) - 1)
    # A list of categories that would begin far behind the last one.
    tree |= {"categories": [1], "categories_nodes": [0], "categories_sizes": [10**6]}
    tree["categories_segments"] = [10**9]
    assert "SIGSEGV" in refusal(json.dumps(model).encode())


def test_a_model_for_which_the_real_treelite_asks_for_too_much_memory() -> None:
    model = json.loads(XGBOOST)
    model["learner"]["learner_model_param"]["num_class"] = "2000000000"
    assert "memory than the limit of 536870912 bytes" in refusal(
        json.dumps(model).encode(), memory_bytes=512 << 20
    )


def task(**changes: Any) -> dict[str, Any]:
    return {"kind": "xgboost", "features": [], "accepts_missing": False, "complete": None, **changes}


def test_a_task_is_packed_as_it_says() -> None:
    assert child._packed(task(), [XGBOOST]) == pack_file(XGBOOST)
    named = child._packed(task(features=list("abcdef"), complete=False), [XGBOOST])
    assert named == pack_file(XGBOOST, features=list("abcdef"), complete=False)
    assert view(child._packed(task(kind="onnx", accepts_missing=True), [matmul()])).accepts_missing


def test_a_kind_is_told_and_not_guessed_here() -> None:
    with pytest.raises(InvalidArtifact):
        child._packed(task(kind="onnx"), [XGBOOST])
    with pytest.raises(ValueError, match="tarot"):
        child._packed(task(kind="tarot"), [XGBOOST])


def test_only_an_artifact_that_has_to_be_checked_comes_back_unpacked() -> None:
    packed = pack_file(matmul())
    assert child._packed(task(kind="artifact"), [packed]) == packed
    claims = with_section(pack_file(centred()), SECTION, INDEPENDENT)
    with pytest.raises(InvalidArtifact, match="the batch"):
        child._packed(task(kind="artifact"), [claims])
