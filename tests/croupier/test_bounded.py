from hypothesis import given
from hypothesis import strategies as st

from croupier.bounded import Bounded


def test_what_was_written_longest_ago_goes() -> None:
    table: Bounded[str, int] = Bounded(2)
    table["a"], table["b"] = 1, 2
    table["a"] = 3
    table["c"] = 4
    assert list(table.items()) == [("a", 3), ("c", 4)]


def test_reading_keeps_nothing() -> None:
    table: Bounded[str, int] = Bounded(2)
    table["a"], table["b"] = 1, 2
    assert (table["a"], table.get("a"), "a" in table) == (1, 1, True)
    table["c"] = 3
    assert list(table) == ["b", "c"]


@given(st.lists(st.integers(0, 9)), st.integers(1, 5))
def test_it_holds_the_last_keys_that_were_written(keys: list[int], most: int) -> None:
    table: Bounded[int, int] = Bounded(most)
    for place, key in enumerate(keys):
        table[key] = place
    last = list(dict.fromkeys(reversed(keys)))[:most]
    assert list(table) == last[::-1]
    assert all(table[key] == len(keys) - 1 - keys[::-1].index(key) for key in table)
