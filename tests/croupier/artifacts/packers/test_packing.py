from typing import Any

import numpy as np
import pytest
import xgboost

from croupier.artifacts.comparison import UNCHECKED
from croupier.artifacts.format import view
from croupier.artifacts.packers import pack, packing
from croupier.artifacts.packers.checks.check import Report

ROWS = np.random.default_rng(1).normal(size=(50, 2))
HOLES = np.where(ROWS < -1, np.nan, ROWS)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(packing, "check_object", lambda *_: Report(UNCHECKED, 0, 0.0))
    return xgboost.XGBRegressor(n_estimators=2, n_jobs=1).fit(ROWS, ROWS[:, 0])


def test_a_feature_may_be_left_out_where_values_are_known_to_be_missing(model: Any) -> None:
    assert view(pack(model).artifact).complete
    assert view(pack(model, ROWS).artifact).complete
    assert not view(pack(model, HOLES).artifact).complete
    assert not view(pack(model, complete=False).artifact).complete
    assert view(pack(model, HOLES, complete=True).artifact).complete


def test_it_says_why(model: Any) -> None:
    found = pack(model)
    assert (found.engine, found.why) == ("forest", "trees of xgboost are scored natively")
