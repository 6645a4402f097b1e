"""A table of rows as a model's library wants it: a matrix, or the data frame that it was trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from croupier.artifacts.format import Artifact
from croupier.artifacts.packers.checks.forest_rows import read_forest
from croupier.artifacts.packers.checks.transform_rows import has_transform, read_block
from croupier.artifacts.tables import Array, Table


def frame_of(model: Any, artifact: Artifact, table: Table, names: Sequence[str] | None = None) -> Any:
    """The rows for `model`: a frame if it was trained with names, or takes texts, and pandas is there.

    `names` are the columns that the model was trained on, told by it if it is an estimator.
    """
    if names is None:
        found = getattr(model, "feature_names_in_", None)
        names = None if found is None else [str(name) for name in found]
    columns = _columns(artifact, table)
    # A model of columns without names, some of which may not be asked for.
    by_place = names is None
    known = names or [str(place) for place in range(_width(model, len(columns)))]
    if list(columns) != known and len(columns) == len(known):
        columns = dict(zip(known, columns.values(), strict=True))
    objects = _objects(model, list(columns))
    for name, missing in objects.items():
        columns[name] = np.array(
            [missing if value != value else value for value in columns[name].tolist()], np.object_
        )
    coded = _coded(artifact, list(columns)) if names is not None else []
    is_matrix = by_place and all(column.dtype.kind != "O" for column in columns.values())
    if is_matrix and len(columns) == len(known):
        return np.stack(list(columns.values()), axis=1)
    try:
        import pandas
    except ImportError:
        return np.stack([columns[name] for name in known], axis=1)
    frame = pandas.DataFrame({name: columns.get(name, np.zeros(_count(table))) for name in known})
    for name in objects:
        # Of texts alone pandas would make a column of its own kind, without None.
        frame[name] = pandas.Series(columns[name], dtype=object)
    own = dict(zip(coded, _lists(model), strict=False))
    for name in (*coded, *_categorical(model, known)):
        if name in objects:
            continue
        # A truth value is sent as a number, and to pandas they are not the same among others.
        members = {member: member for member in own.get(name, ())}
        values = [_whole(value) for value in frame[name].tolist()]
        frame[name] = pandas.Categorical([members.get(value, value) for value in values])
    return frame.to_numpy(dtype=object) if by_place else frame


def _columns(artifact: Artifact, table: Table) -> dict[str, Array]:
    """By name, or place; numbers as float64, and what is missing as NaN.

    Steps of scikit-learn would round to float32 what comes as float32, though it is the same row.
    """
    if len(table) > 1 or next(iter(table.values())).ndim != 2:
        return {name: _filled(array[:, 0]) for name, array in table.items()}
    (rows,) = table.values()
    names = artifact.features or [str(place) for place in range(rows.shape[1])]
    return {name: _filled(rows[:, place]) for place, name in enumerate(names)}


def _filled(column: Array) -> Array:
    if column.dtype.kind != "O":
        return column.astype(np.float64) if column.dtype.kind == "f" else column
    found = np.empty(len(column), np.object_)
    found[:] = [math.nan if text is None else text for text in column.tolist()]
    return found


def _coded(artifact: Artifact, names: Sequence[str]) -> list[str]:
    """The columns that were categories of a booster's training frame."""
    if artifact.engine != "forest" or not has_transform(artifact):
        return []
    block = read_block(artifact, read_forest(artifact.section("forest")).end)
    return [name for feature, name in enumerate(names) if block.has_codes(feature)]


def _lists(model: Any) -> Sequence[Sequence[Any]]:
    """The categories that LightGBM keeps of its training frame, by categorical column."""
    return getattr(getattr(model, "booster_", model), "pandas_categorical", None) or ()


def _categorical(model: Any, names: Sequence[str]) -> list[str]:
    """The same of histogram gradient boosting, which knows them itself."""
    found = getattr(model, "is_categorical_", None)
    if found is None or not _is_from_dtype(model):
        return []
    return [name for name, is_one in zip(names, found.tolist(), strict=True) if is_one]


def _is_from_dtype(model: Any) -> bool:
    return isinstance(model.categorical_features, str) and model.categorical_features == "from_dtype"


def _objects(model: Any, names: Sequence[str]) -> dict[str, float | None]:
    """Columns of objects that histogram gradient boosting was told are categories, and what is missing there.

    It takes such a column only as objects, and where it knows None it does not know NaN.
    """
    if getattr(model, "is_categorical_", None) is None or _is_from_dtype(model):
        return {}
    encoder = model._preprocessor.named_transformers_["encoder"]  # noqa: SLF001 (they are kept there only)
    places = np.flatnonzero(model.is_categorical_).tolist()
    return {
        names[place]: None if any(category is None for category in known.tolist()) else math.nan
        for place, known in zip(places, encoder.categories_, strict=True)
        if known.dtype.kind == "O"
    }


def _whole(value: Any) -> Any:
    """A category that is a whole number as one: XGBoost takes no others."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _width(model: Any, width: int) -> int:
    return int(getattr(model, "n_features_in_", width))


def _count(table: Table) -> int:
    return len(next(iter(table.values())))
