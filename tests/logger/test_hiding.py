"""What is sensitive leaves the host as a hash, or not at all."""

import json

import pytest
from support.spooled import TENSORS, WIDE, item, record

from croupier.stores.spool import Kind
from logger.decoding import rows_of
from logger.hiding import Hiding
from logger.rows import Row
from logger.tensors import Undecodable


def hidden(key: bytes = b"k" * 16, *, value: float = 31.0, **rule: str) -> Row:
    (row,) = rows_of(item({"a": value, "b": 2.0}, entity="e-1"), WIDE)
    Hiding(key).hide(row, json.dumps(rule).encode())
    return row


def test_without_a_rule_all_of_it_stays() -> None:
    (row,) = rows_of(item({"a": 1.0}), WIDE)
    Hiding(b"").hide(row, b"")
    assert ([one.number for one in row.features], row.hidden) == ([1.0], [])


def test_what_is_dropped_is_gone_by_name() -> None:
    row = hidden(a="drop", y="drop", entity="drop", absent="drop")
    assert [one.name for one in row.features] == ["b"]
    assert row.outputs == []
    assert row.entity is None
    assert row.hidden == ["a", "y", "entity"]


def test_a_hash_is_the_same_for_the_same_value_and_key() -> None:
    row, same = hidden(a="hash"), hidden(a="hash")
    assert row.features[0].number is None
    assert row.features[0].text == same.features[0].text != hidden(a="hash", value=32.0).features[0].text
    assert row.features[0].text != hidden(b"other key, as it" * 2, a="hash").features[0].text
    assert row.features[0].source == "request"
    assert (row.features[0].text or "").startswith("hash:")


def test_entities_and_outputs_are_hashed_too() -> None:
    row = hidden(entity="hash", y="hash")
    assert (row.entity or "").startswith("hash:")
    assert row.outputs[0].numbers is None
    assert (row.outputs[0].texts or [""])[0].startswith("hash:")


def test_without_a_key_it_is_dropped() -> None:
    row = hidden(b"", a="hash", entity="hash", y="hash")
    assert [one.name for one in row.features] == ["b"]
    assert (row.entity, row.outputs) == (None, [])


def test_bytes_of_a_request_go_where_anything_is_sensitive() -> None:
    (row,) = rows_of(record(Kind.INFER, b"", b""), TENSORS)
    row.request = b"all of it"
    Hiding(b"k" * 16).hide(row, b'{"x":"drop"}')
    assert row.request is None


@pytest.mark.parametrize("rule", [b"{", b"[]", b'{"a":"show"}', b'{"a":1}', b"\xff"])
def test_a_rule_that_cannot_be_read_lets_nothing_out(rule: bytes) -> None:
    (row,) = rows_of(item({"a": 1.0}), WIDE)
    with pytest.raises(Undecodable):
        Hiding(b"k" * 16).hide(row, rule)
