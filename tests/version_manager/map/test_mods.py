"""Revisions of keys are those of a plain dictionary, and the collector has few of them to look at."""

import gc

from hypothesis import given
from hypothesis import strategies as st
from support.records import KEYS

from version_manager.map.image import Image
from version_manager.map.mods import Mods

MODELS = [(tenant, name) for tenant in ("a", "b") for name in ("x", "y")]
ALL = [
    *(KEYS.version(*model, number) for model in MODELS for number in (1, 2, 11)),
    *(KEYS.release(*model) for model in MODELS),
    *(KEYS.config(*model) for model in MODELS[:2]),
    KEYS.old_config("a", "x", 1),
    KEYS.active,
    KEYS.cell("cell-1"),
    f"{KEYS.prefix}models/a/x/",
    f"{KEYS.prefix}models/a/x/what/is/this",
    f"{KEYS.prefix}models/a/x",
    f"{KEYS.prefix}models/a",
]


def made() -> Mods:
    return Mods(KEYS.prefix, Image(KEYS).model_of)


@given(st.lists(st.tuples(st.sampled_from(ALL), st.none() | st.integers(0, 2**63 - 1)), max_size=60))
def test_they_are_a_dictionary(steps):
    mods, expected, model_of = made(), {}, Image(KEYS).model_of
    for key, revision in steps:
        before, then = mods.copy(), dict(expected)
        if revision is None:
            mods.drop(key)
            expected.pop(key, None)
        else:
            mods.put(key, revision)
            expected[key] = revision
        assert {one: before.get(one) for one in before} == then
        assert sorted(mods) == sorted(expected)
        assert [mods.get(one) for one in ALL] == [expected.get(one) for one in ALL]
        assert [one in mods for one in ALL] == [one in expected for one in ALL]
    for model in MODELS:
        assert mods.count(model) == sum(model_of(key) == model for key in expected)


def test_the_collector_lets_go_of_them():
    mods = made()
    for number in range(100):
        mods.put(KEYS.version("acme", f"m{number}", 1), number)
        mods.put(KEYS.release("acme", f"m{number}"), number)
    gc.collect()
    assert not any(map(gc.is_tracked, mods._models.values()))
