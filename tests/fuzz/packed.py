"""Arbitrary bytes as a packed artifact, and what must hold: an error of ours, or answers for its rows.

An input is a file as a cell would load it. Whatever it is, `view` and the engine refuse it with their own
errors, or its rows are scored within its bytes; so are those of its section alone, which the engine sees
though the envelope says other than it. `tests/croupier/artifacts/test_packed_fuzz.py` replays the corpus and
changes of it. To search for more (`build.py` says how the build that it needs is made):

    python tests/fuzz/build.py /tmp/fuzz --asan
    export PYTHONPATH=/tmp/fuzz
    python -P tests/fuzz/packed.py -max_total_time=600 -max_len=20000 /tmp/found tests/fuzz/corpus/packed
"""

from __future__ import annotations

import contextlib
import sys
from itertools import islice
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))

import numpy as np
from fuzz.engine import fuzz
from fuzz.packed_mutator import mutate
from support.reference.forest import ForestReference

from cell.codec.signature import Arrays
from cell.engines import ArtifactRefused
from cell.engines.forest import Forest
from cell.engines.linear import Linear
from cell.engines.native import Native, score_joined
from cell.engines.packed import PackedEngine
from croupier.artifacts.engines import FOREST, LINEAR
from croupier.artifacts.format import Artifact, InvalidArtifact, view
from croupier.errors import InvalidRequest

CORPUS = Path(__file__).parent / "corpus" / "packed"
ENGINES = {FOREST: PackedEngine(FOREST), LINEAR: PackedEngine(LINEAR)}
NATIVES: dict[str, type[Native]] = {FOREST: Forest, LINEAR: Linear}

_COUNT = 12
_COMPARED = 5
# Flags of a forest: all but a pair, which is no sum, and what comes before the forest.
_OF_THE_TWIN = 30
_VALUES = np.array(
    [0, -0.0, np.nan, np.inf, -np.inf, 1, -1, 0.5, 3, 31, 32, 33, 1e9, -1e9, 1e-40, 1e-35, 2.0**24, 7],
    np.float32,
)
_TEXTS = ["", "a", None, "abc", "Köln", "red", "zzz", "\0", "x" * 300, "a" * 70_000]


def replay(data: bytes) -> bool:
    """Run one input; whether it was scored."""
    try:
        artifact = view(data)
    except InvalidArtifact:
        return False
    if artifact.engine not in ENGINES:
        return False
    return _through_the_engine(artifact) | _through_the_section(artifact)


def _through_the_engine(artifact: Artifact) -> bool:
    try:
        model = ENGINES[artifact.engine].load(artifact)
    except ArtifactRefused:
        return False
    outputs = [tensor.name for tensor in artifact.outputs]
    found = model.score(_inputs(model, artifact), outputs)
    assert sorted(found) == sorted(outputs)
    assert all(len(answers) == _COUNT for answers in found.values())
    model.close()
    return True


def _through_the_section(artifact: Artifact) -> bool:
    """Twice in one call, so that one model's end is the other's beginning."""
    section = artifact.sections.get(artifact.engine, memoryview(b""))
    try:
        model = NATIVES[artifact.engine](section)
    except ArtifactRefused:
        return False
    rows = _rows(model.features)
    # Of float64, some of the values are no float32.
    wide = np.concatenate([rows[:2].astype(np.float64), np.nextafter(rows[2:].astype(np.float64), 0)])
    for given, flags in ((rows, None), (wide, (True, True))):
        out = np.empty((_COUNT, model.columns), np.float32)
        labels = np.full(_COUNT, -1)
        score_joined([model, model], [2, _COUNT - 2], given, out, labels, flags)
        assert (labels >= 0).all()
        assert (labels < max(2, model.columns)).all()
    if artifact.engine == FOREST:
        _compare_with_the_twin(model, bytes(section))
    model.close()
    return True


def _inputs(model: Native, artifact: Artifact) -> Arrays:
    """One array of numbers, or one of each feature, with texts where the model takes them."""
    rows = _rows(model.features)
    if model.texts is None or not any(model.texts):
        return {"input": rows}
    texts = np.resize(np.array(_TEXTS, np.object_), (_COUNT, 1))
    inputs = {
        tensor.name: texts if is_text else rows[:, place : place + 1].astype(np.float64)
        for place, (tensor, is_text) in enumerate(zip(artifact.inputs, model.texts, strict=True))
    }
    # What may not be is scored like anything else if it comes so far.
    with contextlib.suppress(InvalidRequest):
        model.admitted(inputs, "inputs")
    return inputs


def _compare_with_the_twin(model: Native, section: bytes) -> None:
    """Float64 rows of a forest that gives its sums as they are, at its thresholds and beside them."""
    twin = ForestReference(section)
    # A row of thousands takes the twin long and tries no more.
    if section[2] or twin.flags & ~_OF_THE_TWIN or twin.features > 64:
        return
    pool = np.array([*islice(twin.edges(), 200), *_VALUES])
    pool = pool[~(np.isfinite(pool) & (np.abs(pool) > np.finfo(np.float32).max))]
    rows = np.resize(np.roll(pool, twin.features), (_COMPARED, twin.features))
    out = np.empty((_COMPARED, model.columns), np.float32)
    model.score_into(rows, out)
    with np.errstate(all="ignore"):
        expected = np.array([twin.sums_of(row) for row in rows]).astype(np.float32)
    np.testing.assert_array_equal(out, expected)


def _rows(features: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """The same for every input of one width: its findings can be run again."""
    return np.resize(np.roll(_VALUES, features), (_COUNT, features))


if __name__ == "__main__":
    fuzz(replay, mutate)
