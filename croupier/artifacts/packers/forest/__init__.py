"""Packs forests and boosted trees for the `forest` engine: XGBoost, LightGBM, scikit-learn.

    pack_forest(model)      a trained object of any of the three, in the process that trained it
    pack_xgboost(data)      XGBoost's JSON or UBJSON
    pack_lightgbm(text)     LightGBM's model file

The contract: float64 rows are answered as the library answers float64 rows, float32 rows as float32 rows,
within float32. The sums are float64 throughout, where XGBoost's are float32.

What cannot be packed is refused by name with InvalidArtifact. Neither XGBoost nor LightGBM is imported; an
object of theirs is asked for its file. scikit-learn's objects have no file but a pickle, which is never
opened, so they are packed where they live.

The artifact gives `label` and `probabilities` of a classifier, in the order of its classes, and `value`,
as the library's `predict` has it, of everything else: regression, ranking, margins, an anomaly score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers import outcome
from croupier.artifacts.packers.forest import lightgbm_file, scikit, xgboost_file
from croupier.artifacts.packers.forest.ensemble import Ensemble
from croupier.artifacts.packers.forest.layout import encode
from croupier.artifacts.packers.transformation import Transformation

ENGINE = "forest"

_CLASSIFIES = {"binary", "multiclass", "multiclassova"}


def pack_forest(model: Any, *, features: Sequence[str] = ()) -> bytes:
    """Pack a trained model: a booster or an estimator of XGBoost or LightGBM, or scikit-learn's own.

    A model that stopped early is packed up to its best iteration, as its estimator predicts. `features`
    default to the names that it was trained with, if it was with any.

    Raises:
        InvalidArtifact: the model has what cannot be packed, or it is of another kind.
    """
    kind = type(model)
    library = kind.__module__.partition(".")[0]
    if library == "xgboost":
        return _pack_xgboost_object(model, features)
    if library == "lightgbm":
        booster = getattr(model, "booster_", model)
        return pack_lightgbm(booster.model_to_string(), features=features, classes=_classes(model))
    if kind.__name__ in scikit.SUPPORTED:
        return _pack_scikit(model, features)
    raise InvalidArtifact(f"a {kind.__name__} cannot be packed as a forest")


def pack_xgboost(data: bytes, *, features: Sequence[str] = (), classes: Any = None) -> bytes:
    """Pack an XGBoost file, JSON or UBJSON, up to its best iteration if it was trained with early stopping.

    Raises:
        InvalidArtifact: it is none, or it has what cannot be packed.
    """
    found = xgboost_file.read(data)
    ensemble, task = found.ensemble, found.task
    names = _names(features) or found.names
    is_probability = ensemble.transformation in {Transformation.SIGMOID, Transformation.HINGE}
    if task == xgboost_file.BINARY and is_probability and len(ensemble.base) == 1:
        return _pack(_paired(ensemble), names, True, _or_counted(classes, 2))
    if task == xgboost_file.MULTI_CLASS:
        return _pack(ensemble, names, True, _or_counted(classes, len(ensemble.base)))
    return _pack(ensemble, names, True, None)


def pack_lightgbm(text: str, *, features: Sequence[str] = (), classes: Any = None) -> bytes:
    """Pack LightGBM's model file, with all trees in it.

    Raises:
        InvalidArtifact: it is none, or it has what cannot be packed.
    """
    found = lightgbm_file.read(text)
    ensemble = found.ensemble
    names = _names(features) or found.names
    if found.objective == "binary":
        return _pack(_paired(ensemble), names, True, _or_counted(classes, 2))
    if found.objective in _CLASSIFIES:
        return _pack(ensemble, names, True, _or_counted(classes, len(ensemble.base)))
    return _pack(ensemble, names, True, None)


def _pack_xgboost_object(model: Any, features: Sequence[str]) -> bytes:
    booster = model
    if hasattr(model, "get_booster"):
        missing = getattr(model, "missing", math.nan)
        if missing is not None and not math.isnan(missing):
            raise InvalidArtifact(
                f"an XGBoost model with missing={missing} cannot be packed: NaN alone is missing"
            )
        booster = model.get_booster()
    return pack_xgboost(bytes(booster.save_raw("ubj")), features=features, classes=_classes(model))


def _pack_scikit(model: Any, features: Sequence[str]) -> bytes:
    if getattr(model, "n_features_in_", None) is None:
        raise InvalidArtifact(f"this {type(model).__name__} is not fitted")
    names = _names(features) or _names(getattr(model, "feature_names_in_", ()))
    accepts_missing = bool(model.__sklearn_tags__().input_tags.allow_nan)
    return _pack(scikit.read(model), names, accepts_missing, getattr(model, "classes_", None))


def _pack(ensemble: Ensemble, names: Sequence[str], accepts_missing: bool, classes: Any) -> bytes:
    width = len(ensemble.base) + ensemble.is_pair
    if classes is None:
        outputs, sections = outcome.value(width)
    else:
        outputs, sections = outcome.classifier("probabilities", width, classes)
    return outcome.pack_numbers(
        ENGINE,
        encode(ensemble),
        features=ensemble.features,
        names=names,
        accepts_missing=accepts_missing,
        outputs=outputs,
        sections=sections,
    )


def _paired(ensemble: Ensemble) -> Ensemble:
    return replace(ensemble, is_pair=True)


def _or_counted(classes: Any, count: int) -> Any:
    return range(count) if classes is None else classes


def _classes(model: Any) -> Any:
    """A classifier's own labels; a booster has none, and a regressor neither."""
    return getattr(model, "classes_", None)


def _names(features: Sequence[str]) -> list[str]:
    """A plain list, for data sets tell their columns as NumPy arrays too."""
    return [str(name) for name in features]
