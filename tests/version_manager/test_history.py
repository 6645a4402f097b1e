from hypothesis import given
from hypothesis import strategies as st

from version_manager.history import Change, History


def change(revision: int, size: int = 1) -> Change:
    return Change(revision, removed=tuple(("acme", f"model-{number}") for number in range(size)))


def test_a_change_counts_everything_in_it():
    assert change(1, 3).size == 3
    assert Change(1, removed_cells=("a", "b")).size == 2
    assert Change(1).size == 0


def test_readers_get_what_they_missed():
    history = History(10, limit=100)
    for revision in (11, 14, 15):
        history.append(change(revision))
    assert history.since(10) == (change(11), change(14), change(15))
    assert history.since(12) == (change(14), change(15))
    assert history.since(15) == ()


def test_what_is_before_or_ahead_is_unknown():
    history = History(10, limit=100)
    history.append(change(11))
    assert history.since(9) is None
    assert history.since(12) is None
    assert History(10, limit=100).since(10) == ()


def test_a_revision_that_changed_nothing_counts_nevertheless():
    history = History(10, limit=1)
    for revision in range(11, 20):
        history.append(Change(revision))
    assert history.since(10) == ()
    assert history.revision == 19
    assert history.since(19) == ()


def test_the_oldest_changes_go_first():
    history = History(0, limit=4)
    for revision in (1, 2, 3):
        history.append(change(revision, 2))
    assert history.since(0) is None
    assert history.since(1) == (change(2, 2), change(3, 2))


def test_a_change_beyond_the_limit_leaves_nothing():
    history = History(0, limit=4)
    history.append(change(1))
    history.append(change(2, 5))
    assert history.since(1) is None
    assert history.since(2) == ()


@given(st.lists(st.integers(0, 4), max_size=30), st.integers(1, 10), st.integers(0, 31))
def test_whatever_is_known_is_complete(sizes, limit, asked):
    history = History(0, limit)
    changes = [change(revision, size) for revision, size in enumerate(sizes, 1)]
    for one in changes:
        history.append(one)
    known = history.since(asked)
    if known is not None:
        assert list(known) == [one for one in changes if one.revision > asked and one.size]
