"""What `croupier/weight.pyx` does, once more in plain Python, to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from croupier.fields import MAX_FIELDS

DEEPEST = 8
_MOST_GROUPS = 100
_BYTES = {"BOOL": 1, "INT32": 4, "UINT32": 4, "FLOAT": 4, "ENUM": 4, "INT64": 8, "UINT64": 8, "DOUBLE": 8}
_OF_CPP = {getattr(FieldDescriptor, f"CPPTYPE_{name}"): size for name, size in _BYTES.items()}
_FIXED = {FieldDescriptor.TYPE_FLOAT: 4, FieldDescriptor.TYPE_DOUBLE: 8}


class Refused(Exception):
    """Named by its argument."""


class Twin:
    """The weighing of one message; `check` raises `Refused`, or leaves what may still come.

    `outside` bounds the fields outside of submessages. If it `is_whole`, packed numbers are counted.
    """

    def __init__(
        self,
        size: int,
        *,
        is_whole: bool = True,
        memory: int = 0,
        fields: int = MAX_FIELDS,
        outside: int = 0,
    ) -> None:
        self.left = memory or min(262_144 + 16 * size, 64 * 2**20)
        self.spare = fields
        self.outside = outside or 2**31 - 1
        self._is_whole = is_whole

    def check(self, descriptor: Any, data: bytes, depth: int = 0) -> None:
        once = len(descriptor.fields)
        for number, kind, value in self._fields(data, is_outside=not depth):
            field = descriptor.fields_by_number.get(number)
            if field is None:
                continue
            inner = field.message_type
            if inner is not None or (field.is_repeated and field.cpp_type == FieldDescriptor.CPPTYPE_STRING):
                self.spare += 1
            elif once:
                once -= 1
                self.spare += 1
            self.left -= self._weight(field, kind, value)
            if self.left < 0 or (kind == 2 and inner is not None and value and depth == DEEPEST - 1):
                raise Refused("TooHeavy")
            if kind == 2 and inner is not None:
                self.check(inner, value, depth + 1)

    def _fields(self, data: bytes, *, is_outside: bool) -> Iterator[tuple[int, int, bytes]]:
        """The fields that are not in groups: number, kind and value."""
        reading, groups = _Reading(data), 0
        while reading.at < len(data):
            if not self.spare or (is_outside and not self.outside):
                raise Refused("TooManyFields")
            number, kind, value = reading.field()
            if not number and not groups:
                raise Refused("MalformedMessage")
            self.spare -= 1
            self.outside -= is_outside
            groups += {3: 1, 4: -1}.get(kind, 0)
            if not 0 <= groups <= _MOST_GROUPS:
                raise Refused("MalformedMessage")
            if not groups and kind != 4:
                yield number, kind, value
        if groups:
            raise Refused("MalformedMessage")

    def _weight(self, field: Any, kind: int, value: bytes) -> int:
        """Of a field alone, without what a submessage holds."""
        if field.message_type is not None:
            return 96 if field.message_type.GetOptions().map_entry else 64
        if not field.is_repeated:
            return 0
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            return 32
        step = _FIXED.get(field.type)
        packed = len(value) // step if step else sum(byte < 0x80 for byte in value) * self._is_whole
        return _OF_CPP[field.cpp_type] * (1 + packed * (kind == 2))


class _Reading:
    """Protobuf's wire format, byte by byte."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def varint(self, most: int) -> int:
        value = 0
        for place, byte in enumerate(self.data[self.at : self.at + most]):
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                self.at += place + 1
                return value
        raise Refused("MalformedMessage")

    def take(self, size: int) -> bytes:
        if size >= 2**31 or self.at + size > len(self.data):
            raise Refused("MalformedMessage")
        self.at += size
        return self.data[self.at - size : self.at]

    def field(self) -> tuple[int, int, bytes]:
        tag = self.varint(5)
        kind = tag & 7
        if tag >= 2**32 or kind > 5:
            raise Refused("MalformedMessage")
        if kind == 0:
            self.varint(10)
            return tag >> 3, kind, b""
        return tag >> 3, kind, self.take(self.varint(5) if kind == 2 else {1: 8, 5: 4}.get(kind, 0))
