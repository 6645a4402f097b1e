"""From a row's sums to its outputs: the names behind the codes in `forest` and `linear` artifacts."""

from __future__ import annotations

from enum import IntEnum


class Transformation(IntEnum):
    """The numbers are the file's, only ever append; docs/artifacts.md has the formulas."""

    IDENTITY = 0
    SIGMOID = 1
    SOFTMAX = 2
    EXPONENTIAL = 3
    SIGNED_SQUARE = 4
    HINGE = 5
    LOG_ONE_PLUS_EXP = 6
    STANDARD_RATIO = 7
    NORMALIZED_SIGMOID = 8
    MODIFIED_HUBER = 9
