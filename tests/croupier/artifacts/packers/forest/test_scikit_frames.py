"""Histogram gradient boosting on a frame's categories takes these, as scikit-learn encodes them."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import make_pipeline
from support.frames import FRAME, LABELS, SIZES, STORES, TOWNS, UNSEEN
from support.trials import asked
from threadpoolctl import threadpool_limits

from croupier.artifacts.packers.forest import pack_forest

CLOSE = {"rtol": 1e-6, "atol": 1e-6}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Where others compute, too, threads of OpenMP wait for each other most of the time."""
    with threadpool_limits(1):
        yield


def test_histogram_gradient_boosting() -> None:
    model = HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=3).fit(FRAME, LABELS)
    artifact = pack_forest(model)
    for rows in (FRAME, UNSEEN):
        found = asked(model, artifact, rows)
        np.testing.assert_allclose(found["value"][:, 0], model.predict(rows), **CLOSE)


def test_histogram_gradient_boosting_on_objects_with_none() -> None:
    rows = np.array(
        [[each, size] for each, size in zip(np.where(STORES > 400, None, TOWNS), SIZES, strict=True)]
    )
    model = HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=3, categorical_features=[0, 1])
    model.fit(pd.DataFrame(rows, columns=["0", "1"]), LABELS)
    frame = pd.DataFrame(rows, columns=["0", "1"])
    found = asked(model, pack_forest(model), frame)
    np.testing.assert_allclose(found["value"][:, 0], model.predict(frame), **CLOSE)


def test_categories_behind_a_pipeline() -> None:
    """What the steps pass on as a frame, the estimator encodes."""
    frame = FRAME[["z", "store"]]
    model = make_pipeline("passthrough", HistGradientBoostingRegressor(max_iter=2)).fit(frame, LABELS)
    found = asked(model, pack_forest(model), frame.astype(np.float64))
    np.testing.assert_allclose(found["value"][:, 0], model.predict(frame), **CLOSE)
