"""Messages that arrive in pieces: refused as soon as it shows that they would be refused whole."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fields import loose_fields

from croupier.fields import MalformedMessage, TooManyFields, seen_by
from router import envelope


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Fields with a few bytes changed, or cut short."""
    data = bytearray(draw(loose_fields()))
    for place in draw(st.lists(st.integers(0, max(len(data) - 1, 0)), max_size=3)) if data else ():
        data[place] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))])


def fields_in(data: bytes) -> int:
    """The fields of a message and of its groups, whose bounds are one each. Raises MalformedMessage."""
    found = begin = 0
    for number, kind, _, end in envelope.scan(data):
        head = len(envelope._encoded(number << 3 | kind))
        found += 1 + (fields_in(data[begin + head : end - head]) + 1 if kind == 3 else 0)
        begin = end
    return found


class TestMessagesThatArrive:
    @given(st.one_of(mutated(), loose_fields()), st.lists(st.integers(0, 60)), st.integers(1, 12))
    def test_what_is_refused_early_would_be_refused_whole(
        self, data: bytes, places: list[int], most: int
    ) -> None:
        pieces = [*sorted(place for place in places if place < len(data)), len(data)]
        try:
            seen_by(data, pieces, most)
        except MalformedMessage:
            with pytest.raises(MalformedMessage):
                envelope.scan(data)
        except TooManyFields:
            # Each of them has a byte, and what is whole has more fields than that.
            with suppress(MalformedMessage):
                assert fields_in(data) > most

    @given(loose_fields(), st.lists(st.integers(0, 60)))
    def test_each_field_is_seen_once_however_it_is_cut(self, data: bytes, places: list[int]) -> None:
        pieces = [*sorted(place for place in places if place < len(data)), len(data)]
        assert seen_by(data, pieces) == seen_by(data, range(len(data) + 1)) == fields_in(data)

    @pytest.mark.parametrize(
        "first",
        [
            b"\x0a\xff\xff\xff\x7f",  # longer than the message
            b"\x0a\x03abc\x0f",  # a wire type that there is not
            b"\xff" * 6,
            b"\x0a\x00\x0c",  # the end of no group
            b"\x00\x01",
            b"\x08" + b"\xff" * 10,
            b"\x0b" * 101,
        ],
    )
    def test_what_is_no_protobuf_is_refused_by_its_first_bytes(self, first: bytes) -> None:
        data = first + bytes(8 * 2**20)
        with pytest.raises(MalformedMessage):
            seen_by(data, [len(first) + 16])

    @pytest.mark.parametrize("part", [b"\x2a\x00", b"\x0b\x0c", b"\x0b\x2a\x00\x0c"])
    def test_very_many_fields_are_refused_by_the_first_of_them(self, part: bytes) -> None:
        data = part * 2**20
        with pytest.raises(TooManyFields):
            seen_by(data, range(16_384, 2**17 + 16_385, 16_384))
