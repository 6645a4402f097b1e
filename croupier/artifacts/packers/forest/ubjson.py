"""Reads UBJSON as XGBoost writes it, the binary form of JSON, into what `json.loads` would have given.

    value     Z  T  F                                       null, true, false
              i  U  I  l  L                                 int8, uint8, int16, int32, int64
              d  D                                          float32, float64
              S  text                                       a text
              [  value …  ]                                 a list
              [# length  value …                            the same, counted, without an end mark
              [$ type # length  bytes                       numbers of one type, as a NumPy array
              {  (text  value) …  }                         an object
    text      length  UTF-8
    length    an integer with its type, from 0 on

All numbers are big-endian. It is strict: no other mark, no key twice, nothing after the value. And it is
bounded: whatever a length says, it is compared with the bytes that are left before anything is made of it,
and values nest only so deep.

Source: ubjson.org, type reference, draft 12; XGBoost 3.2 writes no more of it than this.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

_MAX_DEPTH = 32
_INTEGERS = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8"}
_NUMBERS = {mark: np.dtype(kind) for mark, kind in (_INTEGERS | {b"d": ">f4", b"D": ">f8"}).items()}
_ONE = {
    mark: struct.Struct(code)
    for mark, code in {
        b"i": ">b",
        b"U": ">B",
        b"I": ">h",
        b"l": ">i",
        b"L": ">q",
        b"d": ">f",
        b"D": ">d",
    }.items()
}
_CONSTANTS = {b"Z": None, b"T": True, b"F": False}


def loads(data: bytes) -> Any:
    """The value that is all of `data`.

    Raises:
        ValueError: it is none.
    """
    reader = _Reader(data)
    value = reader.value(reader.take(1), 0)
    if reader.place != len(data):
        raise ValueError(f"{len(data) - reader.place} bytes follow the end")
    return value


class _Reader:
    """`place` is the first byte that is not read yet."""

    __slots__ = ("_data", "place")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def take(self, size: int) -> bytes:
        end = self.place + size
        if end > len(self._data):
            raise ValueError(f"it ends at byte {len(self._data)} where {end} are due")
        taken = self._data[self.place : end]
        self.place = end
        return taken

    def value(self, mark: bytes, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError(f"values nest deeper than {_MAX_DEPTH}")
        if mark in _ONE:
            return self._number(mark)
        if mark == b"S":
            return self._text()
        if mark == b"[":
            return self._list(depth)
        if mark == b"{":
            return self._object(depth)
        if mark in _CONSTANTS:
            return _CONSTANTS[mark]
        raise ValueError(f"byte {self.place - 1} is {mark!r}, which begins no value")

    def _number(self, mark: bytes) -> Any:
        form = _ONE[mark]
        return form.unpack(self.take(form.size))[0]

    def _length(self, mark: bytes, size: int = 1) -> int:
        """How many follow of what takes at least `size` bytes each."""
        if mark not in _INTEGERS:
            raise ValueError(f"byte {self.place - 1} is {mark!r} where a length is due")
        count: int = self._number(mark)
        if not 0 <= count * size <= len(self._data) - self.place:
            raise ValueError(f"the length before byte {self.place} is {count}, and the rest is shorter")
        return count

    def _text(self) -> str:
        return self.take(self._length(self.take(1))).decode()

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (mark := self.take(1)) != b"}":
            key = self.take(self._length(mark)).decode()
            if key in found:
                raise ValueError(f"an object has {key!r} twice")
            found[key] = self.value(self.take(1), depth + 1)
        return found

    def _list(self, depth: int) -> Any:
        mark = self.take(1)
        if mark == b"$":
            return self._array()
        if mark == b"#":
            count = self._length(self.take(1))
            return [self.value(self.take(1), depth + 1) for _ in range(count)]
        found = []
        while mark != b"]":
            found.append(self.value(mark, depth + 1))
            mark = self.take(1)
        return found

    def _array(self) -> np.ndarray[Any, np.dtype[Any]]:
        mark = self.take(1)
        kind = _NUMBERS.get(mark)
        if kind is None or self.take(1) != b"#":
            raise ValueError(f"byte {self.place - 1} begins no list of numbers")
        count = self._length(self.take(1), kind.itemsize)
        return np.frombuffer(self.take(count * kind.itemsize), kind)
