"""XGBoost models trained on a frame's categories take these; what XGBoost itself cut or lost is refused."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from support.frames import ASCII, FRAME, LABELS, random
from support.trials import asked
from threadpoolctl import threadpool_limits

from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers.forest import pack_forest, pack_xgboost
from croupier.errors import InvalidRequest

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
XGBOOST: dict[str, Any] = {"n_estimators": 8, "n_jobs": 1, "enable_categorical": True}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Where others compute, too, threads of OpenMP wait for each other most of the time."""
    with threadpool_limits(1):
        yield


@pytest.mark.parametrize("form", ["json", "ubj"])
def test_xgboost(form: str) -> None:
    frame = FRAME.drop(columns=["size", "open"]).assign(town=ASCII)
    model = xgboost.XGBRegressor(**XGBOOST).fit(frame, LABELS)
    artifact = pack_xgboost(bytes(model.get_booster().save_raw(form)))
    assert artifact == pack_forest(model)
    assert {tensor.name: tensor.datatype for tensor in view(artifact).inputs} == {
        "z": "FP64",
        "store": "FP64",
        "town": "BYTES",
        "count": "FP64",
    }
    found = asked(model, artifact, frame)
    np.testing.assert_allclose(found["value"][:, 0], model.predict(frame), **CLOSE)
    for column, category, says in (("store", 2000, "'store' .* 2000"), ("town", "Ulm", "'town' .* 'Ulm'")):
        row = frame[:1].assign(**{column: pd.Categorical([category])})
        with pytest.raises(xgboost.core.XGBoostError, match="not in the training set"):
            model.predict(row)
        with pytest.raises(InvalidRequest, match=says):
            asked(model, artifact, row)
    # XGBoost 3.2 takes one that is not greater than all for the next one in their order.
    row = frame[:1].assign(store=pd.Categorical([206]))
    assert model.predict(row) == model.predict(row.assign(store=pd.Categorical([310])))
    with pytest.raises(InvalidRequest, match=r"'store' .* 206"):
        asked(model, artifact, row)


def test_xgboost_with_few_categories_in_one_column_and_several_trees_by_partition() -> None:
    frame = pd.DataFrame({"zip": pd.Categorical(random.integers(0, 90, 600) * 1111 + 10_000)})
    model = xgboost.XGBClassifier(**XGBOOST, max_cat_to_onehot=2).fit(frame, LABELS > 0)
    found = asked(model, pack_forest(model), frame.astype(np.float64))
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(frame), **CLOSE)


@pytest.mark.parametrize("towns", [["Köln", "Oslo"], ["äb", "c"], ["Oslo", "xß"]])
def test_xgboost_keeps_pieces_of_texts_that_are_not_ascii(towns: list[str]) -> None:
    frame = pd.DataFrame({"town": pd.Categorical(random.choice(towns, 600)), "z": FRAME["z"]})
    model = xgboost.XGBRegressor(**XGBOOST).fit(frame, LABELS)
    with pytest.raises(InvalidArtifact, match="not ASCII"):
        pack_forest(model)


def test_a_damaged_encoder_is_refused() -> None:
    frame = pd.DataFrame({"town": ASCII, "z": FRAME["z"]})
    model = xgboost.XGBRegressor(**XGBOOST).fit(frame, LABELS)
    document = json.loads(model.get_booster().save_raw("json"))
    encoder = document["learner"]["gradient_booster"]["model"]["cats"]["enc"][0]
    for key, value in (
        ("offsets", [0, 1, 2, 9]),
        ("offsets", encoder["offsets"][::-1]),
        ("values", [-1] * len(encoder["values"])),
        ("values", ["x"] * len(encoder["values"])),
        ("offsets", [0, 0, 0, encoder["offsets"][-1]]),
    ):
        kept = encoder[key]
        encoder[key] = value
        with pytest.raises(InvalidArtifact):
            pack_xgboost(json.dumps(document).encode())
        encoder[key] = kept
