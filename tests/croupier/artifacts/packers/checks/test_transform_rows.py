"""Pipelines and frames are compared from what callers send: numbers, texts, holes, what nobody has seen."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import lightgbm
import numpy as np
import pandas
import pytest
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, RobustScaler, StandardScaler
from support.trials import compared
from threadpoolctl import threadpool_limits

from croupier.artifacts.format import view
from croupier.artifacts.packers.checks.compare import DiffersFromLibrary
from croupier.artifacts.packers.forest import pack_forest
from croupier.artifacts.packers.linear import pack_linear
from croupier.artifacts.repack import with_section

RANDOM = np.random.default_rng(1)
ROWS = 300
FRAME = pandas.DataFrame(
    {
        "age": np.where(RANDOM.random(ROWS) < 0.1, np.nan, RANDOM.normal(40, 12, ROWS)),
        "income": RANDOM.lognormal(10, 1, ROWS),
        "score": RANDOM.normal(size=ROWS),
        "city": RANDOM.choice(["Berlin", "Paris", "Rome"], ROWS),
        "plan": RANDOM.choice(np.array(["a", "b", None], object), ROWS),
        "grade": RANDOM.choice([1.0, 2.0, 5.0], ROWS),
    }
)
Y = (FRAME.score + (FRAME.city == "Rome") * 2 + FRAME.age.fillna(30) / 40 + (FRAME.grade == 5)).to_numpy()
CLASSES = np.digitize(Y, [0.5, 2])
CODED = FRAME.assign(
    city=FRAME.city.astype("category"), plan=FRAME.plan.astype("category"), grade=FRAME.grade.astype(int)
).astype({"grade": "category"})
QUIET: dict[str, Any] = {"verbose": -1, "num_threads": 1, "min_child_samples": 5}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with threadpool_limits(1), warnings.catch_warnings(action="ignore"):
        yield


def before(estimator: Any) -> Any:
    texts = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="?"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    )
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    steps = [
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "income"]),
        ("score", MinMaxScaler(), ["score"]),
        ("texts", texts, ["city", "plan"]),
        ("grade", ordinal, ["grade"]),
    ]
    return make_pipeline(ColumnTransformer(steps), estimator)


PIPELINES: list[tuple[Any, Any, Callable[..., bytes]]] = [
    (LogisticRegression(max_iter=500), CLASSES, pack_linear),
    (Ridge(), Y, pack_linear),
    (RandomForestClassifier(4, max_depth=5, random_state=1), CLASSES, pack_forest),
    (HistGradientBoostingRegressor(max_iter=4), Y, pack_forest),
    (lightgbm.LGBMClassifier(n_estimators=4, **QUIET), CLASSES, pack_forest),
    (xgboost.XGBRegressor(n_estimators=4, n_jobs=1), Y, pack_forest),
]


@pytest.mark.parametrize(("estimator", "target", "packer"), PIPELINES)
def test_pipelines_answer_as_their_library(estimator: Any, target: Any, packer: Any) -> None:
    model = before(estimator).fit(FRAME, target)
    report = compared(model, packer(model), FRAME)
    assert report.checked.sample == ROWS
    assert report.checked.made > ROWS
    assert report.checked.difference < 1e-6


def test_rows_of_numbers_are_asked_in_both_kinds_of_floats() -> None:
    numbers = FRAME[["income", "score", "grade"]].to_numpy()
    model = make_pipeline(RobustScaler(), Ridge()).fit(numbers, Y)
    assert compared(model, pack_linear(model), numbers).checked.sample == 2 * ROWS


def test_numbers_of_which_1_is_too_many_are_tried_at_their_own_size() -> None:
    numbers = FRAME[["income", "score"]].to_numpy() * 1e-40
    model = make_pipeline(StandardScaler(), HistGradientBoostingRegressor(max_iter=4)).fit(numbers, Y)
    assert compared(model, pack_forest(model)).checked.made > ROWS


def test_what_a_step_refuses_is_not_asked_though_the_estimator_takes_it() -> None:
    numbers = FRAME[["income", "score"]]
    steps = ColumnTransformer([("scaled", StandardScaler(), ["income"])], remainder="passthrough")
    model = make_pipeline(steps, HistGradientBoostingRegressor(max_iter=4)).fit(numbers, Y)
    assert compared(model, pack_forest(model)).checked.made > ROWS


@pytest.mark.parametrize("is_booster", [False, True])
def test_categories_of_a_training_frame(is_booster: bool) -> None:
    gradient = lightgbm.LGBMRegressor(n_estimators=5, **QUIET).fit(CODED, Y)
    extreme = xgboost.XGBRegressor(n_estimators=5, n_jobs=1, enable_categorical=True).fit(CODED, Y)
    for model in (gradient.booster_, extreme.get_booster()) if is_booster else (gradient, extreme):
        report = compared(model, pack_forest(model), CODED)
        assert report.checked.sample == ROWS


def test_categories_that_are_truth_values() -> None:
    frame = pandas.DataFrame({"is_new": pandas.Categorical(FRAME.score > 1), "score": FRAME.score})
    model = lightgbm.LGBMRegressor(n_estimators=5, **QUIET).fit(frame, Y)
    assert compared(model, pack_forest(model), frame).checked.sample == 2 * ROWS


def tampered(artifact: bytes, engine: str, change: Callable[[bytearray], None]) -> bytes:
    section = bytearray(view(artifact).section(engine))
    change(section)
    return with_section(artifact, engine, bytes(section))


def test_a_step_that_was_tampered_with() -> None:
    model = before(Ridge()).fit(FRAME, Y)
    mean = np.float64(model.steps[0][1].named_transformers_["numbers"].steps[1][1].mean_[0])

    def change(section: bytearray) -> None:
        at = section.index(mean.tobytes())
        section[at : at + 8] = np.float64(mean * 1.001).tobytes()

    with pytest.raises(DiffersFromLibrary, match="age="):
        compared(model, tampered(pack_linear(model), "linear", change))


def test_texts_that_were_swapped() -> None:
    model = lightgbm.LGBMRegressor(n_estimators=5, **QUIET).fit(CODED, Y)

    def change(section: bytearray) -> None:
        at = section.index(b"BerlinParisRome")
        section[at : at + 15] = b"BerlinParisSome"

    with pytest.raises(DiffersFromLibrary, match="city='Rome'"):
        compared(model, tampered(pack_forest(model), "forest", change), CODED)
