"""Writes the corpora of `packed.py` and `packers.py`: small models of every layout, and their files.

    python tests/fuzz/packed_seeds.py

Training is not the same from version to version of a library, so the files stay as they were written.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))

import lightgbm
import numpy as np
import pandas
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor, IsolationForest, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from support.forests import data
from support.graphs import matmul
from support.reference.transform import identity_behind, random_block, with_transform

from croupier.artifacts.packers.files import pack_file
from croupier.artifacts.packers.forest import pack_forest
from croupier.artifacts.packers.linear import pack_linear

FOLDER = Path(__file__).parent / "corpus"

X = data(1, rows=80, features=4, zeros=0.1, missing=0.05)
X[:, 3] = np.random.default_rng(1).integers(0, 40, len(X))
FULL = np.nan_to_num(X)
Y = FULL[:, 0] + FULL[:, 1] * FULL[:, 2] + FULL[:, 3] % 3
CLASSES = np.digitize(Y, [0.5, 1.5])
# Of which float32 holds few.
TENTHS = np.round(FULL.astype(np.float64), 1)
TENTHS[:, 3] /= 10


def files() -> dict[str, bytes]:
    """Foreign files by name."""
    return {
        "xgboost-json": _xgboost("json", Y, {}),
        "xgboost-ubj": _xgboost("ubj", Y > 1, {"objective": "binary:logistic", "max_depth": 2}),
        "xgboost-dart": _xgboost(
            "json", CLASSES, {"booster": "dart", "objective": "multi:softprob", "num_class": 3}
        ),
        "xgboost-categories": _xgboost("json", Y, {"max_cat_to_onehot": 1}, categorical=True),
        "xgboost-vectors": _xgboost("json", np.stack([Y, -Y], 1), {"multi_strategy": "multi_output_tree"}),
        "lightgbm": _lightgbm(np.abs(Y), {"objective": "poisson"}, []),
        "lightgbm-categories": _lightgbm(Y > 1, {"objective": "binary", "cat_smooth": 1}, [3]),
        "lightgbm-zeros": _lightgbm(
            CLASSES, {"objective": "multiclass", "num_class": 3, "zero_as_missing": True}, []
        ),
        "lightgbm-frame": _lightgbm_frame(),
        "xgboost-frame-json": _xgboost_frame("json"),
        "xgboost-frame-ubj": _xgboost_frame("ubj"),
        "onnx": matmul(),
    }


def _frame() -> pandas.DataFrame:
    """Categories of texts and of numbers, one of them in order."""
    texts = np.array(["a", "bc", "d"])
    return pandas.DataFrame(
        {
            "number": X[:, 0],
            "text": pandas.Categorical(texts[CLASSES]),
            "whole": pandas.Categorical((FULL[:, 3] % 7).astype(np.int64) * 101),
            "order": pandas.Categorical(texts[::-1][CLASSES], categories=list(texts), ordered=True),
        }
    )


def _lightgbm_frame() -> bytes:
    model = lightgbm.LGBMRegressor(
        n_estimators=2, num_leaves=4, min_child_samples=3, cat_smooth=1, n_jobs=1, verbose=-1
    )
    return str(model.fit(_frame(), Y).booster_.model_to_string()).encode()


def _xgboost_frame(form: str) -> bytes:
    model = xgboost.XGBRegressor(n_estimators=2, max_depth=2, n_jobs=1, enable_categorical=True)
    return bytes(model.fit(_frame(), Y).get_booster().save_raw(form))


def artifacts() -> dict[str, bytes]:
    """Packed artifacts by name."""
    encoded = ColumnTransformer(
        [("codes", OneHotEncoder(handle_unknown="ignore"), [3])], remainder="passthrough"
    )
    texts = np.array(["a", "bc", "d"])[CLASSES]
    histogram = HistGradientBoostingRegressor(max_iter=2, max_leaf_nodes=5, categorical_features=[3])
    return {
        "vectors": pack_forest(RandomForestClassifier(3, max_depth=3, random_state=1).fit(FULL, texts)),
        "isolation": pack_forest(IsolationForest(n_estimators=3, max_samples=20, random_state=1).fit(FULL)),
        "histogram": pack_forest(histogram.fit(X, Y)),
        "encoded": pack_linear(make_pipeline(encoded, Ridge()).fit(FULL, np.stack([Y, -Y], 1))),
        "wide": pack_forest(HistGradientBoostingRegressor(max_iter=2, max_leaf_nodes=5).fit(TENTHS, Y)),
        "wide-zeros": pack_file(
            _lightgbm(Y, {"objective": "regression", "zero_as_missing": True}, [], TENTHS)
        ),
        "wide-categories": pack_file(
            _lightgbm(
                Y, {"objective": "regression", "cat_smooth": 1, "min_data_per_group": 1}, [3], TENTHS * 10
            )
        ),
        "pair": pack_linear(LogisticRegression(max_iter=50).fit(FULL[:, :3], CLASSES > 0)),
        "huber": pack_linear(SGDClassifier(loss="modified_huber", random_state=1).fit(FULL, CLASSES * 7)),
        **behind_transforms(),
        **{name: pack_file(file) for name, file in files().items() if name != "onnx"},
    }


def behind_transforms() -> dict[str, bytes]:
    """A model of each engine behind steps of every kind."""
    names = [f"f{place}" for place in range(5)]
    block = random_block(Random(3), len(names))
    rows = np.random.default_rng(1).normal(size=(60, block.columns))
    forest = pack_forest(RandomForestClassifier(2, max_depth=2, random_state=1).fit(rows, rows[:, 0] > 0))
    return {
        "behind-texts": identity_behind(block, names),
        "behind-numbers": identity_behind(random_block(Random(2), 4, texts=0.0), names[:4]),
        "behind-forest": with_transform(forest, block, names),
    }


def _xgboost(form: str, label: object, options: dict[str, object], categorical: bool = False) -> bytes:
    types = ["q", "q", "q", "c" if categorical else "q"]
    matrix = xgboost.DMatrix(X, label, feature_types=types, enable_categorical=categorical)
    booster = xgboost.train({"max_depth": 3, "nthread": 1, **options}, matrix, 2)
    return bytes(booster.save_raw(form))


def _lightgbm(
    label: object, options: dict[str, object], categorical: list[int], trained: object = X
) -> bytes:
    options = {"num_leaves": 5, "min_data_in_leaf": 5, "num_threads": 1, "verbose": -1, **options}
    sets = lightgbm.Dataset(trained, label, categorical_feature=categorical, params=dict(options))
    text = lightgbm.train(options, sets, 2).model_to_string()
    # Of what follows the trees the marks suffice.
    return f"{text[: text.index('end of trees')]}end of trees\n\nparameters:\n\nend of parameters\n".encode()


def write() -> None:
    for folder, found in (("packed", artifacts()), ("packers", files())):
        (FOLDER / folder).mkdir(parents=True, exist_ok=True)
        for name, content in found.items():
            (FOLDER / folder / name).write_bytes(content)


if __name__ == "__main__":
    write()
