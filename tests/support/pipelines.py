"""Random scikit-learn pipelines and frames, and what a transform makes of a frame's rows in plain Python."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)
from support.reference.transform import Block, read

from cell.engines.packed import PackedEngine
from croupier.artifacts.format import view
from croupier.artifacts.packers.transform import pipeline
from croupier.artifacts.packers.transform.assembly import Columns
from croupier.artifacts.packers.transform.columns import is_missing
from croupier.artifacts.packers.transform.layout import encode

TEXTS = ("red", "green", "blue", "", "Köln", "東京", "red ", "missing_value")
UNSEEN = ("mauve", "re", "ﬀ")


def block_of(columns: Columns) -> Block:
    """The block for the features that are used, read back from its bytes."""
    return read(encode(columns.transform(columns.used)))


def seen(steps: Any) -> Columns:
    """What fitted steps make of features, for an estimator that takes whatever it gets."""
    found = pipeline.seen(list(steps), None)
    assert found is not None
    return found


def raw_row(block: Block, values: Sequence[Any]) -> list[float]:
    """A row as it reaches the block: texts by their place, what is missing as NaN."""
    return [
        math.nan
        if is_missing(value)
        else block.code_of(place, value.encode())
        if place in block.dictionaries
        else float(value)
        for place, value in enumerate(values)
    ]


def rows_of(frame: pd.DataFrame, used: Sequence[int]) -> list[tuple[Any, ...]]:
    """Its rows, each value of its column's type, of these columns."""
    return list(zip(*(frame[frame.columns[place]].tolist() for place in used), strict=True))


def dense(matrix: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """What scikit-learn gives as a float64 array."""
    whole = matrix.toarray() if hasattr(matrix, "toarray") else matrix
    return np.asarray(whole, np.float64)


def random_frame(random: Random, rows: int, *, missing: float = 0.0, unseen: float = 0.0) -> pd.DataFrame:
    """Columns of five kinds, by name: floats, few numbers, whole numbers, texts, and truths."""
    generator = np.random.default_rng(random.getrandbits(32))

    def some(values: Any, share: float, instead: Any) -> Any:
        found = np.asarray(values)
        where = generator.random(rows) < share
        found[where] = generator.choice(np.asarray(instead, found.dtype), where.sum())
        return found

    floats = generator.normal(size=(3, rows)) * 10.0 ** generator.integers(-3, 4, (3, 1))
    few = generator.choice([-1.5, 0.0, 0.1, 7.0, 205.0], (2, rows))
    texts = [np.array(generator.choice(TEXTS, rows), object) for _ in range(3)]
    columns: dict[str, Any] = {
        **{f"float{place}": some(column, missing, [math.nan]) for place, column in enumerate(floats)},
        **{
            f"few{place}": some(some(column, unseen, [0.25, 1e9]), missing, [math.nan])
            for place, column in enumerate(few)
        },
        "whole": some(generator.integers(0, 4, rows), unseen, [17]),
        **{
            f"text{place}": some(some(column, unseen, UNSEEN), missing, [None if place == 2 else math.nan])
            for place, column in enumerate(texts)
        },
        "truth": generator.random(rows) < 0.5,
    }
    return pd.DataFrame({name: pd.Series(column) for name, column in columns.items()})


def random_steps(random: Random) -> Pipeline:
    """Unfitted steps for such a frame: transformers side by side, and sometimes one behind them."""
    blocks = []
    for place in range(random.randrange(1, 6)):
        numbers = ["float0", "float1", "float2", "few0", "few1", "whole"]
        kind = random.randrange(4)
        if kind == 0:
            names = random.sample(numbers, random.randrange(1, 4))
            blocks.append((f"numbers{place}", _numbers(random), names))
        elif kind == 1:
            names = random.sample(["few0", "few1", "whole", "truth"], random.randrange(1, 4))
            imputes = "truth" not in names and random.random() < 0.5
            blocks.append((f"few{place}", _categories(random, imputes=imputes), names))
        elif kind == 2:
            names = random.sample(["text0", "text1", "text2"], random.randrange(1, 4))
            imputes = "text2" not in names and random.random() < 0.6
            blocks.append((f"texts{place}", _categories(random, imputes=imputes), names))
        else:
            blocks.append((f"passed{place}", "passthrough", random.sample(numbers, 2)))
    weights = {blocks[0][0]: 0.3} if random.random() < 0.2 else None
    steps = [
        ColumnTransformer(
            blocks, transformer_weights=weights, sparse_threshold=random.choice([0.0, 0.3, 1.0])
        )
    ]
    if random.random() < 0.3:
        steps.append(
            random.choice([StandardScaler(with_mean=False), MaxAbsScaler(), MaxAbsScaler(clip=True)])
        )
    return make_pipeline(*steps)


def _numbers(random: Random) -> Any:
    scalers = [
        StandardScaler(),
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        MinMaxScaler(),
        MinMaxScaler((-1, 3), clip=True),
        RobustScaler(),
        RobustScaler(with_centering=False),
        RobustScaler(with_scaling=False, unit_variance=False),
        MaxAbsScaler(),
        MaxAbsScaler(clip=True),
    ]
    imputers = [
        SimpleImputer(),
        SimpleImputer(strategy="median", add_indicator=True),
        SimpleImputer(strategy="most_frequent"),
        SimpleImputer(strategy="constant", fill_value=-7),
        SimpleImputer(strategy="constant", add_indicator=True),
    ]
    steps = [random.choice(imputers)] if random.random() < 0.7 else []
    steps += random.sample(scalers, random.randrange(0 if steps else 1, 3))
    if random.random() < 0.3:
        steps.append(random.choice(imputers))
    return make_pipeline(*steps)


def _categories(random: Random, *, imputes: bool) -> Any:
    one_hot = OneHotEncoder(
        handle_unknown=random.choice(["ignore", "error", "infrequent_if_exist", "warn"]),
        drop=random.choice([None, None, "first", "if_binary"]),
        **random.choice([{}, {}, {"min_frequency": 5}, {"max_categories": 3}]),
        sparse_output=random.random() < 0.5,
    )
    settings: list[dict[str, Any]] = [
        {},
        {"handle_unknown": "use_encoded_value", "unknown_value": -1},
        {"handle_unknown": "use_encoded_value", "unknown_value": math.nan},
        {"handle_unknown": "use_encoded_value", "unknown_value": 99, "encoded_missing_value": -2},
        {"encoded_missing_value": -1, "min_frequency": 4},
    ]
    ordinal = OrdinalEncoder(**random.choice(settings))
    encoder = random.choice([[one_hot], [ordinal], [ordinal, StandardScaler()], [ordinal, SimpleImputer()]])
    imputer = SimpleImputer(strategy="most_frequent", add_indicator=random.random() < 0.3)
    return make_pipeline(*([imputer] if imputes else []), *encoder)


def asked(artifact: bytes, frame: Any) -> dict[str, Any]:
    """What the native engine answers to a frame's or an array's rows, as a caller would send them.

    Raises:
        InvalidRequest: the model does not take one of them.
    """
    found = view(artifact)
    model = PackedEngine(found.engine).load(found)
    if len(found.inputs) == 1 and found.inputs[0].datatype != "BYTES":
        inputs = {found.inputs[0].name: np.ascontiguousarray(np.asarray(frame, np.float64))}
    else:
        inputs = {tensor.name: _column(frame[tensor.name], tensor.datatype) for tensor in found.inputs}
    names = [tensor.name for tensor in found.outputs]
    return dict(model.score(model.admitted(inputs, "inputs"), names))


def _column(values: Any, datatype: str) -> Any:
    if datatype == "FP64":
        return np.asarray([math.nan if is_missing(each) else each for each in values], np.float64)[:, None]
    return np.array([None if is_missing(each) else each for each in values.tolist()], object)[:, None]


def transformed(steps: Any, frame: pd.DataFrame) -> Any:
    """What scikit-learn makes of a frame, or None if it refuses it."""
    with warnings.catch_warnings():
        # Unknown categories that share all zeros with a dropped one.
        warnings.simplefilter("ignore")
        try:
            return dense(steps.transform(frame))
        except ValueError:
            return None
