"""Rows that are made, and samples that are given: as the artifact takes them, or refused as none of it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from support.forests import data
from support.graphs import artifact, matmul

from croupier.artifacts.format import Artifact, InvalidArtifact, view
from croupier.artifacts.packers.checks.made import WrongSample, made_tables, sample_tables
from croupier.artifacts.packers.forest import pack_forest
from croupier.artifacts.packers.linear import pack_linear

X = data(1, rows=80, features=3).astype(np.float64)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
LINEAR = view(pack_linear(Ridge().fit(FRAME, X[:, 0])))
WIDE = view(pack_forest(HistGradientBoostingRegressor(max_iter=2).fit(X, X[:, 0])))
NARROW = view(pack_forest(RandomForestClassifier(2, random_state=1).fit(X, X[:, 0] > 0)))
TEXTS = pd.DataFrame({"city": ["Köln", "Oslo", None] * 4, "n": [1.0, 2.0, 3.0] * 4})
COLUMNS = view(
    pack_linear(make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge()).fit(TEXTS, np.arange(12)))
)


def only(tables: Any, dtype: Any) -> Any:
    (found,) = [array for table in tables for array in table.values() if array.dtype == dtype]
    return found


@pytest.mark.parametrize("found", [LINEAR, WIDE, NARROW])
def test_native_engines_are_asked_in_both_kinds_of_floats(found: Artifact) -> None:
    tables = made_tables(found)
    assert [array.dtype for table in tables for array in table.values()] == [np.float32, np.float64]
    again = made_tables(found)
    for one, other in zip(tables, again, strict=True):
        np.testing.assert_array_equal(one["input"], other["input"])
    assert sample_tables(found, X)[0]["input"].dtype == np.float32


@pytest.mark.parametrize(("found", "holes", "infinite"), [(LINEAR, False, False), (WIDE, True, True), (NARROW, True, False)])  # fmt: skip  # noqa: E501
def test_what_a_model_refuses_is_not_asked(found: Artifact, holes: bool, infinite: bool) -> None:
    rows = only(made_tables(found), np.float64)
    assert (np.isnan(rows).any(), np.isinf(rows).any()) == (holes, infinite)
    if found.engine == "forest":
        assert {0.0, 1e-35, -1e6} <= set(rows.ravel().tolist())


def test_a_sample_is_a_matrix_or_a_frame_in_any_order() -> None:
    for sample in (X, X.tolist(), FRAME, FRAME[["c", "a", "b"]], FRAME.assign(more="x")):
        np.testing.assert_array_equal(only(sample_tables(LINEAR, sample), np.float64), X)
    holes = FRAME.astype(object).where(FRAME > 0, None)
    np.testing.assert_array_equal(only(sample_tables(LINEAR, holes), np.float64), FRAME.where(FRAME > 0))


def test_a_large_sample_is_thinned_from_end_to_end() -> None:
    many = np.arange(75_000.0).reshape(-1, 3)
    rows = only(sample_tables(LINEAR, many), np.float64)
    assert len(rows) == 10_000
    assert (rows[0, 0], rows[-1, -1]) == (0.0, 74_999.0)


def test_a_column_for_each_input() -> None:
    (table,) = sample_tables(COLUMNS, TEXTS)
    assert {name: array.shape for name, array in table.items()} == {"city": (12, 1), "n": (12, 1)}
    assert table["city"][:3, 0].tolist() == ["Köln", "Oslo", None]


@pytest.mark.parametrize(
    ("found", "sample", "says"),
    [
        (LINEAR, X[:, :2], r"shape \[80, 2\] for a model that takes \[-1, 3\]"),
        (LINEAR, X[0], r"shape \[3\] for a model"),
        (LINEAR, X[:0], r"shape \[0, 3\]"),
        (LINEAR, FRAME.drop(columns="b"), "no column b"),
        (LINEAR, FRAME.assign(b="x"), "no rows of this model: could not convert"),
        (LINEAR, "text", "no rows of this model"),
        (LINEAR, [[1.0, 2.0], [3.0]], "no rows of this model"),
        (COLUMNS, X, "a data frame with their names"),
        (COLUMNS, TEXTS[:0], "the sample has no rows"),
        (COLUMNS, TEXTS[["n"]], "no column city"),
        (COLUMNS, TEXTS.assign(n="x"), "no rows of this model"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_sample_of_the_model_is_refused(found: Artifact, sample: Any, says: str) -> None:
    with pytest.raises(WrongSample, match=says) as caught:
        sample_tables(found, sample)
    assert caught.value.reason == "WRONG_SAMPLE"


@pytest.mark.parametrize("found", [LINEAR, WIDE], ids=["linear", "forest"])
@pytest.mark.parametrize("size", [0, 8, 40, 70])
def test_a_section_that_was_cut_is_damaged(found: Artifact, size: int) -> None:
    whole = bytes(found.section(found.engine))
    cut = {**found.sections, found.engine: memoryview(whole[:size])}
    with pytest.raises(InvalidArtifact, match="is damaged"):
        made_tables(replace(found, sections=cut))


def test_a_graph_has_rows_of_its_own_kind() -> None:
    (table,) = made_tables(artifact(matmul()))
    assert table["input"].dtype == np.float32
