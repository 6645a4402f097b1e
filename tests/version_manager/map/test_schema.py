"""Today's records beside a pretended next schema: what each reads of the other, and what survives."""

import json
from contextlib import suppress
from functools import partial
from typing import Annotated

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from version_manager.map import schema as schemas
from version_manager.map.keys import BadRecord
from version_manager.map.schema import SINCE, NewerRecord, schema_of, understood, write

# Today is the first schema here, whatever it has become.
read = partial(schemas.read, current=1)
carry_over = partial(schemas.carry_over, current=1)


class _Seat(Struct, frozen=True, forbid_unknown_fields=True):
    cell: str
    weight: float = 1.0


class _Pin(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    hand_size: int = 0


class _Map(Struct, frozen=True, forbid_unknown_fields=True):
    seed: int
    seats: tuple[_Seat, ...] = ()
    pins: dict[str, _Pin] = {}


class _NextSeat(_Seat, frozen=True, forbid_unknown_fields=True):
    rack: Annotated[str, Meta(extra={SINCE: 2})] = ""


class _NextPin(_Pin, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    floor: Annotated[int, Meta(extra={SINCE: 2})] = 0


class _NextMap(Struct, frozen=True, forbid_unknown_fields=True):
    seed: int
    seats: tuple[_NextSeat, ...] = ()
    pins: dict[str, _NextPin] = {}
    planner: Annotated[str, Meta(extra={SINCE: 2})] = ""


NEXT = _NextMap(7, (_NextSeat("a", 2.0, "r1"), _NextSeat("b")), {"acme": _NextPin(2, 9)}, "greedy")
TODAY = _Map(7, (_Seat("a", 2.0), _Seat("b")), {"acme": _Pin(2)})


def test_the_next_release_reads_todays_record() -> None:
    assert read(write(TODAY), _NextMap, current=2) == _NextMap(
        7, (_NextSeat("a", 2.0), _NextSeat("b")), {"acme": _NextPin(2)}
    )


def test_today_reads_the_next_releases_record_as_far_as_it_knows_it() -> None:
    value = write(NEXT)
    assert schema_of(value) == 2
    assert read(value, _NextMap, current=2) == NEXT
    assert read(value, _Map, current=1) == TODAY


def test_a_record_takes_the_lowest_schema_that_can_hold_it() -> None:
    plain = _NextMap(7, (_NextSeat("a", 2.0), _NextSeat("b")), {"acme": _NextPin(2)})
    assert write(plain) == write(TODAY)
    assert schema_of(write(plain)) == 1
    assert schema_of(write(_NextMap(7, (_NextSeat("a", 1.0, "r1"),)))) == 2
    assert schema_of(write(_NextMap(7, pins={"acme": _NextPin(0, 1)}))) == 2


@pytest.mark.parametrize("schema", [{}, {"schema": 1}])
def test_in_a_schema_that_is_known_a_field_that_is_not_is_a_typo(schema) -> None:
    for extra in ({"sead": 1}, {"seats": [{"cell": "a", "wieght": 1}]}, {"pins": {"acme": {"hands": 1}}}):
        (name,) = {"sead", "wieght", "hands"} & set(json.dumps(extra).replace('"', " ").split())
        with pytest.raises(BadRecord, match=f"unknown field `{name}`"):
            read(json.dumps({"seed": 7} | schema | extra).encode(), _Map)


def test_what_is_further_ahead_is_refused_and_not_written_over() -> None:
    value = json.dumps({"schema": 3, "seed": 7}).encode()
    with pytest.raises(NewerRecord, match="schema 3, and this release reads up to 2"):
        read(value, _Map)
    with pytest.raises(NewerRecord):
        carry_over(value, write(TODAY), _Map)
    assert read(value, _NextMap, current=2) == _NextMap(7)


@pytest.mark.parametrize("schema", [0, -1, 1.5, "2", None, [2], 2**31, 10**40])
def test_a_schema_is_a_number(schema) -> None:
    value = json.dumps({"schema": schema, "seed": 7}).encode()
    with pytest.raises(BadRecord):
        read(value, _Map)
    assert carry_over(value, write(TODAY), _Map) == write(TODAY)


@pytest.mark.parametrize(
    "value",
    [
        b'{"schema": 2, "seed": "7", "more": 1}',
        b'{"schema": 2}',
        b'{"schema": 2, "seed": 7, "seats": 1}',
        b'{"schema": 2, "seed": 7, "seats": [1]}',
        b'{"schema": 2, "seed": 7, "seats": {"cell": "a"}}',
        b'{"schema": 2, "seed": 7, "pins": {"acme": 1}}',
        b'{"schema": 2, "seed": 7, "pins": []}',
        b'{"schema": 2, "seed": 7, "more": "\xff"}',
        b'{"schema": 2, "seed": 7, "more": ' + b"[" * 100_000,
    ],
)
def test_what_is_known_of_the_next_schema_is_held_to_all_rules(value) -> None:
    with pytest.raises(BadRecord):
        read(value, _Map)


def test_what_today_does_not_know_survives_its_writing() -> None:
    changed = _Map(8, (_Seat("b", 3.0), _Seat("a", 4.0), _Seat("c")), {"acme": _Pin(3), "globex": _Pin(1)})
    after = carry_over(write(NEXT), write(changed), _Map)
    assert read(after, _NextMap, current=2) == _NextMap(
        8,
        (_NextSeat("b", 3.0), _NextSeat("a", 4.0, "r1"), _NextSeat("c")),
        {"acme": _NextPin(3, 9), "globex": _NextPin(1)},
        "greedy",
    )
    assert read(after, _Map) == changed


class _Part(Struct, frozen=True, forbid_unknown_fields=True):
    percent: Annotated[int, Meta(extra={SINCE: 2})]


class _NextPart(_Part, frozen=True, forbid_unknown_fields=True):
    floor: Annotated[int, Meta(extra={SINCE: 3})] = 0


class _Sized(Struct, frozen=True, forbid_unknown_fields=True):
    size: int | _Part
    pins: dict[str, _Pin] = {}


class _Numbered(Struct, frozen=True, forbid_unknown_fields=True):
    size: int
    pins: dict[str, _Pin] = {}


class _NextSized(Struct, frozen=True, forbid_unknown_fields=True):
    size: int | _NextPart
    pins: dict[str, _Pin] = {}


def test_an_alternative_takes_its_own_schema() -> None:
    assert write(_Sized(3)) == b'{"size":3,"pins":{}}'
    assert write(_Sized(_Part(20))) == b'{"schema":2,"size":{"percent":20},"pins":{}}'
    assert schema_of(write(_NextSized(_NextPart(20)))) == 2
    assert schema_of(write(_NextSized(_NextPart(20, 4)))) == 3
    # One of the release before does not know it, and says so: it is no field that could be passed over.
    with pytest.raises(BadRecord, match="got `object`"):
        read(write(_Sized(_Part(20))), _Numbered)


def test_what_is_not_known_of_an_alternative_is_passed_over_and_kept() -> None:
    value = write(_NextSized(_NextPart(20, 4)))
    assert schemas.read(value, _Sized, current=2) == _Sized(_Part(20))
    kept = schemas.carry_over(value, write(_Sized(_Part(30))), _Sized, current=2)
    assert schemas.read(kept, _NextSized, current=3) == _NextSized(_NextPart(30, 4))
    gone = schemas.carry_over(value, write(_Sized(7)), _Sized, current=2)
    assert schemas.read(gone, _NextSized, current=3) == _NextSized(7)
    back = schemas.carry_over(gone, write(_Sized(_Part(30))), _Sized, current=2)
    assert schemas.read(back, _NextSized, current=3) == _NextSized(_NextPart(30))


def test_what_is_taken_away_goes_with_what_was_not_known_of_it() -> None:
    after = read(carry_over(write(NEXT), write(_Map(7)), _Map), _NextMap, current=2)
    assert after == _NextMap(7, planner="greedy")


def test_garbage_and_todays_records_have_nothing_to_carry_over() -> None:
    for before in (b"", b"{", b"[1]", b"null", b'{"seed": 7, "planer": 1}', write(TODAY)):
        assert carry_over(before, write(_Map(8)), _Map) == write(_Map(8))


def test_a_part_understands_the_schemas_up_to_its_protocol() -> None:
    protocols = {1: 1, 2: 3, 3: 4}
    assert [understood(number, protocols) for number in (1, 2, 3, 4, 9)] == [1, 1, 2, 3, 3]


SEATS = st.lists(
    st.builds(_NextSeat, st.sampled_from("abcd"), st.sampled_from([1.0, 2.0]), st.sampled_from(["", "r"])),
    max_size=4,
    unique_by=lambda seat: seat.cell,
).map(tuple)
PINS = st.dictionaries(
    st.sampled_from("xyz"), st.builds(_NextPin, st.integers(0, 2), st.integers(0, 2)), max_size=3
)
MAPS = st.builds(_NextMap, st.integers(0, 3), SEATS, PINS, st.sampled_from(["", "greedy"]))


@given(MAPS, MAPS)
def test_rewriting_keeps_what_is_unknown_and_writes_what_is_known(before, wanted) -> None:
    value = write(before)
    today = read(value, _Map)
    assert read(carry_over(value, write(today), _Map), _NextMap, current=2) == before
    known = read(write(wanted), _Map)
    assert read(carry_over(value, write(known), _Map), _Map) == known


@given(
    st.binary(max_size=80)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["schema", "seed", "seats", "pins", "cell", "x"]), inner, max_size=4
            )
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode())
)
def test_no_value_raises_anything_else(value) -> None:
    with suppress(BadRecord):
        read(value, _Map)
    with suppress(NewerRecord):
        assert msgspec.json.decode(carry_over(value, write(TODAY), _Map))["seed"] == 7


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"seed": "7"}, "seed"),
        ({"seed": 7, "sead": 1}, "sead"),
        ({"seed": 7, "seats": [{"cell": "a", "wait": 1}]}, "seats[0].wait"),
        ({"seed": 7, "seats": [{"weight": 1.0}]}, "seats[0].cell"),
        ({"seed": 7, "pins": {"acme": {"size": "x"}}}, "pins[...].size"),
        ({"schema": "2", "seed": 7}, "schema"),
        ([], ""),
        ({"schema": 9, "seed": 7}, ""),
    ],
)
def test_what_is_wrong_is_told_by_its_field(value, field) -> None:
    with pytest.raises(BadRecord) as refused:
        read(json.dumps(value).encode(), _Map)
    assert refused.value.field == field


def test_a_record_that_begins_with_its_schema_is_held_to_the_same_rules() -> None:
    """What a release writes begins with its schema, and takes a shorter way."""
    for value in (b'{"schema":2,"seed":7}', b'{"seed":7,"schema":2}', b'{ "schema":2,"seed":7}'):
        assert schemas.read(value, _NextMap, current=2) == _NextMap(7)
    for value in (
        b'{"schema":2,}',
        b'{"schema":2,"seed":7,"schema":4}',
        b'{"schema":2,"seed":7,"sead":1}',
        b'{"schema":2',
    ):
        with pytest.raises(BadRecord):
            schemas.read(value, _NextMap, current=2)


@given(
    st.builds(write, st.builds(_NextPin, st.integers(0, 2), st.integers(1, 2))),
    st.integers(0, 30),
    st.integers(0, 30),
    st.sampled_from([b"", b",", b"}", b'"', b" ", b"0"]),
)
@example(b'{"schema":2,"floor":1}', 12, 9, b"")
def test_the_shorter_way_reads_what_the_longer_one_does(value, place, size, between) -> None:
    """All fields of this record may be left out: a damaged one must not be read as an empty one."""
    damaged = value[:place] + between + value[place + size :]
    read = [read_or_refused(each) for each in (damaged, b" " + damaged)]
    assert read[0] == read[1]


def read_or_refused(value: bytes) -> _NextPin | None:
    try:
        return schemas.read(value, _NextPin, current=2)
    except BadRecord:
        return None
