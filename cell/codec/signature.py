"""What a model takes and gives: the part of an artifact that outlives its bytes.

A model without names whose one input is numbers (-1, n) has features all the same, "0" to "n - 1". Native
models take float32 and float64, whatever their inputs are declared as: float32 rows are scored as such, and
float64 rows too if the model is `wide`; else they are narrowed to the nearest float32.

An `Artifact` is a view that keeps the whole packed file in memory. Once an engine has read its
sections only the description is needed, so a resident model keeps this and lets the file go. A signature
takes more than many a model, and a fleet's models have few different ones: equal ones are one object.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias
from weakref import WeakValueDictionary

import numpy as np

from croupier.artifacts.datatypes import DATATYPES
from croupier.artifacts.engines import NATIVE
from croupier.artifacts.format import MAX_FEATURES, Artifact, Tensor

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
# Tensors by name; the first dimension of each is the row.
Arrays: TypeAlias = Mapping[str, Array]

_FP32, _FP64 = "FP32", "FP64"


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Signature:
    """A model's inputs and outputs, and how a row of named features fills the inputs.

    `features` is empty for a model that takes tensors only. `accepts_missing`, `finite` and `complete` say
    which values are legal, as they do of an `Artifact`; a linear model takes no infinity whatever that says.
    """

    engine: str
    features: tuple[str, ...]
    accepts_missing: bool
    finite: bool
    complete: bool
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    # Of a native model: float64 rows are scored as such.
    wide: bool
    # Place of each feature in a row.
    columns: Mapping[str, int] = field(repr=False, compare=False)
    # Places of the inputs and outputs.
    input_places: Mapping[str, int] = field(repr=False, compare=False)
    output_places: Mapping[str, int] = field(repr=False, compare=False)
    # Of all outputs for a row, as far as they say; a dimension that is free counts as one.
    row_bytes: int = field(repr=False, compare=False)
    # What the engine's own reader of plain requests makes of it, once for all models that share it.
    form: Any = field(repr=False, compare=False)

    @classmethod
    def of(
        cls, artifact: Artifact, *, wide: bool = False, form: Callable[[Signature], Any] | None = None
    ) -> Self:
        """The signature of `artifact`, shared with all that have an equal one.

        `form` makes what is kept as the signature's form.
        """
        native = NATIVE.get(artifact.engine)
        parts = (
            artifact.engine,
            artifact.features or _numbered(artifact.inputs),
            artifact.accepts_missing,
            artifact.finite or (native is not None and native.finite),
            artifact.complete,
            artifact.inputs,
            artifact.outputs,
            wide,
            form,
        )
        known = _known.get(parts)
        if known is not None:
            return known  # type: ignore[return-value]
        made = cls(
            *parts[:-1],
            _places(parts[1]),
            _places(tensor.name for tensor in artifact.inputs),
            _places(tensor.name for tensor in artifact.outputs),
            answer_bytes(artifact.outputs, 1),
            None,
        )
        if form is not None:
            made = replace(made, form=form(made))
        # Two threads may make the same one at the same time; either serves.
        _known[parts] = made
        return made

    @property
    def is_native(self) -> bool:
        return self.engine in NATIVE

    @property
    def bounded(self) -> bool:
        """Whether finite values beyond float32's range are refused, in whatever datatype they come."""
        native = NATIVE.get(self.engine)
        return native is not None and not (self.wide and native.far)

    def datatypes(self, tensor: Tensor) -> tuple[str, ...]:
        """What values of an input may come as; float32 where the input is float64, for that loses nothing."""
        if tensor.datatype == _FP64 or (self.is_native and tensor.datatype == _FP32):
            return _FP32, _FP64
        return (tensor.datatype,)

    def dtype(self, tensor: Tensor, datatype: str) -> np.dtype[Any]:
        """What values of an input are scored as if they come as `datatype`, or as near as may be."""
        if not self.is_native:
            return DATATYPES[tensor.datatype]
        choices = self.datatypes(tensor)
        scored = datatype if datatype in choices else tensor.datatype
        return DATATYPES[_FP32 if len(choices) > 1 and not self.wide else scored]


def _numbered(inputs: Sequence[Tensor]) -> tuple[str, ...]:
    """Names for the columns of a single input of numbers."""
    if len(inputs) != 1 or len(inputs[0].shape) != 2 or DATATYPES[inputs[0].datatype].kind not in "iuf":
        return ()
    width = inputs[0].shape[1]
    return tuple(map(str, range(width))) if width <= MAX_FEATURES else ()


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
