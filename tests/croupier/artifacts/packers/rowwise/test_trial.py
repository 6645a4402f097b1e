"""A trial beside the analysis: what made rows show of graphs, and that neither contradicts the other."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from support.rowwise_graphs import DEPENDENT_GRAPHS, X, Y, model, node, why

from croupier.artifacts.packers.rowwise.analysis import check_independent
from croupier.artifacts.packers.rowwise.trial import check_agrees
from croupier.artifacts.packers.rowwise.values import Dependent

RANDOM_GRAPHS = 60
SHOWN = [
    "ReduceMean",
    "Softmax",
    "each with each",
    "Gather",
    "CumSum",
    "the number of rows",
    "RandomNormalLike",
    "Concat",
    "another for each place",
]


@pytest.mark.parametrize("name", SHOWN)
def test_a_trial_shows_rows_that_are_not(name: str) -> None:
    made = DEPENDENT_GRAPHS[name]
    with pytest.raises(Dependent, match="trial"):
        check_agrees(made, made.SerializeToString(), X, Y)


def test_a_trial_alone_would_believe_what_its_rows_do_not_show() -> None:
    made = DEPENDENT_GRAPHS["hardly"]
    check_agrees(made, made.SerializeToString(), X, Y)
    assert why(made) == "ArgMax 'm' works along axis 0, the batch"


def test_a_model_that_takes_no_made_row_is_not_tried() -> None:
    made = model(
        node("Cast", ["x"], ["a"], to=TensorProto.INT64),
        node("Add", ["a", "far"], ["b"]),
        node("Gather", ["row", "b"], ["y"]),
    )
    made.graph.initializer.append(numpy_helper.from_array(np.array([10**6]), "far"))
    assert why(made) == "the trial found no rows that the model takes"


def trial_of(made: Any) -> str:
    try:
        check_agrees(made, made.SerializeToString(), X, Y)
    except Dependent as error:
        return str(error)
    return ""


def show(made: Any) -> str:
    return str(onnx.printer.to_text(made))


# What random graphs are made of: each takes (N, 3) and gives it, or something that the next one may fail on.
STEPS = [
    lambda a, y: [node("Relu", [a], [y])],
    lambda a, y: [node("Add", [a, "row"], [y])],
    lambda a, y: [node("Add", [a, "two_rows"], [y])],
    lambda a, y: [node("MatMul", [a, "w"], [y])],
    lambda a, y: [node("MatMul", ["w", a], [y])],
    lambda a, y: [node("Transpose", [a], [y])],
    lambda a, y: [node("Softmax", [a], [y], axis=0)],
    lambda a, y: [node("Softmax", [a], [y], axis=1)],
    lambda a, y: [node("ReduceMean", [a], [y + "m"], axes=[0]), node("Sub", [a, y + "m"], [y])],
    lambda a, y: [node("ReduceMax", [a], [y + "m"], axes=[1]), node("Sub", [a, y + "m"], [y])],
    lambda a, y: [node("ReduceMean", [a], [y], axes=[0], keepdims=0)],
    lambda a, y: [node("Add", [a, "stack"], [y])],
    lambda a, y: [node("Reshape", [a, "rows_of_three"], [y])],
    lambda a, y: [node("Reshape", [a, "three_lines"], [y])],
    lambda a, y: [node("Reshape", [a, "as_is"], [y])],
    lambda a, y: [node("Flatten", [a], [y])],
    lambda a, y: [node("CumSum", [a, "scalar_zero"], [y])],
    lambda a, y: [node("CumSum", [a, "minus_one"], [y])],
    lambda a, y: [
        node("Concat", [a, a], [y + "c"], axis=1),
        node("Slice", [y + "c", "zero", "three", "one"], [y]),
    ],
    lambda a, y: [node("Concat", [a, a], [y], axis=0)],
    lambda a, y: [node("Slice", [a, "zero", "one", "zero"], [y + "s"]), node("Add", [a, y + "s"], [y])],
    lambda a, y: [
        node("Shape", [a], [y + "s"]),
        node("Expand", ["flat", y + "s"], [y + "e"]),
        node("Mul", [a, y + "e"], [y]),
    ],
    lambda a, y: [node("Unsqueeze", [a, "one"], [y])],
    lambda a, y: [node("Squeeze", [a, "one"], [y])],
    lambda a, y: [node("TopK", [a, "three"], [y, y + "i"])],
    lambda a, y: [node("Add", [a, "x"], [y])],
]


def test_what_is_said_to_be_independent_never_shows_otherwise() -> None:
    rng = random.Random(1)
    said = 0
    for _ in range(RANDOM_GRAPHS):
        names = ["x", *(f"t{place}" for place in range(rng.randint(0, 4))), "y"]
        steps = [each for given, made in pairwise(names) for each in rng.choice(STEPS)(given, made)]
        made = model(*steps, shape=None)
        try:
            check_independent(made, X, Y)
        except Dependent:
            continue
        said += 1
        differs = trial_of(made)
        # Shapes that do not fit each other fail for every number of rows.
        assert differs == "" or "found no rows" in differs or "could not load" in differs, show(made)
    assert said > RANDOM_GRAPHS / 10
