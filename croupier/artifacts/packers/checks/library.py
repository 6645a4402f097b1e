"""What a model's own library answers: objects in the process that trained them, files where they were read.

An output of the artifact is one method of an estimator: `label` is `predict`, `probabilities` is
`predict_proba`, `decision` is `decision_function`, `value` is `predict` (of an isolation forest the anomaly
score, `-score_samples`). Bare boosters have one `predict`, from which the outputs follow. An ONNX file's
library is ONNX Runtime, with its own defaults.
"""

from __future__ import annotations

import math
import warnings
from functools import cache
from importlib import metadata
from typing import Any, Protocol

import numpy as np

from croupier.artifacts.format import Artifact, InvalidArtifact, Tensor
from croupier.artifacts.packers.checks.frames import frame_of
from croupier.artifacts.packers.checks.transform_rows import has_transform
from croupier.artifacts.packers.files import FileKind
from croupier.artifacts.tables import Array, Table


class Library(Protocol):
    """One model in its own library, `name` of `version`."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def answer(self, table: Table) -> Table:
        """All outputs of the artifact for the rows of a table."""
        ...


def of_object(model: Any, artifact: Artifact) -> Library:
    """The library of a trained object."""
    name = _installed(type(model))
    if name == "xgboost" and type(model).__name__ == "Booster":
        return _XGBoost(model, artifact)
    if name == "lightgbm" and type(model).__name__ == "Booster":
        return _LightGBM(model, artifact)
    return _Estimator(name, model, artifact)


def _installed(kind: type) -> str:
    """The library of a class: what a trainer derived from a library's own is that library's."""
    for each in kind.__mro__:
        name = each.__module__.partition(".")[0]
        try:
            _version(name)
        except metadata.PackageNotFoundError:
            continue
        return name
    raise InvalidArtifact(f"a {kind.__name__} is of no library that is installed")


def of_file(data: bytes, kind: FileKind, artifact: Artifact) -> Library:
    """The library of a model's file, which reads it anew: to be called in a throwaway process.

    Raises:
        ImportError: the library is not installed.
        InvalidArtifact: no library reads such a file.
    """
    if kind is FileKind.XGBOOST:
        import xgboost

        return _XGBoost(xgboost.Booster(model_file=bytearray(data)), artifact)
    if kind is FileKind.LIGHTGBM:
        import lightgbm

        return _LightGBM(lightgbm.Booster(model_str=data.decode(errors="replace")), artifact)
    if kind is FileKind.ONNX:
        return OnnxRuntime(artifact)
    raise InvalidArtifact("a packed artifact has no library that it could be compared with")


@cache
def _version(name: str) -> str:
    """Of a library that is imported. All that is installed is looked through for it."""
    # Distributions may be called otherwise than what they install.
    owners = metadata.packages_distributions().get(name, [name])
    return metadata.version(owners[0])


class _Named:
    def __init__(self, name: str) -> None:
        self.name = name
        self.version = _version(name)


class _Estimator(_Named):
    """Anything with scikit-learn's methods."""

    def __init__(self, name: str, model: Any, artifact: Artifact) -> None:
        super().__init__(name)
        self._model = model
        self._artifact = artifact

    def answer(self, table: Table) -> Table:
        rows = frame_of(self._model, self._artifact, table)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {
                tensor.name: _shaped(tensor, self._output(tensor.name, rows))
                for tensor in self._artifact.outputs
            }

    def _output(self, name: str, rows: Any) -> Any:
        model = self._model
        if name == "label":
            return model.predict(rows)
        if name == "probabilities" and hasattr(model, "predict_proba"):
            return model.predict_proba(rows)
        if name in ("probabilities", "decision", "scores") and hasattr(model, "decision_function"):
            return model.decision_function(rows)
        if name == "value" and _is_isolation(model):
            return -model.score_samples(rows)
        if name in ("value", "variable") and hasattr(model, "predict"):
            return model.predict(rows)
        if name in ("variable", "scores") and hasattr(model, "transform"):
            return model.transform(rows)
        raise InvalidArtifact(
            f"the output {name!r} cannot be compared: a {type(model).__name__} has no method that gives it"
        )


def _is_isolation(model: Any) -> bool:
    final = model.steps[-1][1] if hasattr(model, "steps") else model
    return type(final).__name__ == "IsolationForest"


class _XGBoost(_Named):
    """A booster, with the rounds that its own `best_iteration` bounds, as XGBoost's estimators predict."""

    def __init__(self, booster: Any, artifact: Artifact) -> None:
        super().__init__("xgboost")
        self._booster = booster
        self._artifact = artifact
        best = booster.attr("best_iteration")
        self._range = (0, int(best) + 1) if best is not None else (0, 0)

    def answer(self, table: Table) -> Table:
        import xgboost

        types = self._booster.feature_types
        names = self._booster.feature_names
        if has_transform(self._artifact):
            # Categories of a frame: theirs are the feature's types.
            rows = xgboost.DMatrix(
                frame_of(self._booster, self._artifact, table, names or ()), enable_categorical=True
            )
        else:
            is_categorical = bool(types) and "c" in types
            rows = xgboost.DMatrix(
                _only(table),
                None,
                feature_names=names,
                feature_types=types,
                enable_categorical=is_categorical,
            )
        labelled = any(tensor.name == "label" for tensor in self._artifact.outputs)
        several = labelled and self._artifact.outputs[-1].shape[1] > 2
        # A model that gives classes only has sums of these nevertheless.
        margins = several and str(self._booster.save_config()).find('"multi:softmax"') >= 0
        found = self._booster.predict(rows, iteration_range=self._range, output_margin=margins)
        return _booster_outputs(self._artifact, _softmax(found) if margins else found)


class _LightGBM(_Named):
    """A booster; `predict` goes by its best iteration."""

    def __init__(self, booster: Any, artifact: Artifact) -> None:
        super().__init__("lightgbm")
        self._booster = booster
        self._artifact = artifact

    def answer(self, table: Table) -> Table:
        # With categories of a frame it takes frames only.
        names = self._booster.feature_name() if self._booster.pandas_categorical else None
        rows = frame_of(self._booster, self._artifact, table, names)
        return _booster_outputs(self._artifact, self._booster.predict(rows, num_threads=1))


class OnnxRuntime(_Named):
    """An ONNX graph as ONNX Runtime runs it with all that it does by default."""

    def __init__(self, artifact: Artifact) -> None:
        super().__init__("onnxruntime")
        import onnxruntime

        self._names = [tensor.name for tensor in artifact.outputs]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(
            bytes(artifact.section("model")), options, providers=["CPUExecutionProvider"]
        )

    def answer(self, table: Table) -> Table:
        return dict(zip(self._names, self._session.run(self._names, dict(table)), strict=True))


def _booster_outputs(artifact: Artifact, found: Array) -> Table:
    """A booster's one answer as the outputs of the artifact: of two classes it is the second one's share."""
    last = artifact.outputs[-1]
    if artifact.outputs[0].name != "label":
        return {last.name: _shaped(last, found)}
    rows = np.asarray(found, np.float64).reshape(len(found), -1)
    rows = np.hstack([1 - rows, rows]) if rows.shape[1] == 1 else rows
    # Of equal shares a single sum, which is 0, gives the first class.
    return {"label": rows.argmax(axis=1).astype(np.int64), last.name: rows}


def _shaped(tensor: Tensor, found: Any) -> Array:
    """As the artifact has it: labels flat and as whole numbers or texts, numbers with a column for each."""
    array = np.asarray(found)
    if tensor.datatype == "BYTES":
        return np.array([str(text) for text in array.ravel().tolist()], np.object_)
    if tensor.name == "label" or tensor.datatype == "INT64":
        return _whole(array)
    width = math.prod(tensor.shape[1:]) if all(size > 0 for size in tensor.shape) else -1
    return array.astype(np.float64).reshape(len(array), width) if len(tensor.shape) > 1 else array


def _whole(array: Array) -> Array:
    """Raises InvalidArtifact: what int64 cannot hold, and would make another number of without a word."""
    with np.errstate(invalid="ignore"):
        found = array.astype(np.int64)
    is_lost = found < 0 if array.dtype.kind == "u" else found != array
    if is_lost.any():
        raise InvalidArtifact(f"the library's answer {array[is_lost][0]} is no whole number of 64 bits")
    return found


def _softmax(margins: Array) -> Array:
    wide = margins.astype(np.float64)
    powers = np.exp(wide - wide.max(axis=1, keepdims=True))
    found: Array = powers / powers.sum(axis=1, keepdims=True)
    return found


def _only(table: Table) -> Array:
    (rows,) = table.values()
    return rows
