"""What is no trained model of scikit-learn's is told in plain words."""

from typing import Any

import lightgbm
import pytest
import xgboost
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from support.forests import data

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.fitted import fitted_width

X = data(1, rows=30)


class Foreign:
    __module__ = "catboost.core"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Ridge(), "this Ridge is not fitted"),
        (make_pipeline(None, Ridge()), "this Pipeline is not fitted"),
        (xgboost.XGBRegressor(), "a model of xgboost, not of scikit-learn: pack it with pack_forest"),
        (lightgbm.LGBMRegressor(), "a model of lightgbm, not of scikit-learn: pack it with pack_forest"),
        (Foreign(), "a Foreign is a model of catboost.*save_model"),
        (7, "a int is no model"),
    ],
)
def test_what_is_not_packed_is_called_what_it_is(model: Any, said: str) -> None:
    with pytest.raises(InvalidArtifact, match=said):
        fitted_width(model)


def test_a_pipeline_that_begins_with_nothing_has_the_width_of_its_next_step() -> None:
    assert fitted_width(make_pipeline("passthrough", Ridge()).fit(X, X[:, 0])) == 6
