"""A table of rows as a model's library wants it: a matrix, or the data frame that it was trained on."""

from __future__ import annotations

from typing import Any

from croupier.artifacts.format import Artifact
from croupier.artifacts.tables import Table


def frame_of(model: Any, artifact: Artifact, table: Table) -> Any:
    """The rows for `model`: a frame with its columns if it was trained with names and pandas is there."""
    (rows,) = table.values()
    # Steps of scikit-learn round to float32 what comes as float32; a row is the same row in either.
    rows = rows.astype("f8") if rows.dtype.kind == "f" else rows
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        return rows
    try:
        import pandas
    except ImportError:
        return rows
    frame = pandas.DataFrame(rows, columns=list(names))
    categorical = getattr(model, "is_categorical_", None)
    if categorical is not None and getattr(model, "categorical_features", None) == "from_dtype":
        for name in frame.columns[categorical]:
            frame[name] = frame[name].astype("category")
    return frame
