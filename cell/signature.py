"""What a model takes and gives: the part of an artifact that outlives its bytes.

An `Artifact` is a view that keeps the whole packed file in memory. Once an engine has read its
sections only the description is needed, so a resident model keeps this and lets the file go. A signature
of 20 features takes 6 kB, and a fleet's models have few different ones: equal ones are one object.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias
from weakref import WeakValueDictionary

import numpy as np

from cell.form import Form, form_of
from croupier.artifacts.datatypes import DATATYPES
from croupier.artifacts.format import Artifact, Tensor

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
# Tensors by name; the first dimension of each is the row.
Arrays: TypeAlias = Mapping[str, Array]


# Engines whose models are scored from packed bytes.
_PACKED = {"forest", "linear"}


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Signature:
    """A model's inputs and outputs, and how a row of named features fills the inputs.

    `features` is empty for a model that takes tensors only. `accepts_missing`, `finite` and `complete` say
    which values are legal, as they do of an `Artifact`.
    """

    engine: str
    features: tuple[str, ...]
    accepts_missing: bool
    finite: bool
    complete: bool
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    # Place of each feature in a row.
    columns: Mapping[str, int] = field(repr=False, compare=False)
    # Places of the inputs and outputs.
    input_places: Mapping[str, int] = field(repr=False, compare=False)
    output_places: Mapping[str, int] = field(repr=False, compare=False)
    # Of all outputs for a row, as far as they say; a dimension that is free counts as one.
    row_bytes: int = field(repr=False, compare=False)
    # How plain requests are filled in and answered; None if there are none.
    form: Form | None = field(repr=False, compare=False)

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        """The signature of `artifact`, shared with all that have an equal one."""
        parts = (
            artifact.engine,
            artifact.features,
            artifact.accepts_missing,
            artifact.finite,
            artifact.complete,
            artifact.inputs,
            artifact.outputs,
        )
        known = _known.get(parts)
        if known is not None:
            return known  # type: ignore[return-value]
        made = cls(
            *parts,
            _places(artifact.features),
            _places(tensor.name for tensor in artifact.inputs),
            _places(tensor.name for tensor in artifact.outputs),
            answer_bytes(artifact.outputs, 1),
            _form(artifact) if artifact.engine in _PACKED else None,
        )
        # Two threads may make the same one at the same time; either serves.
        _known[parts] = made
        return made


def _form(artifact: Artifact) -> Form | None:
    return form_of(artifact.features, artifact.accepts_missing, artifact.inputs, artifact.outputs)


# A key holds the same parts as its signature, and goes with it.
_known: WeakValueDictionary[tuple[Any, ...], Signature] = WeakValueDictionary()


def answer_bytes(outputs: Iterable[Tensor], rows: int) -> int:
    """What `rows` rows of these outputs take at least."""
    return rows * sum(
        DATATYPES[output.datatype].itemsize * math.prod(max(1, size) for size in output.shape[1:])
        for output in outputs
    )


def _places(names: Any) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}
