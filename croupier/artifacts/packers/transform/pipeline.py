"""A scikit-learn pipeline, taken apart: the columns that its estimator sees, and the estimator."""

from __future__ import annotations

from typing import Any

from croupier.artifacts.format import MAX_FEATURES, InvalidArtifact
from croupier.artifacts.packers.transform.assembly import Columns, raw
from croupier.artifacts.packers.transform.policies import Policies
from croupier.artifacts.packers.transform.scikit import Matrix, through


def parts(model: Any) -> tuple[list[Any], Any]:
    """The steps before the estimator, and the estimator; a model that is no pipeline is one itself."""
    if not hasattr(model, "steps"):
        return [], model
    *steps, last = [step for _, step in model.steps]
    inner, estimator = parts(last)
    return [*steps, *inner], estimator


def seen(steps: list[Any], estimator: Any) -> Columns | None:
    """What the estimator sees; None if it sees the features as they come.

    Raises:
        InvalidArtifact: a step or a setting of one that cannot be packed, by name.
    """
    steps = [step for step in steps if step is not None and not _passes(step)]
    if not steps:
        return None
    # The first step knows, if it is fitted; a pipeline within one that begins with nothing does not.
    width = next(
        (each.n_features_in_ for each in (*steps, estimator) if hasattr(each, "n_features_in_")), None
    )
    if width is None:
        raise InvalidArtifact(f"this {type(steps[0]).__name__} is not fitted")
    if not 1 <= width <= MAX_FEATURES:
        raise InvalidArtifact(f"a model of {width} features: there may be 1 to {MAX_FEATURES}")
    matrix = Matrix(raw(width).columns, Policies())
    for step in steps:
        matrix = through(step, matrix)
    if not matrix.columns:
        raise InvalidArtifact("the steps before the estimator leave it no columns")
    return Columns(width, matrix.columns, matrix.policies, matrix.is_sparse)


def names(model: Any, steps: list[Any]) -> list[str]:
    """The features' names that the model, or its first step, was fitted with, if it was with any."""
    found = getattr(model, "feature_names_in_", None)
    if found is None and steps:
        found = getattr(steps[0], "feature_names_in_", None)
    return [] if found is None else [str(name) for name in found]


def _passes(step: Any) -> bool:
    return isinstance(step, str) and step == "passthrough"
