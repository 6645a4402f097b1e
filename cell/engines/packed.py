"""The engines `forest` and `linear`: artifacts that native code scores from their packed bytes.

A resident model is one block of bytes, the artifact's section as it was packed, a native object of pointers
into it, and a scorer. Beside the block that is under 500 bytes, for signatures are shared among models
that have the same one.

A classifier's `label` is the class of its highest sum, the first of equal ones; of a single sum it is the
second class if that is above 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cell.engines import ArtifactRefused, ScoringFailed
from cell.engines.forest import Forest
from cell.engines.linear import Linear
from cell.engines.native import Native
from cell.signature import Array, Arrays, Signature
from croupier.artifacts.format import Artifact, InvalidArtifact, Tensor

FOREST = "forest"
LINEAR = "linear"

_LABEL = "label"
_CLASSES = "classes"

# The native object, the header of its bytes and the scorer.
_PYTHON_BYTES = 448


@dataclass(frozen=True, slots=True, eq=False)
class PackedScorer:
    """`labels` by column, or none where a label is the number of its column."""

    signature: Signature
    resident_bytes: int
    native: Native
    labels: Array | None

    @property
    def batchable(self) -> bool:
        return True

    def score(self, inputs: Arrays, outputs: Sequence[str]) -> Arrays:
        """The named outputs for every row of `inputs`.

        Raises:
            ScoringFailed: the rows are not what the signature says.
        """
        (rows,) = inputs.values()
        scores = np.empty((len(rows), self.native.columns), np.float32)
        places = np.empty(len(rows), np.int64) if _LABEL in outputs else None
        try:
            self.native.score(np.ascontiguousarray(rows, np.float32), scores, places)
        except ValueError as error:
            raise ScoringFailed(str(error)) from error
        found: dict[str, Array] = dict.fromkeys(outputs, scores)
        if places is not None:
            found[_LABEL] = places if self.labels is None else self.labels[places]
        return found


class PackedEngine:
    """Loads artifacts whose section is named like their engine, `FOREST` or `LINEAR`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def estimate(self, artifact: Artifact) -> int:
        return len(_section(artifact, self._name)) + _PYTHON_BYTES

    def load(self, artifact: Artifact) -> PackedScorer:
        """A scorer over a copy of the artifact's section.

        Raises:
            ArtifactRefused: the section is damaged, or it takes or gives other than the artifact says.
        """
        section = bytes(_section(artifact, self._name))
        native: Native = Forest(section) if self._name == FOREST else Linear(section)
        _check_inputs(artifact, native.features)
        labels = _check_outputs(artifact, native.columns)
        size = len(section) + _PYTHON_BYTES + (0 if labels is None else labels.nbytes)
        return PackedScorer(Signature.of(artifact), size, native, labels)


def _section(artifact: Artifact, name: str) -> memoryview:
    try:
        return artifact.section(name)
    except InvalidArtifact as error:
        raise ArtifactRefused(error.message) from error


def _check_inputs(artifact: Artifact, features: int) -> None:
    shapes = [(tensor.datatype, tensor.shape) for tensor in artifact.inputs]
    if shapes != [("FP32", (-1, features))]:
        raise ArtifactRefused(
            f"the model takes one FP32 input of shape (-1, {features}); the artifact says other"
        )


def _check_outputs(artifact: Artifact, columns: int) -> Array | None:
    """The labels, if there is an output for them and they are not 0, 1, 2, …"""
    scores = [tensor for tensor in artifact.outputs if tensor.name != _LABEL]
    if [(tensor.datatype, tensor.shape) for tensor in scores] != [("FP32", (-1, columns))]:
        raise ArtifactRefused(
            f"the model gives one FP32 output of shape (-1, {columns}); the artifact says other"
        )
    for tensor in artifact.outputs:
        if tensor.name == _LABEL:
            return _labels(artifact, tensor, max(columns, 2))
    return None


def _labels(artifact: Artifact, tensor: Tensor, count: int) -> Array | None:
    section = artifact.sections.get(_CLASSES)
    if tensor.shape != (-1,) or (section is None and tensor.datatype != "INT64"):
        raise ArtifactRefused("the output of labels has another datatype or shape than the classes")
    if section is None:
        return None
    labels = _decoded(bytes(section), tensor.datatype)
    if len(labels) != count:
        raise ArtifactRefused(f"there are {len(labels)} classes for {count} scores")
    return labels


def _decoded(section: bytes, datatype: str) -> Array:
    try:
        if datatype == "INT64":
            return np.frombuffer(section, "<i8")
        if datatype == "BYTES":
            return np.array(section.decode().split("\0"), np.object_)
    except ValueError as error:
        raise ArtifactRefused("the classes cannot be decoded") from error
    raise ArtifactRefused(f"a label is INT64 or BYTES, not {datatype}")
