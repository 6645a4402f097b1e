"""Packs forests and boosted trees for the `forest` engine: XGBoost, LightGBM, scikit-learn.

    pack_forest(model)      a trained object of any of the three, in the process that trained it
    pack_xgboost(data)      XGBoost's JSON or UBJSON
    pack_lightgbm(text)     LightGBM's model file

    scikit                    scikit-learn's objects
    lightgbm_file, xgboost_file     files, with `lightgbm_text`, `lightgbm_categories`, `xgboost_document`,
                              `xgboost_categories` and `ubjson`
    ensemble, layout          what all become, and its bytes

Before an estimator there may be the steps of a scikit-learn pipeline, and in place of a model's codes there
may be the categories of the frame that it was trained on: both become a transform.

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from croupier.artifacts.engines import FOREST
from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers import outcome
from croupier.artifacts.packers.forest import lightgbm_file, scikit, xgboost_file
from croupier.artifacts.packers.forest.ensemble import Ensemble
from croupier.artifacts.packers.forest.layout import encode
from croupier.artifacts.packers.transform import pipeline
from croupier.artifacts.packers.transform.assembly import Columns, raw
from croupier.artifacts.packers.transform.encoders import Codes
from croupier.artifacts.packers.transformation import Transformation

_CLASSIFIES = {"binary", "multiclass", "multiclassova"}


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a model takes: its names, the columns of a pipeline before it, and what it refuses.

    `codes` are those that it takes in place of categories, by column. The `bounded` ones
    refuse infinity, where others take it.
    """

    names: Sequence[str]
    columns: Columns | None = None
    codes: Mapping[int, Codes] = field(default_factory=dict)
    bounded: Sequence[int] = ()
    accepts_missing: bool = True
    finite: bool = False
    # Whether no named feature may be left out; None: as the trees show.
    complete: bool | None = None


def pack_forest(model: Any, *, features: Sequence[str] = (), complete: bool | None = None) -> bytes:
    """Pack a trained model: a booster or an estimator of XGBoost or LightGBM, or scikit-learn's own.

    It may be the last step of a scikit-learn pipeline. A model that stopped early is packed up to its best
    iteration, as its estimator predicts. `features` default to the names that it was trained with, if it was
    with any. Of a model that is `complete` no named feature may be left out, even where NaN is legal: it is
    not known to have seen missing values in training. That is the default unless its trees show otherwise.

    Raises:
        InvalidArtifact: the model has what cannot be packed, or it is of another kind.
    """
    steps, estimator = pipeline.parts(model)
    kind = type(estimator)
    library = kind.__module__.partition(".")[0]
    if library not in {"xgboost", "lightgbm"} and kind.__name__ not in scikit.SUPPORTED:
        raise InvalidArtifact(f"a {kind.__name__} cannot be packed as a forest")
    columns = pipeline.seen(steps, estimator)
    taken = _Taken(_names(features) or (pipeline.names(model, steps) if columns else []), columns)
    taken = replace(taken, complete=complete)
    if library == "xgboost":
        return _pack_xgboost_object(estimator, taken)
    if library == "lightgbm":
        booster = getattr(estimator, "booster_", estimator)
        return _pack_lightgbm(booster.model_to_string(), taken, _classes(estimator))
    return _pack_scikit(estimator, taken)


def pack_xgboost(
    data: bytes, *, features: Sequence[str] = (), classes: Any = None, complete: bool | None = None
) -> bytes:
    """Pack an XGBoost file, JSON or UBJSON, up to its best iteration if it was trained with early stopping.

    Its trees do not show whether values were missing in training: it is `complete` unless told otherwise.

    Raises:
        InvalidArtifact: it is none, or it has what cannot be packed.
    """
    return _pack_xgboost(data, _Taken(_names(features), complete=complete), classes)


def pack_lightgbm(
    text: str, *, features: Sequence[str] = (), classes: Any = None, complete: bool | None = None
) -> bytes:
    """Pack LightGBM's model file, with all trees in it; it is `complete` as `pack_forest` says.

    Raises:
        InvalidArtifact: it is none, or it has what cannot be packed.
    """
    return _pack_lightgbm(text, _Taken(_names(features), complete=complete), classes)


def _pack_xgboost_object(model: Any, taken: _Taken) -> bytes:
    booster = model
    if hasattr(model, "get_booster"):
        missing = getattr(model, "missing", math.nan)
        if missing is not None and not math.isnan(missing):
            raise InvalidArtifact(
                f"an XGBoost model with missing={missing} cannot be packed: NaN alone is missing"
            )
        booster = model.get_booster()
    return _pack_xgboost(bytes(booster.save_raw("ubj")), taken, _classes(model))


def _pack_xgboost(data: bytes, taken: _Taken, classes: Any) -> bytes:
    found = xgboost_file.read(data)
    ensemble, task = found.ensemble, found.task
    if taken.columns is not None and taken.columns.is_sparse:
        # What a sparse matrix does not hold is missing to XGBoost.
        ensemble = replace(ensemble, zero_is_missing=range(ensemble.features))
    taken = replace(taken, names=taken.names or _own(found.names, taken), codes=found.codes, finite=True)
    is_probability = ensemble.transformation in {Transformation.SIGMOID, Transformation.HINGE}
    if task == xgboost_file.BINARY and is_probability and len(ensemble.base) == 1:
        return _pack(_paired(ensemble), taken, _or_counted(classes, 2))
    if task == xgboost_file.BINARY and is_probability and classes is not None:
        raise InvalidArtifact(
            "an XGBoost classifier of several labels a row has no one class to answer with: pack its booster "
            "(get_booster()), which gives the probability of each label"
        )
    if task == xgboost_file.MULTI_CLASS:
        return _pack(ensemble, taken, _or_counted(classes, len(ensemble.base)))
    return _pack(ensemble, taken, None)


def _pack_lightgbm(text: str, taken: _Taken, classes: Any) -> bytes:
    found = lightgbm_file.read(text)
    ensemble = found.ensemble
    taken = replace(taken, names=taken.names or _own(found.names, taken), codes=found.codes)
    if found.objective == "binary":
        return _pack(_paired(ensemble), taken, _or_counted(classes, 2))
    if found.objective in _CLASSIFIES:
        return _pack(ensemble, taken, _or_counted(classes, len(ensemble.base)))
    return _pack(ensemble, taken, None)


def _pack_scikit(model: Any, taken: _Taken) -> bytes:
    if getattr(model, "n_features_in_", None) is None:
        raise InvalidArtifact(f"this {type(model).__name__} is not fitted")
    is_sparse = taken.columns is not None and taken.columns.is_sparse
    taken = replace(
        taken,
        names=taken.names or _own(getattr(model, "feature_names_in_", ()), taken),
        codes=scikit.codes(model),
        bounded=scikit.categorical(model),
        accepts_missing=bool(model.__sklearn_tags__().input_tags.allow_nan) and not is_sparse,
        finite=not scikit.accepts_infinite(model),
    )
    ensemble = replace(scikit.read(model), has_seen_missing=scikit.has_seen_missing(model))
    return _pack(ensemble, taken, getattr(model, "classes_", None))


def _pack(ensemble: Ensemble, taken: _Taken, classes: Any) -> bytes:
    width = len(ensemble.base) + ensemble.is_pair
    if classes is None:
        outputs, sections = outcome.value(width)
    else:
        outputs, sections = outcome.classifier("probabilities", width, classes)
    section = encode(ensemble)
    columns = taken.columns
    if columns is None and (taken.codes or taken.bounded):
        columns = raw(ensemble.features)
    if columns is not None:
        for place, codes in taken.codes.items():
            columns = columns.encoded(place, codes)
        columns.policies.infinite.update(columns.columns[place].source for place in taken.bounded)
    return outcome.pack_numbers(
        FOREST,
        section,
        features=ensemble.features,
        names=taken.names,
        columns=columns,
        is_wide=ensemble.is_wide,
        accepts_missing=taken.accepts_missing,
        finite=taken.finite,
        complete=not ensemble.has_seen_missing if taken.complete is None else taken.complete,
        outputs=outputs,
        sections=sections,
    )


def _own(names: Sequence[str], taken: _Taken) -> list[str]:
    """A model's own names of its columns; behind a pipeline these are not the features'."""
    return [] if taken.columns is not None else _names(names)


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
