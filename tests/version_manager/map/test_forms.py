"""A shard map as etcd has it: written as ever where nothing new is used; what is wrong with it is named."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from support.generations import maps

from sharding.generation import Generation, Override, Seat, Share
from version_manager.map.keys import BadRecord, GenerationKey
from version_manager.map.records import decode, encode

KEY = GenerationKey(7)
SEAT = {"cell": "cell-1", "zone": "a"}


@given(maps())
def test_every_map_survives_etcd(generation):
    generation = replace(generation, number=7)
    assert decode(KEY, encode(generation)) == generation


def test_a_map_without_anything_new_is_written_as_ever():
    seats = (Seat("a", "x"), Seat("b", "y", 2.0, draining=True))
    plain = Generation(7, 5, 2, seats, {"acme": Override(("a",), hand_size=1)}, seed_since=3)
    assert encode(plain) == (
        b'{"seed":5,"hand_size":2,"seats":[{"cell":"a","zone":"x","weight":1.0,"draining":false},'
        b'{"cell":"b","zone":"y","weight":2.0,"draining":true}],"overrides":{"acme":{"pins":["a"],"hand_size":1}}}'
    )


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"hand_size": Share(20, 4)}, {"hand_size": {"percent": 20, "min": 4}}),
        ({"seats": (Seat("a", "x"), Seat("b", "x", dedicated="acme"))}, {}),
        ({"overrides": {"acme": Override(hand_size=Share(9))}}, {}),
        ({"author": "ann"}, {"author": "ann"}),
        ({"reason": "why not"}, {"reason": "why not"}),
    ],
)
def test_what_is_new_of_a_map_takes_a_later_schema(changes, found):
    written = json.loads(encode(replace(Generation(7, 5, 2, (Seat("a", "x"),)), **changes)))
    assert written["schema"] == 3
    assert found.items() <= written.items()
    assert ("author" in written, "reason" in written) == ("author" in changes, "reason" in changes)


@pytest.mark.parametrize(
    ("value", "field", "says"),
    [
        ({"hand_size": {"percent": 0}}, "hand_size.percent", "the hand size is 0 %"),
        ({"hand_size": {"percent": "20"}}, "hand_size.percent", "Expected `int`"),
        ({"hand_size": {"per_cent": 20}}, "hand_size.per_cent", "unknown field `per_cent`"),
        ({"hand_size": {"percent": 20, "min": -1}}, "hand_size.min", ">= 0"),
        ({"overrides": {"acme": {"hand_size": {"min": 4}}}}, "overrides[...].hand_size.percent", "missing"),
        (
            {"overrides": {"acme": {"hand_size": {"percent": 200}}}},
            "overrides.acme.hand_size.percent",
            "override acme: the hand size is 200 %",
        ),
        ({"seats": [SEAT | {"dedicated": "acme"}]}, "seats", "no seat is left to deal"),
        ({"seats": [SEAT | {"dedicatd": "acme"}]}, "seats[0].dedicatd", "unknown field"),
    ],
)
def test_what_is_wrong_with_a_map_is_named(value, field, says):
    with pytest.raises(BadRecord, match=says) as caught:
        decode(KEY, json.dumps({"seed": 1, "hand_size": 1, "seats": [SEAT]} | value).encode())
    assert caught.value.field == field
