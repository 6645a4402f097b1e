"""Packs scikit-learn's linear models, and pipelines that end with one, for the `linear` engine.

The steps before the model are a transform in front of it, in scikit-learn's own order of operations. They are
not folded into its coefficients: that would round otherwise, and could not impute.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from croupier.artifacts.engines import LINEAR
from croupier.artifacts.format import MAX_FEATURES, InvalidArtifact
from croupier.artifacts.packers import outcome
from croupier.artifacts.packers.linear_models import Final, read_final
from croupier.artifacts.packers.transform import pipeline

VERSION = 1
_HEADER = struct.Struct("<HBB 5I d")
_PAIR = 1
_MAX_SUMS = 0xFFFF


def pack_linear(model: Any, *, features: Sequence[str] = ()) -> bytes:
    """Pack a fitted linear model of scikit-learn, or a pipeline that ends with one.

    A regressor gives `value` (-1, targets). A classifier gives `label`, and `probabilities` (-1, classes) if
    it has `predict_proba`, else `decision`: (-1, classes), or (-1, 1) of two classes.

    Raises:
        InvalidArtifact: a step or a setting of one that cannot be packed, by name.
    """
    steps, estimator = pipeline.parts(model)
    width = getattr(estimator, "n_features_in_", None)
    if width is None:
        raise InvalidArtifact(f"this {type(estimator).__name__} is not fitted")
    if not 1 <= width <= MAX_FEATURES:
        raise InvalidArtifact(f"a model of {width} columns: there may be 1 to {MAX_FEATURES}")
    final = read_final(estimator)
    if final.coefficients.shape[1] != width:
        raise InvalidArtifact(f"{final.coefficients.shape[1]} coefficients for {width} columns")
    outputs, sections = _outputs(final)
    return outcome.pack_numbers(
        LINEAR,
        _encode(final),
        features=width,
        names=[str(name) for name in features] or pipeline.names(model, steps),
        columns=pipeline.seen(steps, estimator),
        is_wide=True,
        accepts_missing=False,
        finite=True,
        outputs=outputs,
        sections=sections,
    )


def _outputs(final: Final) -> tuple[list[Any], dict[str, bytes]]:
    width = len(final.intercept) + final.is_pair
    if final.classes is None:
        return outcome.value(width)
    return outcome.classifier(final.scores, width, final.classes)


def _encode(final: Final) -> bytes:
    """The section's bytes. Categories are a transform's: of the section's own there are none any more."""
    sums, features = final.coefficients.shape
    if not 1 <= sums <= _MAX_SUMS:
        raise InvalidArtifact(f"a linear model of {sums} outputs: there may be 1 to {_MAX_SUMS}")
    header = _HEADER.pack(
        VERSION, final.transformation, 0, _PAIR * final.is_pair, features, sums, 0, 0, final.parameter
    )
    arrays = [
        # A zero has no sign here.
        np.asarray(final.intercept + 0.0, "<f8"),
        np.asarray(final.coefficients.T + 0.0, "<f8"),
        np.array([0, 0], "<u4"),
    ]
    return b"".join([header, *(array.tobytes() for array in arrays)])
