from support.records import KEYS, version

from version_manager.map.entries import Entry
from version_manager.model.release import Model, Release, Split

RELEASE = Release(1, (Split(1, 10_000),))
VERSION, RELEASED = KEYS.parse(KEYS.version("acme", "churn", 1)), KEYS.parse(KEYS.release("acme", "churn"))
MODEL = Model("acme", "churn", {1: version(1)}, RELEASE)


def test_what_is_said_is_entered_and_taken_back():
    entry = Entry()
    assert entry.is_served_by(None)
    entry.enter(RELEASED, RELEASE)
    assert not entry.is_served_by(None)
    entry.enter(VERSION, version(1))
    assert entry.is_served_by(MODEL)
    entry.enter(RELEASED, None)
    assert not entry.is_served_by(MODEL)
    assert entry.is_served_by(Model("acme", "churn", {1: version(1)}))
    entry.enter(VERSION, None)
    entry.enter(VERSION, None)
    assert entry.is_served_by(None)


def test_an_entry_of_what_is_served_leaves_that_as_it_is():
    entry = Entry.of(MODEL)
    assert entry.is_served_by(MODEL)
    entry.enter(VERSION, None)
    assert (MODEL.versions.keys(), entry.is_served_by(MODEL)) == ({1}, False)
    assert Entry.of(None) == Entry()
