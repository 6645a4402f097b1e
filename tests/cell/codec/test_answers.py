import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cell.codec.answers import AnswerTooLarge, Room


@given(st.lists(st.integers(0, 100), max_size=20), st.integers(0, 1000), st.integers(0, 100))
def test_what_is_taken_is_never_more_than_there_is(sizes: list[int], most: int, taken: int) -> None:
    room, left = Room(most, "items", taken), most - taken
    for size in sizes:
        if size <= left:
            room.take(size)
            left -= size
        else:
            with pytest.raises(AnswerTooLarge, match=f"more than {most} bytes"):
                room.take(size)


def test_a_refusal_names_what_there_is_too_much_of() -> None:
    with pytest.raises(AnswerTooLarge) as caught:
        Room(10, "items").take(11)
    assert caught.value.field == "items"


def test_only_what_was_given_beyond_what_was_taken_is_taken_afterwards() -> None:
    room = Room(24, "rows")
    room.take(16)
    room.settle(16, {"scores": np.zeros(2, np.float64)})
    room.settle(0, {"scores": np.zeros(2, np.float32)})
    with pytest.raises(AnswerTooLarge):
        room.settle(0, {"scores": np.zeros(1, np.uint8)})


def test_texts_are_counted_by_their_bytes() -> None:
    texts = {"label": np.array([[b"yes"], [b"certainly"]], object)}
    Room(12, "rows").settle(0, texts)
    with pytest.raises(AnswerTooLarge):
        Room(11, "rows").settle(0, texts)
