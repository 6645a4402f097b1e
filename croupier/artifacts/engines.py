"""The engines by the names that artifacts give, and what holds for the models of each native one.

A native engine's models are scored from their packed bytes: the section that has the engine's name. Whoever
has to know which engines these are reads `NATIVE`: a cell, with a class for each (`cell.engines.packed`),
packers, and what makes rows to try a model on, each engine's in its own way (`packers.checks.made`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

ONNX = "onnx"
FOREST = "forest"
LINEAR = "linear"


@dataclass(frozen=True, slots=True)
class NativeEngine:
    """What holds for all models of one.

    `transform` is the bit among the section's flags (32 bits at byte 4) that says that a pipeline's block
    follows. `finite`: no infinity is taken, whatever the artifact says. `far`: those that answer float64 rows
    as such take numbers beyond float32's range.
    """

    transform: int
    finite: bool = False
    far: bool = False


NATIVE: Mapping[str, NativeEngine] = MappingProxyType(
    {
        FOREST: NativeEngine(transform=32),
        LINEAR: NativeEngine(transform=4, finite=True, far=True),
    }
)
