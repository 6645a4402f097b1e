from typing import cast

import numpy as np
import pytest

from bench.engine_models import Array
from bench.serving.asking import Asks
from bench.serving.models import Models
from bench.serving.peer import Headers


class FakeModels:
    """Model n says n of row 0 and n + 0.5 of row 1."""

    rows = np.array([[0.0], [0.5]], np.float32)

    def expected(self, number: int) -> Array:
        return number + self.rows[:, 0]


class FakeWire:
    path = "/some.Service/Ask"

    def __init__(self) -> None:
        self.read: list[bytes] = []

    def message(self, number: int, row: Array) -> bytes:
        return f"{number} {row[0]}".encode()

    def headers(self, number: int) -> Headers:
        return ((b"model", str(number).encode()),)

    def prediction(self, answer: bytes) -> float:
        self.read.append(answer)
        return float(answer)


@pytest.fixture
def wire() -> FakeWire:
    return FakeWire()


@pytest.fixture
def asks(wire: FakeWire) -> Asks:
    return Asks(wire, cast("Models", FakeModels()), [3, 4], rows=2)


def test_models_are_asked_in_turn_and_another_row_each_time_round(asks: Asks) -> None:
    assert [asks.message(number) for number in range(5)] == [b"3 0.0", b"4 0.0", b"3 0.5", b"4 0.5", b"3 0.0"]
    assert asks.headers(5) == ((b"model", b"4"),)
    assert asks.path == b"/some.Service/Ask"


@pytest.mark.parametrize("answer", [b"", b"none", b"nan", b"4.0", b"3.0001"])
def test_whatever_is_not_the_librarys_answer_is_wrong(asks: Asks, answer: bytes) -> None:
    assert not asks.is_answer(0, answer)
    assert not asks.is_answer(0, answer)


def test_a_right_answer_is_read_once(asks: Asks, wire: FakeWire) -> None:
    assert [asks.is_answer(number, b"3.000001") for number in (0, 4, 8)] == [True, True, True]
    assert wire.read == [b"3.000001"]
    assert not asks.is_answer(1, b"3.000001")


def test_answers_that_differ_in_their_bytes_are_read_each_time(asks: Asks, wire: FakeWire) -> None:
    assert asks.is_answer(0, b"3.0")
    assert asks.is_answer(0, b"3.00")
    assert not asks.is_answer(0, b"5.0")
    assert wire.read == [b"3.0", b"3.00", b"5.0"]
