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
