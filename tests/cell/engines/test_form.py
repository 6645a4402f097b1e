"""Which signatures are asked plainly, and that rows are filled in just where the general way takes them."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cells import signature_of
from support.scoring import MODELS, generally, natively, scorer_of, tensor_request

from cell.engines.form import form_of
from croupier.artifacts.format import Tensor
from protos.prediction.v1 import prediction_pb2 as pb

SCORES, LABEL = Tensor("scores", "FP32", (-1, 3)), Tensor("label", "INT64", (-1,))
AGE, CITY = Tensor("age", "FP64", (-1, 1)), Tensor("city", "BYTES", (-1, 1))


def wide(features: int, datatype: str = "FP32") -> Tensor:
    return Tensor("input", datatype, (-1, features))


@pytest.mark.parametrize(
    ("inputs", "outputs", "shape"),
    [
        ([wide(2)], [SCORES], (2, 3, False)),
        ([wide(2, "FP64")], [SCORES, LABEL], (2, 3, True)),
        ([wide(2)], [LABEL, Tensor("one", "FP32", (-1, 1))], (2, 1, True)),
        ([wide(2)], [SCORES, Tensor("same", "FP32", (-1, 3))], (2, 3, False)),
        ([wide(4096)], [SCORES], (4096, 3, False)),
        ([AGE, CITY], [SCORES], (2, 3, False)),
        ([CITY], [SCORES], (1, 3, False)),
    ],
)
def test_native_models_are_asked_plainly(
    inputs: Sequence[Tensor], outputs: Sequence[Tensor], shape: tuple[int, int, bool]
) -> None:
    form = form_of(signature_of(inputs=inputs, outputs=outputs))
    assert form is not None
    assert (form.features, form.columns, form.has_label) == shape
    assert form.is_wide is False


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ([wide(4097)], [SCORES]),
        # No artifact says so; with a form, room for less than no values would be booked.
        ([wide(-1)], [SCORES]),
        ([wide(-1, "FP64")], [SCORES, LABEL]),
        ([wide(2, "INT64")], [SCORES]),
        ([Tensor("input", "FP32", (-1,))], [SCORES]),
        ([Tensor("input", "FP32", (-1, 2, 2))], [SCORES]),
        ([AGE, wide(1, "FP32")], [SCORES]),
        ([AGE, wide(2, "FP64")], [SCORES]),
        ([Tensor("city", "BYTES", (-1, 2))], [SCORES]),
        ([wide(2)], [LABEL]),
        ([wide(2)], [SCORES, Tensor("label", "BYTES", (-1,))]),
        ([wide(2)], [SCORES, Tensor("label", "INT64", (-1, 1))]),
        ([wide(2)], [Tensor("scores", "FP64", (-1, 3))]),
        ([wide(2)], [Tensor("scores", "FP32", (-1,))]),
        ([wide(2)], [Tensor("scores", "FP32", (-1, 2, 2))]),
        ([wide(2)], [Tensor("scores", "FP32", (-1, -1))]),
        ([wide(2)], [SCORES, Tensor("others", "FP32", (-1, 2))]),
    ],
)
def test_other_signatures_go_the_general_way(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    assert form_of(signature_of(inputs=inputs, outputs=outputs)) is None


_LARGEST = float(np.finfo(np.float32).max)
_BEYOND = math.nextafter(_LARGEST, math.inf), 1e300, -sys.float_info.max
_BETWEEN = 0.1, 16_777_217.0, 1e-45, 1e-320
VALUES = st.sampled_from(
    [0.0, -0.0, math.nan, -math.nan, math.inf, -math.inf, _LARGEST, -_LARGEST, *_BEYOND, *_BETWEEN]
)
# Mostly what any model takes, so that a row is not always refused.
NUMBERS = st.one_of(st.integers(-9, 9).map(float), st.integers(-9, 9).map(float), VALUES)


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, Any]:
    name = draw(st.sampled_from([each for each in MODELS if each != "texts"]))
    width = max(1, MODELS[name].features + draw(st.sampled_from([0] * 9 + [1, -1])))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    rows = np.array(draw(st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=1, max_size=3)))
    with np.errstate(over="ignore"):
        return name, tensor_request(name, rows.astype(dtype), raw=draw(st.booleans()))


@settings(max_examples=250)
@given(tensors())
def test_tensors_are_filled_in_just_where_the_general_way_takes_them(asked: tuple[str, Any]) -> None:
    np.testing.assert_equal(natively(*asked), generally(*asked))


@st.composite
def items(draw: st.DrawFn) -> tuple[str, pb.Item]:
    name = draw(st.sampled_from([*MODELS]))
    model = MODELS[name]
    item = pb.Item(artifact=model.digest, version=draw(st.integers(0, 300)))
    form = draw(st.sampled_from(["values", "doubles", "features", "features"]))
    if form != "features":
        found = draw(st.lists(NUMBERS, min_size=model.features, max_size=model.features))
        with np.errstate(over="ignore"):
            getattr(item.row, form).extend(np.float32(found).tolist() if form == "values" else found)
        return name, item
    names = draw(st.permutations(model.names or [str(place) for place in range(model.features)]))
    names = [*names[: draw(st.sampled_from([len(names)] * 4 + [len(names) - 1]))]]
    names += draw(st.sampled_from([[]] * 6 + [names[:1], ["f"], ["f00"]]))
    item.features.SetInParent()
    for each in names:
        feature = item.features.features.add(name=each)
        if draw(st.sampled_from([each in model.texts] * 9 + [each not in model.texts])):
            feature.text = draw(st.sampled_from(["", "a", "abc", "Köln", "red", "zzz", "x" * 300]))
        else:
            feature.number = draw(NUMBERS)
    return name, item


def is_left(name: str, item: pb.Item) -> bool:
    """Names that are not ASCII are not read natively, nor texts of the kind that no dictionary has."""
    named = item.features.features
    return bool(named) and (name == "accents" or any(not each.text.isascii() for each in named))


@settings(max_examples=250)
@given(items())
def test_items_are_filled_in_just_where_the_general_way_takes_them(asked: tuple[str, pb.Item]) -> None:
    found = natively(*asked)
    if found is not None or not is_left(*asked):
        np.testing.assert_equal(found, generally(*asked))


def test_a_name_or_a_text_that_is_not_ascii_may_be_left_and_is_never_another() -> None:
    item = pb.Item(artifact=MODELS["accents"].digest)
    for place, name in enumerate(MODELS["accents"].names):
        item.features.features.add(name=name, number=place)
    assert natively("accents", item) is None
    assert generally("accents", item) is not None


def test_the_forms_of_equal_signatures_are_one() -> None:
    assert scorer_of("one").signature.form is scorer_of("one").signature.form
    assert scorer_of("one").signature.form is not scorer_of("two").signature.form
