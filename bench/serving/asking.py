"""The load: every model in turn, its rows in turn, each answer compared with what LightGBM says.

An answer is read and compared when it is seen first; from then on the same bytes are right, so that one
core of ours can load servers that are faster than protobuf in Python.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from google.protobuf.message import DecodeError

from bench.calling import Requests, SessionCaller
from bench.serving.models import ROWS, Models
from bench.serving.peer import Headers, Wire

# Servers answer in float32, LightGBM in float64.
TOLERANCE = 1e-5
# What `SessionCaller` calls an answer that is none of ours.
WRONG = "another answer"


class Asks:
    """Request n asks model `numbers[n % len(numbers)]`, and another row each time round."""

    def __init__(self, wire: Wire, models: Models, numbers: Sequence[int], rows: int = ROWS) -> None:
        self.path = wire.path.encode()
        self._prediction = wire.prediction
        pairs = [(number, row) for row in range(rows) for number in numbers]
        self._messages = [wire.message(number, models.rows[row]) for number, row in pairs]
        self._headers = [wire.headers(number) for number, _ in pairs]
        self._expected = [float(models.expected(number)[row]) for number, row in pairs]
        self._seen = [b""] * len(pairs)

    def __len__(self) -> int:
        """Different requests."""
        return len(self._messages)

    def tenant(self, number: int) -> bytes:
        return b""

    def headers(self, number: int) -> Headers:
        return self._headers[number % len(self._headers)]

    def message(self, number: int) -> bytes:
        return self._messages[number % len(self._messages)]

    def is_answer(self, number: int, answer: bytes) -> bool:
        place = number % len(self._seen)
        if answer and answer == self._seen[place]:
            return True
        try:
            said = self._prediction(answer)
        except (ValueError, DecodeError):
            return False
        if not math.isclose(said, self._expected[place], rel_tol=0.0, abs_tol=TOLERANCE):
            return False
        self._seen[place] = answer
        return True


class AskingCaller(SessionCaller):
    """Sends the headers that the load has, and no tenant."""

    def headers(self, load: Requests, number: int) -> Headers:
        assert isinstance(load, Asks)
        return load.headers(number)
