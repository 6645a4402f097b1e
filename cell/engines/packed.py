"""The native engines, `forest` and `linear`: artifacts that native code scores from their packed bytes.

A resident model is the artifact's section as it was packed, in the arena, and one small object that scores
(`native.pyx`). Signatures, and the labels of classifiers, are shared among models that have the same.

A classifier's `label` is the class of its highest sum, the first of equal ones; of a single sum it is the
second class if that is above 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from weakref import WeakValueDictionary

import numpy as np

from cell.codec.signature import Array, Signature
from cell.engines import ArtifactRefused
from cell.engines.checked import CheckedFile, adopt
from cell.engines.forest import Forest
from cell.engines.form import form_of
from cell.engines.linear import Linear
from cell.engines.native import Native
from cell.memory.arena import Arena, default_arena
from croupier.artifacts.engines import FOREST, LINEAR, NATIVE
from croupier.artifacts.format import Artifact, InvalidArtifact, Tensor

# The class of each one's models, which makes its kind known (`kinds.pyx`) when it is imported.
_MADE: Mapping[str, type[Forest | Linear]] = {FOREST: Forest, LINEAR: Linear}
assert _MADE.keys() == NATIVE.keys(), "each native engine has a class"

# What its one input may be declared as; rows of both are taken in any case.
_NUMBERS = ("FP32", "FP64")

_LABEL = "label"
_CLASSES = "classes"

# The object and what residency keeps for a model, about.
_PYTHON_BYTES = 480


class PackedEngine:
    """Loads artifacts of the native engine `name` into `arena`, from the section that is called so too."""

    only_copies = True

    def __init__(self, name: str, arena: Arena | None = None) -> None:
        self._name = name
        self._made = _MADE[name]
        self._arena = default_arena() if arena is None else arena

    def estimate(self, artifact: Artifact) -> int:
        return self._arena.room(len(_section(artifact, self._name))) + _PYTHON_BYTES

    def load(self, artifact: Artifact, digest: bytes | None = None) -> Native:
        """A scorer over a copy of the artifact's section.

        Raises:
            ArtifactRefused: the section is damaged, or it takes or gives other than the artifact says.
        """
        section = _section(artifact, self._name)
        model: Native | None = None
        if isinstance(section.obj, CheckedFile) and digest is not None:
            # A reader's thread has checked it already.
            model = adopt(section.obj, section, self._name, self._made, self._arena, digest)
        if model is None:
            model = self._made(section, self._arena, digest)
        if model.texts is None:
            _check_inputs(artifact, model.features)
        else:
            _check_raw_inputs(artifact, model.texts)
        model.labels = _check_outputs(artifact, model.columns)
        model.signature = Signature.of(artifact, wide=model.wide, form=form_of)
        return model


def _section(artifact: Artifact, name: str) -> memoryview:
    try:
        return artifact.section(name)
    except InvalidArtifact as error:
        raise ArtifactRefused(error.message) from error


def _check_inputs(artifact: Artifact, features: int) -> None:
    shapes = [tensor.shape for tensor in artifact.inputs]
    if shapes != [(-1, features)] or artifact.inputs[0].datatype not in _NUMBERS:
        raise ArtifactRefused(
            f"the model takes one FP32 or FP64 input of shape (-1, {features}); the artifact says other"
        )


def _check_raw_inputs(artifact: Artifact, texts: Sequence[bool]) -> None:
    """Of a model with a transform: one input of all numbers, or one of each feature."""
    shapes = [(tensor.datatype, tensor.shape) for tensor in artifact.inputs]
    apart = [("BYTES" if is_text else "FP64", (-1, 1)) for is_text in texts]
    if shapes != apart and (any(texts) or shapes != [("FP64", (-1, len(texts)))]):
        raise ArtifactRefused(
            f"the transform takes {len(texts)} features, FP64 or BYTES; the artifact says other"
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
    key = bytes(section), tensor.datatype
    labels = _known.get(key)
    if labels is None:
        labels = _decoded(*key)
        # Two threads may decode the same ones at the same time; either serves.
        _known[key] = labels
    if len(labels) != count:
        raise ArtifactRefused(f"there are {len(labels)} classes for {count} scores")
    return labels


# Labels by their section and datatype, as long as a model has them.
_known: WeakValueDictionary[tuple[bytes, str], Array] = WeakValueDictionary()


def _decoded(section: bytes, datatype: str) -> Array:
    try:
        if datatype == "INT64":
            return np.frombuffer(section, "<i8")
        if datatype == "BYTES":
            return np.array(section.decode().split("\0"), np.object_)
    except ValueError as error:
        raise ArtifactRefused("the classes cannot be decoded") from error
    raise ArtifactRefused(f"a label is INT64 or BYTES, not {datatype}")
