"""The difference between what a cell answers and what the library does, row by row.

Numbers are within `tolerance` of the library's, relative to the answer or to the middle of all answers of
that column, whichever is larger: an answer near 0 is a sum whose parts are not. A probability counts as 0.1
at least, for one of 1e-20 is what is left of 1. Labels are equal, unless the library itself cannot tell the
two: their scores are as near.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.tables import Array, Table

_SHOWN_ROWS = 5
_SHOWN_COLUMNS = 6
# Below it float32 has fewer digits.
_LEAST = 1e-37
_LEAST_PROBABILITY = 0.1


class DiffersFromLibrary(InvalidArtifact):
    """An artifact that does not answer as the model's library does. Ours, or the converter's."""

    reason = "DIFFERS_FROM_LIBRARY"


@dataclass(frozen=True, slots=True)
class Difference:
    """`largest` is relative, `wrong` are rows, those that differ most first; `output` is where."""

    largest: float
    wrong: Array
    output: str = ""


def difference(expected: Table, found: Table, tolerance: float) -> Difference:
    """The largest difference of all outputs of the same rows."""
    largest, wrong = 0.0, Difference(0.0, np.empty(0, np.int64))
    # Numbers first: they tell more than the labels that follow from them.
    for name, array in sorted(expected.items(), key=lambda each: each[1].dtype.kind != "f"):
        if name not in found or len(found[name]) != len(array):
            raise DiffersFromLibrary(f"the artifact has no answer for each row in its output {name!r}")
        if found[name].size != array.size:
            raise DiffersFromLibrary(f"the artifact's output {name!r} is not as wide as its library's")
        if not len(array):
            continue
        if array.dtype.kind == "f":
            least = _LEAST_PROBABILITY if name == "probabilities" else _LEAST
            rows = _relative(array.reshape(len(array), -1), found[name].reshape(len(array), -1), least)
            largest = max(largest, float(rows.max(initial=0.0)))
            bad = rows > tolerance
        else:
            rows = (found[name] != array).reshape(len(array), -1).any(axis=1).astype(np.float64)
            bad = (rows > 0) & ~_ties(expected, name, tolerance)
        if bad.any() and not len(wrong.wrong):
            order = np.argsort(-np.where(bad, rows, -1.0), kind="stable")
            wrong = Difference(float(rows.max()), order[: int(bad.sum())], name)
    return Difference(max(largest, wrong.largest), wrong.wrong, wrong.output)


def _relative(expected: Array, found: Array, least: float) -> Array:
    """How far each row is off, of its columns the most."""
    if not expected.size:
        return np.zeros(len(expected))
    with np.errstate(over="ignore", invalid="ignore"):
        expected = expected.astype(np.float32).astype(np.float64)
        found = found.astype(np.float64)
        size = np.abs(expected)
        middle = np.array([_middle(column) for column in size.T])
        off = np.abs(found - expected) / np.maximum(np.maximum(size, middle), least)
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    off[np.isnan(off) | np.isinf(expected)] = np.inf
    off[same] = 0.0
    most: Array = off.max(axis=1)
    return most


def _middle(sizes: Array) -> float:
    finite = sizes[np.isfinite(sizes)]
    return float(np.median(finite)) if len(finite) else 0.0


def _ties(expected: Table, label: str, tolerance: float) -> Array:
    """Rows of which the library's own scores of the best two classes are as near as answers may be."""
    rows = len(expected[label])
    scores = [array for name, array in expected.items() if name != label and array.dtype.kind == "f"]
    if not scores or scores[0].ndim != 2:
        return np.zeros(rows, bool)
    ordered = np.sort(scores[0].astype(np.float64), axis=1)
    if ordered.shape[1] == 1:
        near: Array = np.abs(ordered[:, 0]) <= tolerance * _middle(np.abs(ordered[:, 0]))
        return near
    gap: Array = ordered[:, -1] - ordered[:, -2]
    return gap <= 2 * tolerance * np.maximum(np.abs(ordered[:, -1]), _LEAST)


def described(
    rows: Table, expected: Table, found: Table, wrong: Difference, features: Sequence[str], library: str
) -> str:
    """A few of the rows that differ, with both answers, as a table of text."""
    answers = expected[wrong.output], found[wrong.output]
    lines: list[tuple[str, ...]] = [("row", library, "artifact")]
    lines += [
        (_row(rows, place, features), *(_shown(answer[place]) for answer in answers))
        for place in wrong.wrong[:_SHOWN_ROWS].tolist()
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    table = "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
    return f"{len(wrong.wrong)} rows differ in {wrong.output!r}:\n{table}"


def _row(rows: Table, place: int, features: Sequence[str]) -> str:
    if len(rows) == 1:
        (array,) = rows.values()
        values = array[place].ravel().tolist()
        names = features if len(features) == len(values) else [str(number) for number in range(len(values))]
        dtype = f"{array.dtype.name}: "
    else:
        values = [array[place].ravel().tolist()[0] for array in rows.values()]
        names, dtype = list(rows), ""
    told = [f"{name}={value!r}" for name, value in zip(names, values, strict=True)][:_SHOWN_COLUMNS]
    return dtype + ", ".join(told) + (", …" if len(values) > _SHOWN_COLUMNS else "")


def _shown(answer: object) -> str:
    values = np.ravel(np.asarray(answer)).tolist()
    told = ", ".join(f"{value:.9g}" if isinstance(value, float) else str(value) for value in values[:4])
    return told + (", …" if len(values) > 4 else "")
