"""docs/artifacts.md, the packers, the parity tests and the libraries agree on what can be packed."""

import re
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
import pytest
import xgboost
from sklearn.utils import all_estimators

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers import linear_models
from croupier.artifacts.packers.forest import lightgbm_file, pack_forest, scikit
from croupier.artifacts.packers.linear import pack_linear
from croupier.artifacts.packers.transform.scikit import STEPS

TESTS = Path(__file__).parent / "packers"
PAGE = Path(__file__).parents[3] / "docs" / "artifacts.md"
LINEAR = (
    linear_models._REGRESSORS
    | linear_models._GENERALIZED
    | linear_models._LOGISTIC
    | linear_models._DECIDING
    | {"OneVsRestClassifier", "SGDClassifier"}
)


def tried(path: str, name: str = "CASES") -> Any:
    """What the tests in `path` go through."""
    return run_path(str(TESTS / path))[name]


def documented(row: str) -> set[str]:
    """The names in the second cell of the table's row that begins so."""
    (cell,) = re.findall(rf"^\| {re.escape(row)}[^|]*\| ([^|]*) \|", PAGE.read_text(), re.MULTILINE)
    return set(re.findall("`([^`]+)`", cell))


def trained(cases: list[tuple[Any, Any]]) -> set[str]:
    return {type(model).__name__ for model, _ in cases}


def test_xgboosts_objectives() -> None:
    with pytest.raises(xgboost.core.XGBoostError) as caught:
        xgboost.train({"objective": "no:such"}, xgboost.DMatrix(np.zeros((2, 1)), np.zeros(2)), 1)
    offered = set(re.findall(r"Objective candidate: (\S+)", str(caught.value)))
    # multi:softmax has a test of its own.
    tested = {objective for objective, _, _ in tried("forest/test_xgboost_file.py")} | {"multi:softmax"}
    assert offered == tested == documented("XGBoost objectives")


def test_lightgbms_objectives() -> None:
    # The aliases are in files of older versions.
    read = lightgbm_file._SUMS | set(lightgbm_file._TRANSFORMATIONS) - {"xentropy", "xentlambda"} - {"custom"}
    tested = {objective for objective, _, _ in tried("forest/test_lightgbm_file.py")}
    assert read - {"custom"} == tested == documented("LightGBM objectives")
    boosting = {options.get("boosting", "gbdt") for _, _, options in tried("forest/test_lightgbm_file.py")}
    assert boosting == documented("LightGBM boosting")


def test_scikit_learns_trees() -> None:
    tested = trained(tried("forest/test_scikit.py", "FINITE")) | trained(
        tried("forest/test_scikit.py", "HISTOGRAMS")
    )
    assert scikit.SUPPORTED == tested == documented("scikit-learn's trees")


def test_scikit_learns_linear_models() -> None:
    assert trained(tried("test_linear.py")) == LINEAR == documented("scikit-learn's linear models")


def test_steps_before_them() -> None:
    assert set(STEPS) - {"Pipeline"} == documented("scikit-learn's steps before any of these")


def test_every_other_estimator_of_scikit_learn_is_refused_by_its_name() -> None:
    names = {name for name, _ in all_estimators()}
    assert names >= scikit.SUPPORTED | LINEAR
    for name in sorted(names):
        # By its name is how a packer knows it; what is not fitted would be refused for that.
        model = type(name, (), {"n_features_in_": 3})()
        for supported, pack in ((scikit.SUPPORTED, pack_forest), (LINEAR, pack_linear)):
            if name not in supported:
                with pytest.raises(InvalidArtifact, match=name):
                    pack(model)
