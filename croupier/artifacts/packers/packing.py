"""One `pack` for every trained object: it picks the engine, says why, and compares with the library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from croupier.artifacts.apart import Limits
from croupier.artifacts.checked import with_checked
from croupier.artifacts.engines import FOREST, LINEAR
from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers.checks.check import Report, check_object

_BOOSTERS = {"lightgbm", "xgboost"}


@dataclass(frozen=True, slots=True)
class Packed:
    """An artifact that answers as its library does: what to publish, and what is known of it.

    `why` says in a sentence why it is for `engine`.
    """

    artifact: bytes
    engine: str
    why: str
    report: Report


def pack(
    model: Any,
    sample: Any = None,
    *,
    features: Sequence[str] = (),
    complete: bool | None = None,
    limits: Limits | None = None,
) -> Packed:
    """Pack a trained model for the engine that suits it best, and compare it with its own library.

    `model` is an estimator, a pipeline or a booster of scikit-learn, XGBoost or LightGBM, in the process
    that trained it. `sample` has rows as callers will send them, a matrix in the order of the features or a
    data frame. Rows are made from the model's own thresholds, categories and coefficients, with a sample or
    without. `features` default to the names that it was trained with. `complete` is for trees: whether a
    named feature may not be left out. By default it may where the model, or the sample, has missing values.

    A throwaway process loads the artifact as a cell would and answers the rows; it takes some seconds.

    Raises:
        DiffersFromLibrary: the artifact answers otherwise than the library; the message shows some rows.
        InvalidArtifact: the model has what cannot be packed or served, by name.
    """
    if complete is None and _has_missing(sample):
        complete = False
    artifact, why = _packed(model, features, complete)
    report = check_object(model, artifact, sample, limits)
    artifact = with_checked(artifact, report.checked)
    return Packed(artifact, view(artifact).engine, why, report)


def _has_missing(sample: Any) -> bool:
    if hasattr(sample, "isna"):
        return bool(sample.isna().to_numpy().any())
    array = np.asarray(sample)
    return array.dtype.kind == "f" and bool(np.isnan(array).any())


def _packed(model: Any, features: Sequence[str], complete: bool | None) -> tuple[bytes, str]:
    """The artifact, and why it is of its engine."""
    from croupier.artifacts.packers.forest import pack_forest
    from croupier.artifacts.packers.linear import pack_linear

    forest = partial(pack_forest, complete=complete)
    library = type(model).__module__.partition(".")[0]
    if library in _BOOSTERS:
        return forest(model, features=features), f"trees of {library} are scored natively"
    refusals = []
    for engine, packer in ((FOREST, forest), (LINEAR, pack_linear)):
        try:
            artifact = packer(model, features=features)
        except InvalidArtifact as error:
            refusals.append(f"{engine}: {error.message}")
        else:
            return artifact, f"a {_final(model)} is scored natively, as {engine}"
    from croupier.artifacts.packers.onnx import pack_sklearn

    refused = "; ".join(refusals)
    try:
        return pack_sklearn(
            model, features=features
        ), f"by way of ONNX, for no native engine takes it: {refused}"
    except InvalidArtifact as error:
        raise InvalidArtifact(f"{error.message} (no native engine takes it either: {refused})") from error


def _final(model: Any) -> str:
    return type(model.steps[-1][1] if hasattr(model, "steps") else model).__name__
