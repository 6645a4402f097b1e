"""UBJSON is read as XGBoost writes it, and nothing else is."""

import json
import math
import struct
from typing import Any

import numpy as np
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from support.forests import data

from croupier.artifacts.packers.forest.ubjson import loads

INTEGERS = {"i": ">b", "U": ">B", "I": ">h", "l": ">i", "L": ">q"}
TYPES = {"i": "i1", "U": "u1", "I": "i2", "l": "i4", "L": "i8", "d": "f4", "D": "f8"}


def integer(value: int) -> bytes:
    """By the smallest type that holds it."""
    for mark, form in INTEGERS.items():
        try:
            return mark.encode() + struct.pack(form, value)
        except struct.error:
            continue
    raise AssertionError(value)


def text(value: str) -> bytes:
    encoded = value.encode()
    return integer(len(encoded)) + encoded


def dumps(value: Any) -> bytes:
    """The plain twin: a writer of every form that is read."""
    if value is None or isinstance(value, bool):
        return {None: b"Z", True: b"T", False: b"F"}[value]
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, float):
        return b"D" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"S" + text(value)
    if isinstance(value, np.ndarray):
        mark = next(mark for mark, kind in TYPES.items() if value.dtype == kind)
        return b"[$" + mark.encode() + b"#" + integer(len(value)) + value.astype(f">{TYPES[mark]}").tobytes()
    if isinstance(value, tuple):
        return b"[#" + integer(len(value)) + b"".join(map(dumps, value))
    if isinstance(value, list):
        return b"[" + b"".join(map(dumps, value)) + b"]"
    return b"{" + b"".join(text(key) + dumps(inner) for key, inner in value.items()) + b"}"


def plain(value: Any) -> Any:
    """As JSON has it: lists for all that is listed."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(inner) for inner in (value.tolist() if isinstance(value, np.ndarray) else value)]
    return value


numbers = st.integers(-(2**63), 2**63 - 1)
arrays = st.tuples(st.sampled_from(list(TYPES.values())), st.lists(st.integers(0, 127), max_size=5)).map(
    lambda told: np.array(told[1], told[0])
)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.floats(allow_nan=False) | st.text(max_size=5) | arrays,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=6,
)


@settings(max_examples=50)
@given(values)
def test_what_is_written_is_read(value: Any) -> None:
    assert plain(loads(dumps(value))) == plain(value)


@settings(max_examples=50)
@given(values, st.data())
def test_what_is_cut_off_or_goes_on_is_refused(value: Any, drawn: st.DataObject) -> None:
    whole = dumps(value)
    with pytest.raises(ValueError, match=r"it ends at|shorter"):
        loads(whole[: drawn.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ValueError, match="1 bytes follow"):
        loads(whole + b"Z")


@given(st.lists(st.sampled_from([b"{", b"}", b"[", b"]", b"$", b"#", b"S", b"U", b"i", b"d"]) | st.binary()))
def test_arbitrary_bytes_are_read_or_refused(parts: list[bytes]) -> None:
    try:
        loads(b"".join(parts))
    except ValueError:
        return


X = data(1, rows=80)
CODES = X.copy()
CODES[:, 5] = np.arange(80) % 9
NAMES = ["a", "ä", "c d", "", "e" * 300, "f"]


@pytest.mark.parametrize("booster", ["gbtree", "dart", "gblinear"])
def test_xgboosts_two_forms_are_one_document(booster: str) -> None:
    types = ["q"] * 5 + ["c" if booster != "gblinear" else "q"]
    matrix = xgboost.DMatrix(
        CODES, X[:, 0], feature_names=NAMES, feature_types=types, enable_categorical=True
    )
    model = xgboost.train({"booster": booster, "nthread": 1}, matrix, 3)
    model.set_attr(best_iteration="1", note="it's 5 °C")
    told, read = json.loads(model.save_raw("json")), loads(bytes(model.save_raw("ubj")))
    assert same(plain(read), told)


def same(found: Any, expected: Any) -> bool:
    """Numbers as float32, which JSON writes with fewer digits than they have."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in found)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=1e-6)
    return bool(found == expected)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "ends at byte 0"),
        (b"N", "begins no value"),
        (b"H", "begins no value"),
        (b"{Sa", "a length is due"),
        (b"{U\1aTU\1aF}", "'a' twice"),
        (b"[$S#U\1", "no list of numbers"),
        (b"[$dU\1", "no list of numbers"),
        (b"[$d#U\2\0\0\0\0", "the rest is shorter"),
        (b"[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff", "the rest is shorter"),
        (b"[#L\x7f\xff\xff\xff\xff\xff\xff\xff", "the rest is shorter"),
        (b"Si\xff", "length before byte 3 is -1"),
        (b"SU\1\xff", "utf-8"),
        (b"[" * 40 + b"]" * 40, "nest deeper"),
    ],
)
def test_what_xgboost_does_not_write_is_refused(content: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        loads(content)
