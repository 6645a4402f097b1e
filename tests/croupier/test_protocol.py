"""The number that parts of different releases speak by."""

import re

import pytest

from croupier import protocol


@pytest.mark.parametrize(("sent", "spoken"), [(0, protocol.FIRST), (1, 1), (2, 2), (99, 99)])
def test_who_announces_none_speaks_the_first(sent: int, spoken: int) -> None:
    assert protocol.announced(sent) == spoken


def test_every_number_has_a_row_and_the_last_one_is_the_current() -> None:
    rows = [int(number) for number in re.findall(r"^ {4}(\d+) {3}", protocol.__doc__ or "", re.MULTILINE)]
    assert rows == list(range(protocol.FIRST, protocol.CURRENT + 1))
    assert protocol.FIRST < protocol.OWNER <= protocol.CURRENT


def test_places_of_what_was_loaded_come_as_they_were_said() -> None:
    assert [protocol.cold_places(said) for _, said in protocol.cold_answer([7, 0, 7])] == [[0, 7]]
    said = protocol.cold_answer([3], protocol.cold_answer([5]))
    assert said == [(protocol.COLD, b"items 3,5")]


def test_what_was_said_of_all_stays_of_all() -> None:
    assert protocol.cold_answer([3], protocol.COLD_ANSWER) == protocol.COLD_ANSWER


def test_of_very_many_places_all_are_said() -> None:
    assert protocol.cold_answer(range(64)) != protocol.COLD_ANSWER
    assert protocol.cold_answer(range(65)) == protocol.COLD_ANSWER


@pytest.mark.parametrize("said", [b"1", b"", b"items ", b"items x", b"items 1,,2", b"yes"])
def test_what_says_no_places_is_said_of_all(said: bytes) -> None:
    assert protocol.cold_places(said) is None
