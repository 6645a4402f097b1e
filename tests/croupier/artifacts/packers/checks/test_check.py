"""A conversion that was tampered with is found: a threshold, leaf, coefficient or class; and known faults."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from onnx import load_model_from_string, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_diabetes, load_wine
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from support.trials import compared
from threadpoolctl import threadpool_limits

from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers.checks.compare import DiffersFromLibrary
from croupier.artifacts.packers.forest import pack_forest, pack_lightgbm, pack_xgboost
from croupier.artifacts.packers.linear import pack_linear
from croupier.artifacts.packers.onnx import pack_onnx, pack_sklearn
from croupier.artifacts.repack import with_section

WINE, DIABETES = load_wine(), load_diabetes()
RANDOM = np.random.default_rng(1)
NODE = np.dtype([("value", "<f4"), ("feature", "<u2"), ("left", "<u2")])
QUIET = {"verbose": -1, "num_threads": 1}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def forest() -> Any:
    return xgboost.XGBRegressor(n_estimators=8, max_depth=4, n_jobs=1).fit(DIABETES.data, DIABETES.target)


def wide() -> Any:
    return HistGradientBoostingRegressor(max_iter=3, max_leaf_nodes=12, random_state=1).fit(
        DIABETES.data, DIABETES.target
    )


def classifier() -> Any:
    names = np.array(["a", "b", "c"])[WINE.target]
    return RandomForestClassifier(5, random_state=1).fit(WINE.data, names)


def linear() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(WINE.data, WINE.target)


def nodes_at(section: bytes) -> int:
    """Where the nodes of a forest without categories and vectors begin."""
    sums, trees = np.frombuffer(section, "<u4", 2, 12).tolist()
    groups = -(-(64 + 8 * sums + 4 * (trees + 1)) // 8) * 8
    return -(-(groups + 4 * (sums + 1)) // 8) * 8


def edited(artifact: bytes, name: str, change: Callable[[bytearray], None]) -> bytes:
    section = bytearray(view(artifact).section(name))
    change(section)
    return with_section(artifact, name, bytes(section))


def with_node(artifact: bytes, is_leaf: bool, change: Callable[[float], float]) -> bytes:
    """The artifact with the number of its last leaf, or of its last inner node, changed."""

    def at_last(section: bytearray) -> None:
        count = int(np.frombuffer(section, "<u4", 1, 20)[0])
        nodes = np.frombuffer(section, NODE, count, nodes_at(bytes(section)))
        place = np.flatnonzero((nodes["left"] == 0) == is_leaf)[-1]
        nodes["value"][place] = change(nodes["value"][place])

    return edited(artifact, "forest", at_last)


def differs(model: Any, artifact: bytes, **options: Any) -> str:
    with pytest.raises(DiffersFromLibrary) as caught:
        compared(model, artifact, **options)
    return caught.value.message


def test_a_threshold_that_is_one_step_off() -> None:
    model = forest()
    artifact = pack_forest(model)
    assert compared(model, artifact).checked.difference < 1e-6
    for towards in (np.inf, -np.inf):
        tampered = with_node(artifact, False, lambda value, to=towards: np.nextafter(value, np.float32(to)))
        assert "rows differ in 'value'" in differs(model, tampered, nodes=1_000)


def test_a_leaf_that_is_a_little_off() -> None:
    model = forest()
    tampered = with_node(pack_forest(model), True, lambda value: value * 1.001 + 0.01)
    assert "xgboost" in differs(model, tampered, nodes=1_000)


def test_a_threshold_that_was_narrowed() -> None:
    """What float64 has more than float32 is zeroed in the last split that has any."""
    model = wide()
    artifact = pack_forest(model)
    compared(model, artifact)

    def narrow(section: bytearray) -> None:
        nodes = int(np.frombuffer(section, "<u4", 1, 20)[0])
        begin = nodes_at(bytes(section)) + 8 * nodes
        trees = int(np.frombuffer(section, "<u4", 1, 16)[0])
        remainders = np.frombuffer(section, "<u4", (nodes - trees) // 2, begin)
        remainders[np.flatnonzero(remainders)[-1]] = 0

    assert "float64: " in differs(model, edited(artifact, "forest", narrow), nodes=1_000)


def test_a_coefficient_that_is_a_little_off() -> None:
    model = linear()

    def change(section: bytearray) -> None:
        # The last feature's for the second class.
        np.frombuffer(section, "<f8", 1, 32 + 8 * (3 + 3 * 12 + 1))[:] *= 1 + 1e-4

    artifact = pack_linear(model)
    compared(model, artifact)
    assert "'probabilities'" in differs(model, edited(artifact, "linear", change))


def test_classes_that_are_swapped() -> None:
    model = classifier()
    artifact = pack_forest(model)
    compared(model, artifact, WINE.data)
    message = differs(model, with_section(artifact, "classes", b"b\0a\0c"), sample=WINE.data)
    assert "rows differ in 'label'" in message


def test_a_category_that_is_lost() -> None:
    rows = RANDOM.choice([0.25, 1 / 3, 7.0], size=(60, 1))
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge()).fit(rows, rows[:, 0] ** 2)

    def lose(section: bytearray) -> None:
        np.frombuffer(section, "<f8", 1, 32 + 8 * (1 + 1 + 1))[:] = 0

    artifact = pack_linear(model)
    compared(model, artifact)
    differs(model, edited(artifact, "linear", lose))


def test_a_graph_with_another_weight() -> None:
    model = GaussianNB().fit(WINE.data, WINE.target)
    artifact = pack_sklearn(model)
    assert compared(model, artifact).checked.library == "sklearn"
    proto = load_model_from_string(bytes(view(artifact).section("model")))
    tensor = next(each for each in proto.graph.initializer if numpy_helper.to_array(each).size >= 13)
    moved = numpy_helper.to_array(tensor) * np.float32(1.01)
    tensor.CopyFrom(numpy_helper.from_array(moved, tensor.name))
    differs(model, pack_onnx(proto.SerializeToString()))


def test_an_imputers_indicator_that_is_lost_on_the_way_to_onnx() -> None:
    rows = WINE.data.copy()
    rows[RANDOM.random(rows.shape) < 0.2] = np.nan
    model = make_pipeline(SimpleImputer(add_indicator=True), LogisticRegression(max_iter=50))
    with warnings.catch_warnings(action="ignore"):
        model.fit(rows, WINE.target)
    kind = FloatTensorType([None, rows.shape[1]])
    proto = to_onnx(model, initial_types=[("input", kind)], options={"zipmap": False})
    differs(model, pack_onnx(proto.SerializeToString(), accepts_missing=True), sample=rows)


def test_rounds_after_the_best_one() -> None:
    stop = xgboost.callback.EarlyStopping(rounds=2)
    model = xgboost.XGBRegressor(n_estimators=60, learning_rate=0.9, n_jobs=1, callbacks=[stop])
    some, rest = slice(None, 200), slice(200, None)
    evaluated = [(DIABETES.data[rest], DIABETES.target[rest])]
    model.fit(DIABETES.data[some], DIABETES.target[some], eval_set=evaluated, verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    compared(model, pack_forest(model))
    whole = model.get_booster().copy()
    whole.set_attr(best_iteration=None)
    differs(model, pack_xgboost(bytes(whole.save_raw("ubj"))))


def test_trees_that_are_missing() -> None:
    booster = lightgbm.train(
        {"objective": "regression", **QUIET}, lightgbm.Dataset(DIABETES.data, DIABETES.target), 10
    )
    compared(booster, pack_forest(booster))
    differs(booster, pack_lightgbm(booster.model_to_string(num_iteration=9)))


def test_a_class_of_the_trainers_own_is_compared_by_what_it_answers() -> None:
    own = type("Ridge", (Ridge,), {})
    model = own().fit(DIABETES.data, DIABETES.target)
    assert compared(model, pack_linear(model)).checked.library == "sklearn"
    other = type("Ridge", (Ridge,), {"predict": lambda self, rows: Ridge.predict(self, rows) + 1})
    model = other().fit(DIABETES.data, DIABETES.target)
    differs(model, pack_linear(model))
    with pytest.raises(InvalidArtifact, match="a Nothing is of no library"):
        compared(type("Nothing", (), {})(), pack_linear(model))


def test_the_sample_is_compared_too() -> None:
    model = wide()
    report = compared(model, pack_forest(model), DIABETES.data)
    assert report.checked.sample == 2 * len(DIABETES.data)
    with pytest.raises(InvalidArtifact, match=r"shape \[442, 9\] for a model that takes \[-1, 10\]"):
        compared(model, pack_forest(model), DIABETES.data[:, :9])
    frame = load_diabetes(as_frame=True).data
    named = HistGradientBoostingRegressor(max_iter=3).fit(frame, DIABETES.target)
    assert compared(named, pack_forest(named), frame[frame.columns[::-1]]).checked.sample == 884
    with pytest.raises(InvalidArtifact, match="no column bmi"):
        compared(named, pack_forest(named), frame.drop(columns="bmi"))
