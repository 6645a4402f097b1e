"""How large an answer may be: what a model would give is compared with the limit before it is scored.

A request of some kilobytes may ask for gigabytes: rows times outputs. Where a model says how much it gives,
too much is refused at once; where it does not (text, dimensions that are free), the outputs are looked at
before anything is made of them. Asking again, or asking another cell, is no use, so that the refusal is the
caller's.
"""

from __future__ import annotations

from cell.codec.signature import Array, Arrays
from croupier.errors import InvalidRequest


class AnswerTooLarge(InvalidRequest):
    """More rows, or items, than one message can answer. The caller's: ask for fewer at a time."""

    reason = "ANSWER_TOO_LARGE"


class Room:
    """What is left of an answer's `most` bytes; `field` is what there is too much of if it is too little."""

    def __init__(self, most: int, field: str, taken: int = 0) -> None:
        self._most = most
        self._field = field
        self._taken = taken

    def take(self, size: int) -> None:
        """Before scoring: room for what will have `size` bytes at least. Raises AnswerTooLarge."""
        if self._taken + size > self._most:
            raise AnswerTooLarge(
                f"the answer would have more than {self._most} bytes: ask for less at a time",
                field=self._field,
            )
        self._taken += size

    def settle(self, size: int, arrays: Arrays) -> None:
        """After it: room for what was given beyond `size`. Raises AnswerTooLarge."""
        self.take(max(0, sum(map(_size_of, arrays.values())) - size))


def _size_of(array: Array) -> int:
    if array.dtype.kind != "O":
        return array.nbytes
    return sum(len(element) for element in array.ravel().tolist())
