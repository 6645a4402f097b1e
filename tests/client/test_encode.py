import math
from collections import OrderedDict
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier_client.encode import InvalidFeatures, Item, Shared, encode, encode_shared
from croupier_client.errors import InvalidRequest

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


def named(message):
    return {
        feature.name: getattr(feature, feature.WhichOneof("value")) for feature in message.features.features
    }


def test_every_field_is_sent():
    message = encode(Item("churn", [1.0], version=3, label="", entity_id="user-7", key="session-1"))
    assert message.model == "churn"
    assert message.version == 3
    assert message.entity_id == "user-7"
    assert message.routing_key == "session-1"
    assert message.artifact == b""


def test_a_label_is_sent():
    assert encode(Item("churn", [], label="stable")).label == "stable"


@given(st.dictionaries(st.text(min_size=1).filter(lambda name: name.isascii()), finite))
def test_a_dict_is_named_features(features):
    message = encode(Item("m", features))
    assert message.WhichOneof("input") == "features"
    assert features == named(message)


def test_numbers_and_texts_keep_their_kind():
    features = {"age": 31, "rate": 0.5, "vip": True, "plan": "basic", "price": Decimal("1.5")}
    expected = {"age": 31.0, "rate": 0.5, "vip": 1.0, "plan": "basic", "price": 1.5}
    assert expected == named(encode(Item("m", features)))


def test_a_number_has_double_precision():
    assert named(encode(Item("m", {"x": 0.1}))) == {"x": 0.1}


def test_what_is_absent_is_sent_as_nan():
    row = {"a": None, "b": pd.NA, "c": pd.NaT, "d": math.nan}
    sent = named(encode(Item("m", row)))
    assert list(sent) == ["a", "b", "c", "d"]
    assert all(map(math.isnan, sent.values()))
    dense = encode(Item("m", [1.0, None, pd.NA])).row
    assert dense.values[0] == 1.0
    assert list(map(math.isnan, dense.values)) == [False, True, True]


@pytest.mark.parametrize("value", [0.1, 1e300, -3.5e38, 123_456_789, 1_700_000_001, Decimal("0.1"), 5e-324])
def test_a_row_with_a_number_that_is_no_float32_is_sent_as_doubles(value):
    row = encode(Item("m", [1.0, value, None])).row
    assert not row.values
    assert list(row.doubles)[:2] == [1.0, float(value)]
    assert math.isnan(row.doubles[2])


@given(st.lists(st.floats()))
def test_a_row_is_one_list_and_loses_nothing(values):
    row = encode(Item("m", np.array(values, np.float64))).row
    assert not (row.values and row.doubles)
    np.testing.assert_array_equal(
        np.array(row.values or row.doubles, np.float64), np.array(values, np.float64)
    )


def test_order_is_kept():
    features = OrderedDict([("z", 1.0), ("a", 2.0)])
    assert list(named(encode(Item("m", features)))) == ["z", "a"]


def test_a_row_of_a_data_frame_is_named_features():
    frame = pd.DataFrame({"age": [31], "plan": ["basic"], "rate": np.array([0.25], np.float32)})
    expected = {"age": 31.0, "plan": "basic", "rate": 0.25}
    assert expected == named(encode(Item("m", frame.iloc[0])))


def test_a_row_of_one_dtype_is_named_features():
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    assert named(encode(Item("m", frame.iloc[1]))) == {"a": 2.0, "b": 4.0}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool"])
def test_a_vector_is_a_row(dtype):
    message = encode(Item("m", np.array([0, 1, 1], dtype)))
    assert message.WhichOneof("input") == "row"
    assert list(message.row.values) == [0.0, 1.0, 1.0]


@given(st.lists(finite))
def test_a_sequence_is_a_row(values):
    assert values == list(encode(Item("m", values)).row.values)
    assert values == list(encode(Item("m", tuple(values))).row.values)
    assert values == list(encode(Item("m", np.array(values, np.float32))).row.values)


def test_an_empty_row_and_an_empty_dict_differ():
    assert encode(Item("m", [])).WhichOneof("input") == "row"
    assert encode(Item("m", {})).WhichOneof("input") == "features"


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ("31", "type str"),
        (b"31", "type bytes"),
        (None, "type NoneType"),
        (7, "not made of numbers"),
        (["a"], "not made of numbers"),
        (np.array(["a"]), "not made of numbers"),
        ([10**400], "not made of numbers"),
        (np.zeros((2, 3)), "2 dimensions"),
        (np.float64(1.0), "0 dimensions"),
        (pd.DataFrame({"a": [1.0]}), "2 dimensions"),
        (pd.Series([1.0, 2.0]), "the name 0"),
        ({"a": [1.0]}, "type list for a"),
        ({"a": 10**400}, "type int for a"),
        ({1: 1.0}, "the name 1"),
    ],
)
def test_features_that_no_request_can_carry(features, words):
    with pytest.raises(InvalidFeatures, match=words) as caught:
        encode(Item("m", features))
    assert caught.value.field == "features"


@pytest.mark.parametrize(
    "item", [Item("m", [], version=-1), Item("m", [], version="1"), Item(b"\xff", []), Item("m", [], key=7)]
)
def test_a_field_that_does_not_fit(item):
    with pytest.raises(InvalidRequest, match="cannot be sent"):
        encode(item)


def test_what_says_whose_features_are_fetched():
    item = Item("m", {}, entity_id="user-7", parameters={"region": "eu"}, explain=True)
    message = encode(item)
    assert (message.entity_id, dict(message.parameters), message.explain) == (
        "user-7",
        {"region": "eu"},
        True,
    )
    assert not encode(Item("m", {})).explain
    with pytest.raises(InvalidRequest, match="cannot be sent"):
        encode(Item("m", {}, parameters={"region": 7}))


def test_what_is_shared():
    shared = encode_shared(Shared({"hour": 14, "day": "monday"}, "user-7", {"region": "eu"}))
    assert (shared.entity_id, dict(shared.parameters)) == ("user-7", {"region": "eu"})
    assert [each.name for each in shared.features.features] == ["hour", "day"]
    assert not encode_shared(Shared(entity_id="user-7")).HasField("features")
    with pytest.raises(InvalidRequest, match="cannot be sent"):
        encode_shared(Shared(parameters={"region": 7}))
