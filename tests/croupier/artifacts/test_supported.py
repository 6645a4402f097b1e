"""docs/artifacts.md, the packers, the parity tests and the libraries agree on what can be packed."""

import re
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
import pytest
import treelite
import xgboost
from sklearn.utils import all_estimators
from support.forests import data, scored
from treelite import model_builder as builder

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers import linear_models, outcome
from croupier.artifacts.packers.forest import lightgbm_file, pack_forest, scikit, xgboost_file
from croupier.artifacts.packers.forest.layout import encode
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


# Every transformation that treelite names, against treelite's own reference.

SEVERAL = {"identity_multiclass", "softmax", "multiclass_ova"}
PARAMETERS = {"sigmoid": {"sigmoid_alpha": 0.7}, "exponential_standard_ratio": {"ratio_c": 2.5}}


def stump(postprocessor: str, sums: int) -> treelite.Model:
    """For each sum one split of the first feature."""
    metadata = builder.Metadata(
        num_feature=1,
        task_type="kRegressor" if sums == 1 else "kMultiClf",
        average_tree_output=False,
        num_target=1,
        num_class=[sums],
        leaf_vector_shape=(1, 1),
    )
    made = builder.ModelBuilder(
        threshold_type="float32",
        leaf_output_type="float32",
        metadata=metadata,
        tree_annotation=builder.TreeAnnotation(
            num_tree=sums, target_id=[0] * sums, class_id=list(range(sums))
        ),
        postprocessor=builder.PostProcessorFunc(name=postprocessor, **PARAMETERS.get(postprocessor, {})),
        base_scores=[0.25] * sums,
    )
    for place in range(sums):
        made.start_tree()
        made.start_node(0)
        made.numerical_test(
            0, float(place) / 2, default_left=True, opname="<", left_child_key=1, right_child_key=2
        )
        made.end_node()
        for key, leaf in ((1, -1.5 + place), (2, 0.75)):
            made.start_node(key)
            made.leaf(leaf)
            made.end_node()
        made.end_tree()
    return made.commit()


@pytest.mark.parametrize("name", xgboost_file._TRANSFORMATIONS)
def test_transformations_are_treelites(name: str) -> None:
    sums = 3 if name in SEVERAL else 1
    model = stump(name, sums)
    ensemble, _ = xgboost_file._ensemble(model)
    outputs, sections = outcome.value(sums)
    artifact = outcome.pack_numbers(
        "forest",
        encode(ensemble),
        features=1,
        names=(),
        accepts_missing=True,
        outputs=outputs,
        sections=sections,
    )
    rows = np.concatenate([data(1, rows=50, features=1), [[0.0], [0.5], [1.0], [np.nan]]]).astype(np.float32)
    expected = treelite.gtil.predict(model, rows).reshape(len(rows), sums)
    np.testing.assert_allclose(scored(artifact, rows)["value"], expected, rtol=1e-6, atol=1e-7)
