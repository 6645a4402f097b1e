"""What an XGBoost file says of itself: which rounds count, its names, and that it is whole."""

import json
from typing import Any

import numpy as np
import pytest
import xgboost
from support.forests import data, edges
from support.trials import answers

from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers.forest import pack_forest, pack_xgboost
from croupier.artifacts.packers.forest.xgboost_document import read

X = data(1)
Y = X[:, 0] + np.random.default_rng(2).normal(size=len(X))
CLASSES = np.digitize(Y, [-0.7, 0.7])
ROWS = edges(3, X, np.zeros(1), infinite=False)
CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def stopped(model: Any, label: Any = Y) -> Any:
    """Trained until it had long been getting worse."""
    model.fit(X[:300], label[:300], eval_set=[(X[300:], label[300:])], verbose=False)
    assert model.best_iteration < 59
    return model


def callback(**options: Any) -> list[Any]:
    return [xgboost.callback.EarlyStopping(rounds=4, **options)]


OPTIONS: dict[str, Any] = {"n_estimators": 60, "learning_rate": 0.6, "n_jobs": 1}
STOPPED: dict[str, Any] = {
    "argument": lambda: stopped(xgboost.XGBRegressor(**OPTIONS, early_stopping_rounds=4)),
    "callback": lambda: stopped(xgboost.XGBRegressor(**OPTIONS, callbacks=callback())),
    "save-best": lambda: stopped(xgboost.XGBRegressor(**OPTIONS, callbacks=callback(save_best=True))),
    "dart": lambda: stopped(
        xgboost.XGBRegressor(**OPTIONS, booster="dart", rate_drop=0.3, callbacks=callback())
    ),
    "parallel": lambda: stopped(
        xgboost.XGBRegressor(**OPTIONS, num_parallel_tree=3, subsample=0.5, callbacks=callback())
    ),
    "classes": lambda: stopped(
        xgboost.XGBClassifier(**OPTIONS, num_parallel_tree=2, callbacks=callback()), CLASSES
    ),
    "vectors": lambda: stopped(
        xgboost.XGBRegressor(
            **OPTIONS, multi_strategy="multi_output_tree", tree_method="hist", callbacks=callback()
        ),
        np.stack([Y, 2 - Y], axis=1),
    ),
}


def scores(model: Any, artifact: bytes) -> Any:
    return next(found for name, found in answers(model, artifact, ROWS).items() if name != "label").squeeze()


@pytest.mark.parametrize("way", STOPPED)
def test_the_models_own_best_iteration_decides_as_its_estimator_predicts(way: str) -> None:
    model = STOPPED[way]()
    predict = getattr(model, "predict_proba", model.predict)
    booster = model.get_booster()
    if way != "save-best":
        assert booster.num_boosted_rounds() > model.best_iteration + 1
    expected = predict(ROWS)
    for artifact in (
        pack_forest(model),
        pack_forest(booster),
        pack_xgboost(bytes(booster.save_raw("json"))),
        pack_xgboost(bytes(booster.save_raw("ubj"))),
    ):
        np.testing.assert_allclose(scores(model, artifact), expected, **CLOSE)


def test_a_reloaded_model_stays_stopped(tmp_path: Any) -> None:
    path = tmp_path / "model.ubj"
    stopped(xgboost.XGBRegressor(**OPTIONS, early_stopping_rounds=4)).save_model(path)
    model = xgboost.XGBRegressor()
    model.load_model(path)
    assert model.early_stopping_rounds is None
    np.testing.assert_allclose(scores(model, pack_forest(model)), model.predict(ROWS), **CLOSE)


def test_a_model_that_was_trained_on_keeps_its_best_iteration_as_in_xgboost() -> None:
    first = stopped(xgboost.XGBRegressor(**OPTIONS, early_stopping_rounds=4)).get_booster()
    model = xgboost.XGBRegressor(n_estimators=5, n_jobs=1).fit(X, Y, xgb_model=first)
    np.testing.assert_allclose(scores(model, pack_forest(model)), model.predict(ROWS), **CLOSE)


def test_a_cut_of_a_booster_has_no_best_iteration() -> None:
    booster = stopped(xgboost.XGBRegressor(**OPTIONS, early_stopping_rounds=4)).get_booster()[:5]
    expected = booster.predict(xgboost.DMatrix(ROWS))
    np.testing.assert_allclose(scores(booster, pack_forest(booster)), expected, **CLOSE)


def test_files_of_before_xgboost_2_do_not_list_their_rounds() -> None:
    model = STOPPED["classes"]()
    document = json.loads(model.get_booster().save_raw("json"))
    del document["learner"]["gradient_booster"]["model"]["iteration_indptr"]
    artifact = pack_xgboost(json.dumps(document).encode())
    np.testing.assert_allclose(scores(model, artifact), model.predict_proba(ROWS), **CLOSE)


WHOLE = xgboost.train(
    {"booster": "dart", "nthread": 1}, xgboost.DMatrix(X, Y, feature_names=list("abcdef")), 3
)


def changed(*path: str, to: Any) -> bytes:
    document = json.loads(WHOLE.save_raw("json"))
    held = document["learner"]
    for key in path[:-1]:
        held = held[key]
    held[path[-1]] = to
    return json.dumps(document).encode()


MODEL = ("gradient_booster", "gbtree", "model")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (changed(*MODEL, "gbtree_model_param", "num_trees", to="4"), "3 of trees where 4 are due"),
        (changed(*MODEL, "gbtree_model_param", "num_trees", to="x"), "damaged or cut off"),
        (changed(*MODEL, "tree_info", to=[0, 0]), "2 of tree_info where 3"),
        (changed(*MODEL, "tree_info", to=7), "damaged or cut off"),
        (changed(*MODEL, "trees", to=[]), "0 of trees where 3"),
        (changed("gradient_booster", "weight_drop", to=[1.0]), "1 of weight_drop where 3"),
        (changed(*MODEL, "iteration_indptr", to=[0, 1, 2]), "iteration_indptr"),
        (changed(*MODEL, "iteration_indptr", to=[0, 2, 1, 3]), "iteration_indptr"),
        (changed(*MODEL, "iteration_indptr", to=[]), "iteration_indptr"),
        (changed("attributes", to={"best_iteration": "3"}), "best_iteration is 3, and it has 3 rounds"),
        (changed("attributes", to={"best_iteration": "-1"}), "best_iteration is -1"),
        (changed("attributes", to={"best_iteration": "soon"}), "damaged or cut off"),
        (changed("gradient_booster", to={"name": "gblinear", "model": {}}), "gblinear has no trees"),
        (changed("gradient_booster", to={"name": "gbtree"}), "has no model"),
        (b'{"learner": []}', "damaged or cut off"),
        (b"[" * 100_000, "damaged or cut off"),
        (b'{"a":' * 100_000, "damaged or cut off"),
    ],
)
def test_counts_that_do_not_agree_are_refused(content: bytes, problem: str) -> None:
    with pytest.raises(InvalidArtifact, match=problem):
        read(content)


@pytest.mark.parametrize("form", ["json", "ubj"])
def test_a_file_that_was_cut_anywhere_is_refused(form: str) -> None:
    whole = bytes(WHOLE.save_raw(form))
    cuts = np.random.default_rng(1).choice(len(whole), 300, replace=False).tolist()
    for cut in [*range(40), *cuts, *range(len(whole) - 40, len(whole))]:
        with pytest.raises(InvalidArtifact):
            pack_xgboost(whole[:cut])


def test_a_feature_may_have_the_name_of_a_booster() -> None:
    names = ["old_gblinear_score", "gblinear", "c", "d", "e", "f"]
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(X, Y, feature_names=names), 2)
    for form in ("json", "ubj"):
        assert view(pack_xgboost(bytes(booster.save_raw(form)))).features == tuple(names)
