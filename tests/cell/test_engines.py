"""Engines by name, and that every one of them is what the others rely on."""

from __future__ import annotations

import numpy as np
import pytest
from support.graphs import artifact, matmul
from support.natives import artifacts

from cell.engines import ArtifactRefused, Engine, Engines, Mixed, Scorer, ScoringFailed, UnknownEngine
from cell.engines.onnx import OnnxEngine
from cell.engines.packed import PackedEngine
from croupier.artifacts.engines import FOREST, LINEAR
from croupier.artifacts.format import Artifact, view
from croupier.errors import FailedPrecondition, InternalError

ENGINES: dict[str, tuple[Engine, Artifact]] = {
    FOREST: (PackedEngine(FOREST), view(artifacts()["boosted"])),
    LINEAR: (PackedEngine(LINEAR), view(artifacts()["classes"])),
    "onnx": (OnnxEngine(), artifact(matmul())),
}


def test_engines_are_found_by_the_name_that_artifacts_give() -> None:
    given = {name: engine for name, (engine, _) in ENGINES.items()}
    engines = Engines(given)
    assert {name: engines.get(name) for name in ENGINES} == given
    given.clear()
    assert engines.get("onnx") is ENGINES["onnx"][0]
    for name in ("", "ONNX", "forest ", "onnx\0", "../onnx"):
        with pytest.raises(UnknownEngine, match="this cell has no engine") as caught:
            engines.get(name)
        assert caught.value.reason == "UNKNOWN_ENGINE"
        assert repr(name) in caught.value.message


def test_whose_fault_it_is_says_what_may_be_tried_again() -> None:
    """None of them invites a retry: no other cell would do better."""
    kinds = {kind: kind.reason for kind in (UnknownEngine, ArtifactRefused, ScoringFailed, Mixed)}
    assert [*kinds.values()] == ["UNKNOWN_ENGINE", "ARTIFACT_REFUSED", "SCORING_FAILED", "MIXED_BATCH"]
    assert [kind for kind in kinds if issubclass(kind, FailedPrecondition)] == [
        UnknownEngine,
        ArtifactRefused,
    ]
    assert [kind for kind in kinds if issubclass(kind, InternalError)] == [ScoringFailed, Mixed]


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_loads_a_scorer_that_keeps_its_promises(name: str) -> None:
    engine, packed = ENGINES[name]
    scorer: Scorer = engine.load(packed, bytes(32))
    assert engine.only_copies is (name != "onnx")
    assert engine.estimate(packed) > 0
    assert scorer.resident_bytes > 0
    assert (scorer.signature.inputs, scorer.signature.outputs) == (packed.inputs, packed.outputs)
    (tensor,) = packed.inputs
    inputs = {tensor.name: np.ones((3, tensor.shape[1]), np.float32)}
    assert scorer.admitted(inputs, "inputs") == inputs
    outputs = [each.name for each in packed.outputs]
    scored = scorer.score(inputs, outputs)
    assert [(each, len(scored[each])) for each in scored] == [(each, 3) for each in outputs]
    assert [*scorer.score(inputs, outputs[:1])] == outputs[:1]
    scorer.close()
    scorer.close()
    with pytest.raises(ScoringFailed):
        scorer.score(inputs, outputs)


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_refuses_what_lacks_its_section(name: str) -> None:
    engine, packed = ENGINES[name]
    bare = Artifact(**{each: getattr(packed, each) for each in packed.__slots__} | {"sections": {}})
    for use in (engine.estimate, engine.load):
        with pytest.raises(ArtifactRefused):
            use(bare)
