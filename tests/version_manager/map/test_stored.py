"""What a model's keys come to, whatever lies there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import KEYS, FakeEtcd, model_keys, version, whole

from croupier.names import MAX_VERSION
from croupier.stores.etcd import Compare, KeyValue
from version_manager.map.records import Spent, encode
from version_manager.map.stored import NoNumberLeft, Stored, read_stored

NOTHING = Spent()
FENCE = Compare("croupier/spent/acme/wine", 3)


def pair(key: str, value: bytes, revision: int = 5) -> KeyValue:
    return KeyValue(key, value, revision, 1, 0)


def stored(*numbers: int, release: bytes | None = None, spent: Spent = NOTHING) -> Stored:
    items = [
        pair(KEYS.version("acme", "wine", number), encode(version(number)), number) for number in numbers
    ]
    if release is not None:
        items.append(pair(KEYS.release("acme", "wine"), release, 9))
    return read_stored(KEYS, items, spent, FENCE)


@given(st.sets(st.integers(1, 50), max_size=8), st.integers(0, 60))
def test_the_next_number_was_never_given_out(numbers: set[int], spent: int) -> None:
    model = stored(*numbers, spent=Spent(spent, 0))
    assert model.next_number() == max(spent, *numbers, 0) + 1
    assert model.numbers == numbers == set(model.versions)


def test_a_models_config_is_none_of_its_own_things() -> None:
    items = [pair(KEYS.config("acme", "wine"), b"?"), pair(KEYS.old_config("acme", "wine", 1), b"?")]
    assert read_stored(KEYS, items).revisions == {}


def test_no_number_is_left_after_the_highest() -> None:
    with pytest.raises(NoNumberLeft):
        stored(spent=Spent(MAX_VERSION, 0)).next_number()


def test_a_key_that_does_not_decode_takes_its_number_all_the_same() -> None:
    model = read_stored(KEYS, [pair(KEYS.version("acme", "wine", 7), b"{")])
    assert (model.numbers, dict(model.versions), model.next_number()) == ({7}, {}, 8)


def test_a_release_that_fits_its_versions_is_read() -> None:
    model = stored(1, 2, release=encode(whole(2, number=4)))
    assert (model.release, model.is_release_bad) == (whole(2, number=4), False)
    assert model.highest == Spent(2, 4)


@pytest.mark.parametrize("value", [b"{", encode(whole(3))])
def test_one_that_does_not_is_bad_and_not_taken_for_none(value: bytes) -> None:
    model = stored(1, release=value)
    assert (model.release, model.is_release_bad) == (None, True)


def test_a_version_that_a_release_names_and_nobody_has_is_not_given_out_again() -> None:
    assert stored(1, release=encode(whole(9))).next_number() == 10


def test_nothing_is_unchanged_but_what_stands_at_its_revision_behind_the_fence() -> None:
    model = stored(2)
    here, absent = KEYS.version("acme", "wine", 2), KEYS.release("acme", "wine")
    assert model.unchanged([here, absent]) == [Compare(here, 2), Compare(absent, 0), FENCE]
    assert read_stored(KEYS, []).unchanged([absent]) == [Compare(absent, 0)]


def content(pairs: dict[str, bytes]) -> Stored:
    return read_stored(KEYS, FakeEtcd(pairs).listed().items)


def test_a_model_is_read_with_its_revisions() -> None:
    found = content(model_keys("acme", "churn"))
    assert (found.versions, found.release) == ({1: version()}, whole(1))
    keys = [KEYS.release("acme", "churn"), KEYS.version("acme", "churn", 2)]
    assert found.unchanged(keys) == [Compare(keys[0], 10), Compare(keys[1], 0)]
    assert found.next_number() == 2


def test_garbage_is_there_and_is_nothing() -> None:
    found = content({KEYS.version("acme", "churn", 4): b"?", KEYS.release("acme", "churn"): b"?"})
    assert (found.versions, found.release, found.is_release_bad) == ({}, None, True)
    assert found.next_number() == 5
    assert len(found.revisions) == 2


def test_what_was_spent_counts_and_is_compared() -> None:
    fence = Compare(KEYS.spent("acme", "churn"), 3)
    pairs = FakeEtcd(model_keys("acme", "churn")).listed().items
    found = read_stored(KEYS, pairs, Spent(version=7, release=4), fence)
    assert (found.next_number(), found.highest) == (8, Spent(7, 4))
    assert found.unchanged([]) == [fence]
