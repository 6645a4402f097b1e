"""Raw rows for a model behind a pipeline: what its steps would make into the columns that are wanted.

The rows that try a forest or a linear model are rows of columns, which come behind the block `transform`.
Each feature is given the value from which its steps make the column's, or nearly: a number goes back through
its scaling, a category is the one whose column is set or whose number is nearest. Some rows get categories
that nobody has seen, holes, and infinities, of each feature what the block says that it accepts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from croupier.artifacts.engines import NATIVE
from croupier.artifacts.format import ALIGNMENT, Artifact
from croupier.artifacts.packers.transform.description import Kind
from croupier.artifacts.packers.transform.layout import STEP
from croupier.artifacts.tables import Table

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Random: TypeAlias = np.random.Generator

_HEADER_BYTES = 40
_MISSING, _INFINITE, _TEXT, _REFUSES_UNKNOWN, _MAY_OVERFLOW = 1, 2, 4, 8, 16
_GOES_ON = 2
_IRREGULAR = 300
# What is nearly beyond float32 would be, rounded on its way back and forth, and is refused.
_LARGE = 1e37
_SCALES = {Kind.COPY, Kind.SHIFT_SCALE, Kind.SCALE_SHIFT}


@dataclass(frozen=True, slots=True)
class Block:
    """`policies` by feature, `texts` of those that are text; `steps` as they lie."""

    policies: Array
    steps: Array
    numbers: Array
    texts: dict[int, list[str]]

    def categories(self, step: Any) -> tuple[Array, Array]:
        """The categories of a step, and what each becomes."""
        first, count = int(step["first"]), int(step["count"])
        return self.numbers[first : first + count], self.numbers[first + count : first + 2 * count]

    def takes(self, feature: int, policy: int) -> bool:
        return bool(self.policies[feature] & policy)

    def read_by(self, feature: int) -> list[Any]:
        """The steps that take the feature itself."""
        return [step for step in self.steps if step["source"] == feature and not step["flags"] & _GOES_ON]

    def has_codes(self, feature: int) -> bool:
        """Whether the feature's categories become numbers, as a data frame's do."""
        return any(step["kind"] == Kind.ORDINAL for step in self.read_by(feature))


def has_transform(artifact: Artifact) -> bool:
    """Whether the artifact's engine stands behind a block `transform`."""
    native = NATIVE.get(artifact.engine)
    return native is not None and bool(
        int(np.frombuffer(artifact.section(artifact.engine), "<u4", 1, 4)[0]) & native.transform
    )


def read_block(artifact: Artifact, end: int) -> Block:
    """The block behind an engine's arrays, which end at `end` of its section."""
    section = artifact.section(artifact.engine)
    begin = -(-end // ALIGNMENT) * ALIGNMENT
    features, _, steps, dictionaries, numbers, entries, size = (
        int(count) for count in np.frombuffer(section, "<u4", 7, begin + 8)
    )
    place = begin + _HEADER_BYTES

    def taken(dtype: Any, count: int) -> Array:
        nonlocal place
        place = -(-place // 8) * 8
        found = np.frombuffer(section, dtype, count, place)
        place += found.nbytes
        return found

    policies, found = taken(np.uint8, features), taken(STEP, steps)
    values = taken("<f8", numbers)
    known = taken("<u4", 2 * (dictionaries + 1)).reshape(-1, 2).tolist()
    places = taken("<u4", 2 * entries).reshape(-1, 2).tolist()
    joined = taken(np.uint8, size).tobytes()
    words = [joined[at : at + length].decode() for at, length in places]
    texts = {feature: words[first:last] for (feature, first), (_, last) in pairwise(known)}
    return Block(policies, found, values, texts)


def raw_rows(block: Block, columns: Array, categorical: Collection[int], random: Random) -> Array:
    """Rows of the features, float64, of a text its place in the dictionary; from rows of `columns`.

    `categorical` are the columns that an engine takes for categories.
    """
    features = len(block.policies)
    rows = np.zeros((len(columns), features))
    for feature in range(features):
        steps = block.read_by(feature)
        guide = _guide(block, feature, steps)
        if guide is not None:
            rows[:, feature] = _back(block, feature, guide, columns, random)
        for step in steps:
            if step["kind"] == Kind.INDICATOR and block.takes(feature, _MISSING):
                rows[columns[:, int(step["column"])] > 0.5, feature] = np.nan
    more = rows[random.integers(len(rows), size=_IRREGULAR)].copy()
    for feature in range(features):
        is_categorical = any(int(step["column"]) in categorical for step in block.read_by(feature))
        _disturb(block, feature, more[:, feature], is_categorical, random)
    found = np.concatenate([rows, more])
    for feature in range(features):
        refused = np.zeros(len(found), bool)
        if not block.takes(feature, _MISSING):
            refused |= np.isnan(found[:, feature])
        if not block.takes(feature, _INFINITE):
            refused |= np.isinf(found[:, feature])
        found[refused, feature] = random.choice(_values(block, feature), int(refused.sum()))
    return found


def raw_table(artifact: Artifact, block: Block, rows: Array, random: Random) -> list[Table]:
    """The rows as a caller sends them."""
    if len(artifact.inputs) == 1 and artifact.inputs[0].datatype != "BYTES":
        name = artifact.inputs[0].name
        return [{name: rows.astype(np.float32)}, {name: rows}]
    table = {}
    for feature, tensor in enumerate(artifact.inputs):
        column = rows[:, feature]
        table[tensor.name] = (_texts(block.texts[feature], column) if feature in block.texts else column)[
            :, None
        ]
    return [table]


def _guide(block: Block, feature: int, steps: Sequence[Any]) -> Any:
    """The step whose column the feature's value is made for: of a number its scaling, if that is all."""
    tables = [step for step in steps if step["kind"] in (Kind.ONE_HOT, Kind.ORDINAL) and step["count"]]
    scales = [step for step in steps if step["kind"] in _SCALES]
    if block.takes(feature, _REFUSES_UNKNOWN | _TEXT):
        scales = []
    return next(iter([*scales, *tables]), None)


def _back(block: Block, feature: int, guide: Any, columns: Array, random: Random) -> Array:
    """The values from which `guide`, and what goes on from it, make the columns."""
    column = int(guide["column"])
    if guide["kind"] in _SCALES:
        values = np.clip(columns[:, column], -_LARGE, _LARGE)
        chain = [
            guide,
            *(step for step in block.steps if step["column"] == column and step["flags"] & _GOES_ON),
        ]
        for step in reversed(chain):
            values = _unscaled(step, values)
        found: Array = np.clip(values, -_LARGE, _LARGE)
        return found
    categories, targets = block.categories(guide)
    if guide["kind"] == Kind.ORDINAL:
        nearest = np.abs(columns[:, column, None] - targets[None]).argmin(axis=1)
        return np.asarray(categories[nearest])
    share = np.where(targets[None] >= 0, columns[:, column + np.maximum(targets, 0).astype(np.int64)], 0.25)
    chosen = categories[share.argmax(axis=1)]
    unknown = share.max(axis=1) <= 0.5
    if not block.takes(feature, _REFUSES_UNKNOWN):
        chosen = np.where(unknown & (random.random(len(chosen)) < 0.5), _unseen(block, feature), chosen)
    return np.asarray(chosen)


def _unscaled(step: Any, values: Array) -> Array:
    a, b = float(step["a"]), float(step["b"])
    if step["kind"] == Kind.SHIFT_SCALE:
        return values * b + a
    if step["kind"] == Kind.SCALE_SHIFT and a:
        return (values - b) / a
    return values


def _disturb(block: Block, feature: int, values: Array, is_categorical: bool, random: Random) -> None:
    pool = _values(block, feature)
    if not block.takes(feature, _REFUSES_UNKNOWN | _MAY_OVERFLOW):
        pool = [*pool, _unseen(block, feature)]
    where = random.random(len(values)) < 0.2
    values[where] = random.choice(pool, int(where.sum()))
    holes = [np.nan] if block.takes(feature, _MISSING) else []
    # Among categories, what is infinite is one that nobody has seen.
    is_categorical |= block.takes(feature, _TEXT | _REFUSES_UNKNOWN) or block.has_codes(feature)
    infinite = [np.inf, -np.inf] if not is_categorical and block.takes(feature, _INFINITE) else []
    for some in filter(None, (holes, infinite)):
        where = random.random(len(values)) < 0.1
        values[where] = random.choice(some, int(where.sum()))


def _values(block: Block, feature: int) -> list[float]:
    """Values that the feature's steps know; 0 and 1 if they know none, unless 1 may be too large for them."""
    known = [
        value
        for step in block.read_by(feature)
        if step["kind"] in (Kind.ONE_HOT, Kind.ORDINAL)
        for value in block.categories(step)[0].tolist()
        if not np.isnan(value)
    ]
    return known or ([0.0] if block.takes(feature, _MAY_OVERFLOW) else [0.0, 1.0])


def _unseen(block: Block, feature: int) -> float:
    return -1.0 if block.takes(feature, _TEXT) else max(_values(block, feature)) + 1.5


def _texts(known: Sequence[str], codes: Array) -> Array:
    unseen = next(
        text for text in ("unseen", "unseen " * 9, *map(str, range(len(known) + 1))) if text not in known
    )
    found = np.empty(len(codes), np.object_)
    found[:] = [
        None if np.isnan(code) else known[int(code)] if code >= 0 else unseen for code in codes.tolist()
    ]
    return found
