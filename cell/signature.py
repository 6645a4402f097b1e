"""What a model takes and gives: the part of an artifact that outlives its bytes.

An `Artifact` is a view that keeps the whole packed file in memory. Once an engine has read its
sections only the description is needed, so a resident model keeps this and lets the file go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import numpy as np

from croupier.artifacts.format import Artifact, Tensor

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
# Tensors by name; the first dimension of each is the row.
Arrays: TypeAlias = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Signature:
    """A model's inputs and outputs, and how a row of named features fills the inputs.

    `features` is empty for a model that takes tensors only. `accepts_missing`: NaN is a legal value.
    """

    engine: str
    features: tuple[str, ...]
    accepts_missing: bool
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    # Place of each feature in a row.
    columns: Mapping[str, int] = field(repr=False, compare=False)
    # Places of the inputs and outputs.
    input_places: Mapping[str, int] = field(repr=False, compare=False)
    output_places: Mapping[str, int] = field(repr=False, compare=False)

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        return cls(
            artifact.engine,
            artifact.features,
            artifact.accepts_missing,
            artifact.inputs,
            artifact.outputs,
            _places(artifact.features),
            _places(tensor.name for tensor in artifact.inputs),
            _places(tensor.name for tensor in artifact.outputs),
        )


def _places(names: Any) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}
