"""What an entry says, and under which key; that each change has one is shown in `test_server`."""

import json
import random
from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from support.records import KEYS

from version_manager.map.audit import MANAGER, OUTSIDE, Actor, Audit


def test_entries_of_one_moment_have_keys_of_their_own():
    audit = Audit(KEYS, lambda: 5, random.Random(1))
    entries = [audit.entry(Actor("", "peer"), "publish", "acme/churn/1", size=3) for _ in range(100)]
    assert len({entry.key for entry in entries}) == 100
    assert all(entry.key.startswith("croupier-audit/00000000000000000005-") for entry in entries)
    assert json.loads(entries[0].value) == {
        "at": "1970-01-01T00:00:00.000+00:00",
        "who": "",
        "peer": "peer",
        "what": "publish",
        "target": "acme/churn/1",
        "size": 3,
    }


@given(st.lists(st.integers(0, 2**62), min_size=2, max_size=20))
def test_entries_sort_by_time(moments: list[int]) -> None:
    left = iter(moments)
    audit = Audit(KEYS, lambda: next(left), random.Random(1))
    keys = [audit.entry(MANAGER, "thaw", "").key for _ in moments]
    in_time = [key for _, key in sorted(zip(moments, keys, strict=True), key=lambda pair: pair[0])]
    assert [key.rpartition("-")[0] for key in sorted(keys)] == [key.rpartition("-")[0] for key in in_time]


def test_a_key_of_ones_own_stands_instead():
    audit = Audit(KEYS, lambda: 5, random.Random(1))
    assert (
        audit.entry(OUTSIDE, "delete", "x", key="croupier-audit/outside-7").key == "croupier-audit/outside-7"
    )


def test_an_entry_tells_the_moment_and_who_it_was_without_a_caller():
    moment = datetime(2023, 11, 14, 22, 13, 20, 123_999, UTC)
    audit = Audit(KEYS, lambda: int(moment.timestamp() * 1e6) * 1_000, random.Random(1))
    said = [json.loads(audit.entry(actor, "repair", "shards").value) for actor in (MANAGER, OUTSIDE)]
    assert [(one["at"], one["who"], one["peer"]) for one in said] == [
        ("2023-11-14T22:13:20.123+00:00", "version manager", ""),
        ("2023-11-14T22:13:20.123+00:00", "outside", ""),
    ]


def test_what_was_written_is_in_the_entry_as_it_was_written():
    audit = Audit(KEYS, lambda: 5, random.Random(1))
    entry = audit.entry(
        Actor("publisher/ci", "peer"), "set", "x", release=msgspec.Raw(b'{"number":7}'), replaces=6
    )
    told = json.loads(entry.value)
    assert (told["release"], told["replaces"], told["who"]) == ({"number": 7}, 6, "publisher/ci")


def test_a_request_that_has_a_name_is_named_and_a_manager_has_none():
    audit = Audit(KEYS, lambda: 5, random.Random(1))
    assert "request_id" not in json.loads(audit.entry(MANAGER, "adopt seed", "1").value)
    entry = audit.entry(Actor("operator/me", "peer", "mine"), "repair", "1 keys")
    assert json.loads(entry.value)["request_id"] == "mine"


def test_names_of_callers_cannot_end_an_entry():
    audit = Audit(KEYS, lambda: 5, random.Random(1))
    said = {"who": 'x","what":"thaw', "peer": 'a\n"', "target": 'acme/"}'}
    entry = audit.entry(Actor(said["who"], said["peer"]), "publish", said["target"])
    assert json.loads(entry.value).items() >= {**said, "what": "publish"}.items()
