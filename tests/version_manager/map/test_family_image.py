"""What of configs holds after a change, what changed, and that the last good word is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import KEYS, FakeEtcd, model_keys

from protos.versions.v1 import versions_pb2 as pb
from router.events import change_of
from router.view import EMPTY, View
from version_manager.feed import delta_of
from version_manager.map.image import Image
from version_manager.map.records import encode
from version_manager.model.family import Config, Families, Family, FamilyKey

IDS: list[FamilyKey] = [("", "churn"), ("", "fraud"), ("acme", "churn")]
GARBAGE = [
    b"?",
    b"{}",
    b'{"schema":6}',
    b'{"schema":6,"number":0}',
    b'{"schema":6,"number":9,"featurs":[]}',
    b'{"schema":6,"number":9,"features":[{"name":"a","max_age":5}]}',
    b'{"schema":99,"number":9}',
]


def config(key: FamilyKey, number: int) -> Config:
    return Config(number, Family(key[1], number, tenant=key[0]), "ada", "why", 5.0)


def put(etcd: FakeEtcd, key: FamilyKey, value: Config):
    return etcd.put({KEYS.config(*key): encode(value)})


def take(image: Image, event):
    return image.apply(event.puts, [name for name, _ in event.deletes], event.revision)


def test_what_others_say_leaves_the_same_object() -> None:
    image, etcd = Image(KEYS), FakeEtcd()
    take(image, put(etcd, IDS[0], config(IDS[0], 1)))
    held = image.map.configs
    change, _ = take(image, etcd.put({KEYS.limits("acme"): b'{"schema":5,"rate":5}'}))
    assert image.map.configs is held
    assert change.families == ()
    # Only what was before changed: routers need not be told.
    change, _ = take(image, etcd.put({KEYS.old_config("", "churn", 4): encode(config(IDS[0], 4))}))
    assert image.map.configs.families is held.families
    assert change.size == 0


@pytest.mark.parametrize("key", IDS)
def test_garbage_is_named_and_the_last_good_word_holds(key: FamilyKey) -> None:
    image, etcd, where = Image(KEYS), FakeEtcd(), KEYS.config(*key)
    change, problems = take(image, put(etcd, key, config(key, 1)))
    assert (change.families, problems) == (((key, config(key, 1).family),), [])
    for garbage in GARBAGE:
        change, (problem,) = take(image, etcd.put({where: garbage}))
        assert (problem.key, problem.kind, change.size) == (where, "family", 0)
        assert image.bad == {where}
    assert image.problems[where].field in {"", "schema"}
    assert image.map.configs.held == {key: config(key, 1)}
    change, problems = take(image, put(etcd, key, config(key, 2)))
    assert (change.size, problems, image.bad) == (1, [], frozenset())


@pytest.mark.parametrize("key", IDS)
def test_one_that_is_deleted_holds_and_is_named(key: FamilyKey) -> None:
    image, etcd, where = Image(KEYS), FakeEtcd(), KEYS.config(*key)
    take(image, put(etcd, key, config(key, 1)))
    held = image.map.configs
    change, (problem,) = take(image, etcd.delete(where))
    assert (problem.key, problem.kind, change.size) == (where, "family", 0)
    assert image.map.configs is held
    assert image.bad == {where}
    # Only once, and until something good is there.
    take(image, etcd.put({where: b"?"}))
    change, problems = take(image, etcd.delete(where))
    assert (change.size, problems, image.bad) == (0, [], {where})
    change, _ = take(image, put(etcd, key, Config(2, None)))
    assert (change.families, image.bad) == (((key, None),), frozenset())
    assert image.map.configs.families == Families()
    assert image.map.configs.held[key].number == 2


def test_what_was_never_there_may_go() -> None:
    image, etcd, where = Image(KEYS), FakeEtcd(), KEYS.config(*IDS[0])
    take(image, etcd.put({where: b"?"}))
    assert image.bad == {where}
    assert take(image, etcd.delete(where))[1] == []
    assert image.bad == frozenset()


def test_history_is_told_the_latest_first() -> None:
    image, etcd = Image(KEYS), FakeEtcd()
    for number in (2, 1):
        take(image, etcd.put({KEYS.old_config("", "churn", number): encode(config(IDS[0], number))}))
    take(image, etcd.put({KEYS.old_config("acme", "churn", 7): encode(config(IDS[2], 7))}))
    take(image, put(etcd, IDS[0], config(IDS[0], 3)))
    assert [one.number for one in image.map.configs.history(IDS[0])] == [3, 2, 1]
    take(image, etcd.delete(KEYS.old_config("", "churn", 1)))
    assert [one.number for one in image.map.configs.history(IDS[0])] == [3, 2]
    assert [one.number for one in image.map.configs.history(IDS[2])] == [7]
    assert image.map.configs.history(IDS[1]) == []


def test_a_lower_number_and_another_content_regress() -> None:
    image, etcd = Image(KEYS), FakeEtcd()
    take(image, put(etcd, IDS[0], config(IDS[0], 5)))
    other = Config(5, None)
    found = [
        image.regresses(put(FakeEtcd(), IDS[0], one).puts[0])
        for one in (config(IDS[0], 4), other, config(IDS[0], 5), config(IDS[0], 6))
    ]
    assert found == [True, True, False, False]
    assert not image.regresses(put(FakeEtcd(), IDS[1], config(IDS[1], 1)).puts[0])
    old = FakeEtcd().put({KEYS.old_config("", "churn", 1): encode(config(IDS[0], 1))})
    assert not image.regresses(old.puts[0])


def test_a_config_keeps_no_model_alive() -> None:
    """Nor is it lost with one: the guard counts what models have of their own."""
    image, etcd = Image(KEYS), FakeEtcd()
    take(image, etcd.put(model_keys("acme", "churn") | {KEYS.config("acme", "churn"): b"?"}))
    assert image.mods.count(("acme", "churn")) == len(model_keys("acme", "churn"))
    assert image.model_of(KEYS.old_config("acme", "churn", 1)) is None
    change, _ = take(image, etcd.delete(*model_keys("acme", "churn")))
    assert change.removed == (("acme", "churn"),)
    assert image.mods.count(("acme", "churn")) == 0


# What may happen to a key: a good config, that there is none any more, garbage, or that it is deleted.
STEPS = st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(["apply", "remove", "garbage", "delete"])))


@given(STEPS, st.sampled_from(GARBAGE))
def test_whatever_is_written_managers_and_routers_have_the_last_good_ones(
    steps: list[tuple[FamilyKey, str]], garbage: bytes
) -> None:
    image, etcd, view = Image(KEYS), FakeEtcd(), EMPTY
    good: dict[FamilyKey, Config] = {}
    for number, (key, what) in enumerate(steps, 1):
        where = KEYS.config(*key)
        if what in {"apply", "remove"}:
            good[key] = config(key, number) if what == "apply" else Config(number, None)
            event = put(etcd, key, good[key])
        elif what == "garbage":
            event = etcd.put({where: garbage})
        elif where in etcd.content:
            event = etcd.delete(where)
        else:
            continue
        change, _ = take(image, event)
        view = view.after(change_of(pb.WatchEvent.FromString(delta_of(change)).delta))
        assert image.map.configs.held == good
        assert _told(view) == {key: one.family for key, one in good.items() if one.family}
    assert view.families == image.map.configs.families


def _told(view: View) -> dict[FamilyKey, Family]:
    return {one.key: one for one in view.families.all()}
