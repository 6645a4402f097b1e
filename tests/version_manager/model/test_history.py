from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_manager.model.history import Change, History


def change(revision: int, size: int = 1) -> Change:
    return Change(revision, removed=tuple(("acme", f"model-{number}") for number in range(size)))


def since(history: History, revision: int):
    """What a reader gets that comes with `revision`."""
    position = history.position_of(revision)
    return None if position is None else history.after(position)


def test_a_change_counts_everything_in_it():
    assert change(1, 3).size == 3
    assert Change(1, removed_cells=("a", "b")).size == 2
    assert Change(1).size == 0


@pytest.mark.parametrize("name", [field.name for field in fields(Change) if field.name != "revision"])
def test_a_change_of_one_thing_is_kept(name: str) -> None:
    history, one = History(0, limit=1), replace(Change(1), **{name: (object(),)})
    history.append(one)
    assert since(history, 0) == (one,)


def test_readers_get_what_they_missed():
    history = History(10, limit=100)
    for revision in (11, 14, 15):
        history.append(change(revision))
    assert since(history, 10) == (change(11), change(14), change(15))
    assert since(history, 12) == (change(14), change(15))
    assert since(history, 15) == ()


def test_what_is_before_or_ahead_is_unknown():
    history = History(10, limit=100)
    history.append(change(11))
    assert since(history, 9) is None
    assert since(history, 12) is None
    assert since(History(10, limit=100), 10) == ()


def test_a_revision_that_changed_nothing_counts_nevertheless():
    history = History(10, limit=1)
    for revision in range(11, 20):
        history.append(Change(revision))
    assert since(history, 10) == ()
    assert history.revision == 19
    assert since(history, 19) == ()


def test_the_oldest_changes_go_first():
    history = History(0, limit=4)
    for revision in (1, 2, 3):
        history.append(change(revision, 2))
    assert since(history, 0) is None
    assert since(history, 1) == (change(2, 2), change(3, 2))


def test_a_change_beyond_the_limit_leaves_nothing():
    history = History(0, limit=4)
    history.append(change(1))
    history.append(change(2, 5))
    assert since(history, 1) is None
    assert since(history, 2) == ()


@given(st.lists(st.integers(0, 4), max_size=30), st.integers(1, 10), st.integers(0, 31))
def test_whatever_is_known_is_complete(sizes, limit, asked):
    history = History(0, limit)
    changes = [change(revision, size) for revision, size in enumerate(sizes, 1)]
    for one in changes:
        history.append(one)
    known = since(history, asked)
    if known is not None:
        assert list(known) == [one for one in changes if one.revision > asked and one.size]


def test_who_comes_with_the_revision_that_stands_gets_all_that_came_since():
    history = History(10, limit=100)
    history.append(change(11))
    at = history.position
    history.append_standing(change(11, 2))
    history.append_standing(change(11, 3))
    assert history.after(at) == since(history, 11) == (change(11, 2), change(11, 3))
    assert since(history, 10) == (change(11), change(11, 2), change(11, 3))
    at = history.position
    history.append(change(12))
    assert history.after(at) == (change(12),)
    assert since(history, 11) == (change(11, 2), change(11, 3), change(12))
    assert since(history, 12) == ()


def test_a_standing_change_that_is_not_kept_is_missed():
    history = History(10, limit=4)
    at = history.position
    for _ in range(3):
        history.append_standing(change(10, 2))
    assert history.after(at) is None
    assert since(history, 10) is None
    history.append(change(11))
    assert since(history, 11) == ()


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=30), st.integers(1, 10), st.data())
def test_whoever_goes_on_by_position_misses_nothing(steps, limit, data):
    history, made = History(0, limit), []
    joins = data.draw(st.integers(0, len(steps)))
    position, missed = None, None
    for number, (stands, size) in enumerate(steps):
        if number == joins:
            position, missed = history.position, len(made)
        one = change(history.revision + (not stands), size)
        (history.append_standing if stands else history.append)(one)
        made += [one] if size else []
    if position is not None and (known := history.after(position)) is not None:
        assert list(known) == made[missed:]
