"""Ids of requests: which ones of callers are taken, and what ours are like."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.request_ids import MAX_BYTES, RequestId, current, current_id, make, read


@pytest.mark.parametrize("value", [b"7", b"3f2a-1c", b"!~", b'"a=b"', b"x" * MAX_BYTES])
def test_a_callers_id_is_taken_as_it_is(value: bytes) -> None:
    assert read([value]) == value.decode()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"two words",
        b" 7",
        b"7\n",
        b"7\r\nERROR forged",
        b"7\0",
        b"7\x7f",
        b"caf\xc3\xa9",
        b"\xff",
        b"x" * (MAX_BYTES + 1),
        b"x" * 2**20,
    ],
)
def test_what_is_no_word_or_too_long_is_as_none(value: bytes) -> None:
    assert read([value]) == ""


def test_two_ids_are_as_none() -> None:
    assert read([]) == read([b"7", b"7"]) == read([b"7", b"8"]) == ""


@given(st.lists(st.binary(max_size=200), max_size=2))
def test_an_id_is_always_one_short_word(values: list[bytes]) -> None:
    assert re.fullmatch("[!-~]{0,128}", read(values))


def test_ours_are_short_and_never_twice_the_same() -> None:
    made = [make() for _ in range(1_000)]
    assert len(set(made)) == 1_000
    assert all(read([one.encode()]) == one and len(one) < 32 for one in made)


def test_one_of_ours_is_made_when_it_is_asked_for_and_then_stays() -> None:
    first, second = RequestId(), RequestId()
    assert int(str(second).partition("-")[2], 16) + 1 == int(str(first).partition("-")[2], 16)
    assert str(first) == str(first)


def test_what_another_made_is_adopted_only_while_there_is_none() -> None:
    given_one, late, free = RequestId("callers"), RequestId(), RequestId()
    str(late)
    for each in (given_one, late, free):
        each.adopt("cells")
    assert str(given_one) == "callers"
    assert str(late) != "cells"
    assert str(free) == "cells"
    free.adopt("")
    assert str(free) == "cells"


def test_a_task_knows_for_which_request_it_works() -> None:
    assert current_id() == ""
    token = current.set(RequestId("callers"))
    assert current_id() == "callers"
    current.reset(token)
