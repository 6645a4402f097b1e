"""Arrays as bytes between processes: what goes in comes out, and nothing else does harm."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.tables import dump, load

NUMBERS = st.one_of(
    arrays.floating_dtypes(endianness="<"), arrays.integer_dtypes(endianness="<"), arrays.boolean_dtypes()
)
NUMERIC = NUMBERS.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_side=0, max_side=4)))
TEXTS = st.lists(st.none() | st.text(max_size=5), max_size=4).map(lambda found: np.array(found, object))
TABLES = st.lists(st.dictionaries(st.text(max_size=5), NUMERIC | TEXTS, max_size=3), max_size=3)


@settings(max_examples=40)
@given(TABLES)
def test_what_is_dumped_is_loaded(tables):
    found = load(dump(tables))
    assert [list(table) for table in found] == [list(table) for table in tables]
    for before, after in zip(tables, found, strict=True):
        for name, array in before.items():
            assert (after[name].dtype, after[name].shape) == (array.dtype, array.shape)
            if array.dtype.kind == "O":
                assert after[name].tolist() == array.tolist()
            else:
                assert after[name].tobytes() == array.tobytes()


@settings(max_examples=40)
@given(TABLES, st.data())
def test_damaged_bytes_are_refused_or_other_tables(tables, data):
    whole = bytearray(dump(tables))
    whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InvalidArtifact):
        load(bytes(whole))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"5",
        b"[[5]]",
        b'[[["x", "O", [1], 8]]]',
        b'[[["x", "<f4", [1000000000000], 4]]]',
        b'[[["x", "<f4", [-1], 4]]]',
        b'[[["x", "texts", [2], 4]]]',
        b'[[["x", "M8[s]", [1], 8]]]',
        b'[[["x", "<f4", [Infinity], 4]]]',
        b'[[["x", "f4,f4", [0], 0]]]',
        b'[[["x", 5, [0], 0]]]',
        b"[" * 100_000,
    ],
)
def test_nonsense_is_refused(line):
    with pytest.raises(InvalidArtifact, match="no tables"):
        load(line + b"\n[5]\0\0\0\0\0")


def test_byte_strings_are_texts():
    (found,) = load(dump([{"x": np.array([b"a", "b"], object)}]))
    assert found["x"].tolist() == ["a", "b"]
