"""What the artifacts of the native engines give: `value`, or a classifier's `label` and its scores.

A classifier's classes are its labels. Where they are 0, 1, 2, … nothing is written down; other whole numbers
and texts lie in section `classes`: as int64, or as UTF-8 separated by one NUL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from croupier.artifacts.format import InvalidArtifact, Tensor, pack
from croupier.artifacts.packers.transform.assembly import Columns
from croupier.artifacts.packers.transform.intake import transformed

CLASSES = "classes"
_MOST = np.uint64(2**63)


def pack_numbers(
    engine: str,
    section: bytes,
    *,
    features: int,
    names: Sequence[str],
    accepts_missing: bool,
    outputs: Sequence[Tensor],
    sections: Mapping[str, bytes],
    is_wide: bool = False,
    finite: bool = False,
    complete: bool = False,
    columns: Columns | None = None,
) -> bytes:
    """An artifact that takes one row of `features` numbers, named or not: FP64 if it `is_wide`, else FP32.

    Or what its `columns` are made of, if there are any; then `names` are the features' of these. The model
    refuses infinity if it is `finite`, and that a named feature is left out if it is `complete`.

    Raises:
        InvalidArtifact: the names are not as many, or break a rule of the format.
    """
    if columns is not None:
        if len(columns.columns) != features:
            raise InvalidArtifact(f"{len(columns.columns)} columns for a model of {features}")
        taken = transformed(
            engine, section, columns, names, accepts_missing=accepts_missing, finite=finite, complete=complete
        )
        return pack(
            engine=engine,
            features=taken.features,
            inputs=taken.inputs,
            outputs=outputs,
            sections={engine: taken.section, **sections},
            accepts_missing=taken.accepts_missing,
            finite=taken.finite,
            complete=taken.complete,
        )
    if names and len(names) != features:
        raise InvalidArtifact(f"{len(names)} names for a model of {features} features")
    return pack(
        engine=engine,
        features=names,
        inputs=[Tensor("input", "FP64" if is_wide else "FP32", (-1, features))],
        outputs=outputs,
        sections={engine: section, **sections},
        accepts_missing=accepts_missing,
        finite=finite,
        complete=complete and accepts_missing,
    )


def value(width: int) -> tuple[list[Tensor], dict[str, bytes]]:
    """The outputs of a model that gives `width` numbers a row, and no section."""
    return [Tensor("value", "FP32", (-1, width))], {}


def classifier(scores: str, width: int, classes: Any) -> tuple[list[Tensor], dict[str, bytes]]:
    """The outputs of a classifier whose `scores` are `width` numbers, and the section of its classes.

    One that was trained on one class alone has as many scores as its library gives, and its label is that
    class whatever they are: the class is written down for each.

    Raises:
        InvalidArtifact: classes that are neither whole numbers nor texts, or not as many as scores.
    """
    labels = np.asarray(classes)
    count = max(width, 2)
    if len(labels) == 1:
        labels = labels.repeat(count)
    if len(labels) != count:
        raise InvalidArtifact(f"{len(labels)} classes for a model of {width} outputs")
    datatype, section = _labels(labels)
    outputs = [Tensor("label", datatype, (-1,)), Tensor(scores, "FP32", (-1, width))]
    return outputs, {CLASSES: section} if section else {}


def _labels(classes: np.ndarray[Any, np.dtype[Any]]) -> tuple[str, bytes]:
    if classes.dtype.kind in "OU":
        texts = classes.tolist()
        if not all(isinstance(text, str) and text and "\0" not in text for text in texts):
            raise InvalidArtifact("a class is neither a whole number nor a text")
        return "BYTES", "\0".join(texts).encode()
    if classes.dtype.kind not in "biuf" or (classes != np.floor(classes.astype(np.float64))).any():
        raise InvalidArtifact("a class is neither a whole number nor a text")
    if (classes.dtype.kind == "u" and (classes >= _MOST).any()) or (
        classes.dtype.kind == "f" and not (np.abs(classes) < float(_MOST)).all()
    ):
        raise InvalidArtifact("a class is a whole number of more than 64 bits, of which one is its sign")
    numbers = classes.astype("<i8")
    if np.array_equal(numbers, np.arange(len(numbers))):
        return "INT64", b""
    return "INT64", numbers.tobytes()
