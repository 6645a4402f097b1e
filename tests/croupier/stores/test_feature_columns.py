"""Blobs of columns are those that `encode` makes of each row, or read as the same."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.stores.feature_blob import BadFeatures, Schema, decode, encode
from croupier.stores.feature_columns import blobs

NUMBERS = Schema([("a", "number"), ("b", "number")])
MIXED = Schema([("a", "number"), ("t", "text")])
EVENTS = np.array([1_700_000_000_000, 1], np.int64)

numbers = st.floats(allow_nan=True)
rows = st.lists(st.tuples(st.integers(1, 2**47), *[numbers] * 9), max_size=20)


@given(rows)
def test_rows_of_numbers_read_as_they_were(made):
    schema = Schema([(f"f{at}", "number") for at in range(9)])
    events = np.array([event for event, *_ in made], np.int64)
    columns = {f"f{at}": np.array([row[at + 1] for row in made], np.float64) for at in range(9)}
    found = [decode(blob, schema) for blob in blobs(schema, columns, events)]
    assert found == [
        (event, {f"f{at}": value for at, value in enumerate(row) if not math.isnan(value)})
        for event, *row in made
    ]


def test_whole_rows_are_byte_by_byte_what_is_made_one_by_one():
    columns = {"a": np.array([1.5, -2.0]), "b": np.array([0.0, math.inf])}
    assert blobs(NUMBERS, columns, EVENTS) == [
        encode(NUMBERS, {"a": 1.5, "b": 0.0}, 1_700_000_000_000),
        encode(NUMBERS, {"a": -2.0, "b": math.inf}, 1),
    ]


@pytest.mark.parametrize("compress", [False, True])
def test_rows_with_texts(compress):
    columns = {"a": np.array([1.5, math.nan]), "t": ["ü", None]}
    found = blobs(MIXED, columns, EVENTS, compress=compress)
    assert found == [
        encode(MIXED, {"a": 1.5, "t": "ü"}, 1_700_000_000_000, compress=compress),
        encode(MIXED, {}, 1, compress=compress),
    ]


@pytest.mark.parametrize("event", [0, -5, 10**17])
def test_times_in_other_units_are_refused(event):
    with pytest.raises(BadFeatures, match="milliseconds"):
        blobs(NUMBERS, {"a": np.zeros(1), "b": np.zeros(1)}, np.array([event], np.int64))


def test_no_rows_are_no_blobs():
    none = np.zeros(0)
    assert blobs(NUMBERS, {"a": none, "b": none}, np.zeros(0, np.int64)) == []
