"""Cells as values: what one that says little is, and which words stand in records."""

from dataclasses import FrozenInstanceError, replace

import pytest

from croupier.protocol import FIRST
from version_manager.model.fleet import Cell, CellState, Load, Quarantined

CELL = Cell("cell-1", "a", "127.0.0.1:9000")


def test_a_cell_that_says_no_more_is_active_empty_and_of_the_first_release():
    assert Cell("cell-1", "a", "127.0.0.1:9000", 1.0, CellState.ACTIVE, Load(), FIRST) == CELL
    assert (CELL.load.capacity_bytes, CELL.load.quarantined, CELL.load.quarantined_total) == (0, (), 0)


def test_states_are_the_words_of_the_records():
    assert [str(state) for state in CellState] == ["active", "warming", "draining", "drained"]
    assert all(CellState(str(state)) is state for state in CellState)


@pytest.mark.parametrize("word", ["", "Active", "asleep", "active "])
def test_another_word_is_no_state(word):
    with pytest.raises(ValueError, match="is not a valid CellState"):
        CellState(word)


@pytest.mark.parametrize("value", [CELL, Load(), Quarantined(bytes(32), 1.0, "SIGSEGV", "score")])
def test_they_are_values(value):
    assert replace(value) == value
    assert hash(replace(value)) == hash(value)
    for field in value.__dataclass_fields__:
        with pytest.raises(FrozenInstanceError):
            setattr(value, field, None)
