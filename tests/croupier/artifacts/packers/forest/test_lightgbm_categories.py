"""LightGBM models trained on a frame's categories take these, and send unseen ones where LightGBM does."""

import json
import re
from collections.abc import Iterator
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
from support.frames import FRAME, LABELS, STORES, TOWNS, UNSEEN
from support.trials import asked
from threadpoolctl import threadpool_limits

from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers.forest import pack_forest, pack_lightgbm
from croupier.artifacts.packers.forest.lightgbm_categories import listed, read

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
LIGHTGBM: dict[str, Any] = {"n_estimators": 8, "min_child_samples": 3, "verbose": -1, "n_jobs": 1}
XGBOOST: dict[str, Any] = {"n_estimators": 8, "n_jobs": 1, "enable_categorical": True}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Where others compute, too, threads of OpenMP wait for each other most of the time."""
    with threadpool_limits(1):
        yield


def test_lightgbm() -> None:
    for model, labels in (
        (lightgbm.LGBMRegressor(**LIGHTGBM), LABELS),
        (lightgbm.LGBMClassifier(**LIGHTGBM), np.where(LABELS > 0, "yes", "no")),
    ):
        artifact = pack_forest(model.fit(FRAME, labels))
        assert artifact == pack_lightgbm(
            model.booster_.model_to_string(), classes=getattr(model, "classes_", None)
        )
        assert {tensor.name: tensor.datatype for tensor in view(artifact).inputs} == {
            name: "BYTES" if name == "town" else "FP64" for name in FRAME
        }
        for rows in (FRAME, UNSEEN):
            found = asked(model, artifact, rows)
            if "value" in found:
                np.testing.assert_allclose(found["value"][:, 0], model.predict(rows), **CLOSE)
            else:
                np.testing.assert_allclose(found["probabilities"], model.predict_proba(rows), **CLOSE)


def pack_lightgbm_with(categories: Any) -> bytes:
    """A model of one category column, with these in the place of the column's own."""
    frame = pd.DataFrame({"one": pd.Categorical(["a"] * 300 + ["b"] * 300), "z": FRAME["z"]})
    text = lightgbm.LGBMRegressor(**LIGHTGBM).fit(frame, LABELS).booster_.model_to_string()
    begin = text.index("pandas_categorical:")
    assert text[begin:].strip() == 'pandas_categorical:[["a", "b"]]'
    return pack_lightgbm(
        text[:begin].replace("-1:0:1", "none") + f"pandas_categorical:{json.dumps(categories)}\n"
    )


def test_lightgbms_columns_are_those_of_the_categorical_features() -> None:
    ordered = FRAME.assign(town=pd.Categorical(TOWNS, categories=["", "Köln", "Oslo", "東京"], ordered=True))
    model = lightgbm.LGBMRegressor(**LIGHTGBM).fit(ordered, LABELS)
    # Four categories in order: no other column had such whole numbers.
    found = asked(model, pack_forest(model), ordered)
    np.testing.assert_allclose(found["value"][:, 0], model.predict(ordered), **CLOSE)
    unsure = ordered[["count", "z"]].assign(town=pd.Categorical(TOWNS, ordered=True), other=FRAME["count"])
    model = lightgbm.LGBMRegressor(**LIGHTGBM).fit(unsure, LABELS)
    with pytest.raises(InvalidArtifact, match="which of count, town, other these are"):
        pack_forest(model)


def test_lightgbm_on_codes_takes_codes() -> None:
    frame = FRAME[["z"]].assign(code=pd.Categorical(STORES).codes)
    model = lightgbm.LGBMRegressor(**LIGHTGBM).fit(frame, LABELS, categorical_feature=["code"])
    artifact = pack_forest(model)
    assert view(artifact).inputs[0].shape == (-1, 2)
    found = asked(model, artifact, frame.to_numpy(np.float64))
    np.testing.assert_allclose(found["value"][:, 0], model.predict(frame), **CLOSE)


@pytest.mark.parametrize(
    ("lists", "features", "infos", "places"),
    [
        ([["a", "b"]], {1}, "[0:1] -1:0:1 [0:1]", [1]),
        ([["a", "b"], ["c"]], {0, 2}, "-1:1:0 [0:9] none", [0, 2]),
        # Told by hand, the number 1 is a code as well: of the two only one has so few.
        ([["a", "b"]], {0, 1}, "-1:0:5:1 -1:0:1", [1]),
        ([["a", "b"]], {0, 1}, "-1:0:1 -1:0:1", None),
        # Beyond its list, a categorical feature is none of the frame's.
        ([["a", "b"]], {0}, "-1:0:2", None),
        ([["a", "b"], ["c", "d", "e"]], {1}, "[0:1] -1:0:1:2 [-1:1]", [0, 1]),
        ([["a", "b"], ["c", "d", "e"]], {1}, "[0:1] -1:0:1:2 [0.5:1]", [0, 1]),
        ([["a", "b"], ["c", "d"]], {1}, "[0:1] -1:0:1 [0:1]", None),
        ([["a"], ["b"]], {0}, "-1:0", None),
    ],
)
def test_lists_are_laid_over_columns(
    lists: Any, features: set[int], infos: str, places: list[int] | None
) -> None:
    def laid() -> list[int]:
        return list(read(lists, features, infos.split(), ["x", "y", "z"]))

    if places is None:
        with pytest.raises(InvalidArtifact, match="which of"):
            laid()
    else:
        assert laid() == places


def test_what_is_neither_number_nor_text_is_no_category() -> None:
    for category in (["a", 1], ["\ud800"], [None], [[]], [10**30 + 1]):
        with pytest.raises(InvalidArtifact, match=r"neither|numbers"):
            pack_lightgbm_with([category])


def test_many_lists_and_many_columns_are_refused_at_once() -> None:
    with pytest.raises(InvalidArtifact, match="which of"):
        read([["a", "b"]] * 30_000, {0}, ["[0:1]"] * 32_000, [])


def test_a_file_without_parameters_has_its_lists_of_values() -> None:
    text = lightgbm.LGBMRegressor(**LIGHTGBM).fit(FRAME, LABELS).booster_.model_to_string()
    infos = re.search("feature_infos=(.*)", text)[1].split()  # type: ignore[index]
    assert listed(text, infos) == {1, 2, 3, 4} == listed("", infos)
    assert listed("\nparameters:\n[categorical_feature: name:a,b]\n", infos) == set()
