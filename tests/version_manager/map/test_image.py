import pytest
from support.records import KEYS, FakeEtcd, cell, generation, model_keys, shard_keys, version, whole

from version_manager.map.image import Image
from version_manager.map.records import Active, Spent, encode
from version_manager.model.decode import read_model
from version_manager.model.encode import write_model
from version_manager.model.history import Change
from version_manager.model.release import Model
from version_manager.model.residency import ResidencyRule


@pytest.fixture
def etcd() -> FakeEtcd:
    content = model_keys("acme", "churn") | shard_keys(2, 1) | {KEYS.cell("cell-1"): encode(cell())}
    return FakeEtcd(content)


@pytest.fixture
def image(etcd) -> Image:
    image = Image(KEYS)
    image.begin("catalog")
    change, problems = image.apply(etcd.listed().items, (), etcd.revision)
    assert not problems
    assert change.size == 4
    return image


def take(image: Image, event):
    return image.apply(event.puts, [key for key, _ in event.deletes], event.revision)


def churn(image: Image) -> Model:
    return image.map.catalog.get("acme", "churn")


def test_everything_is_served(image):
    assert churn(image) == Model("acme", "churn", {1: version()}, whole(1))
    assert image.map.cells == {"cell-1": cell()}
    assert image.map.generations == (generation(2), generation(1))
    assert image.map.archive == {1: generation(1), 2: generation(2)}
    assert (image.map.catalog.name, image.map.catalog.revision) == ("catalog", 10)


def test_a_change_says_what_changed_and_nothing_else(image, etcd):
    change, _ = take(image, etcd.put({KEYS.version("acme", "churn", 2): encode(version(2))}))
    assert change == Change(11, records=(write_model(churn(image)),))
    assert churn(image).versions.keys() == {1, 2}


def test_writing_the_same_again_changes_nothing(image, etcd):
    change, _ = take(image, etcd.put({pair.key: pair.value for pair in etcd.listed().items}))
    assert change == Change(11)
    assert image.map.catalog.revision == 11


def test_a_model_goes_with_its_last_key(image, etcd):
    change, _ = take(image, etcd.delete(*model_keys("acme", "churn")))
    assert change == Change(11, removed=(("acme", "churn"),))
    assert len(image.map.catalog) == 0
    assert image.mods.count(("acme", "churn")) == 0


def test_the_maps_that_readers_hold_do_not_change(image, etcd):
    held = image.map
    take(image, etcd.change({KEYS.cell("cell-2"): encode(cell("cell-2"))}, KEYS.cell("cell-1")))
    assert held.cells == {"cell-1": cell()}
    assert image.map.cells == {"cell-2": cell("cell-2")}


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (KEYS.version("acme", "churn", 1), "version"),
        (KEYS.release("acme", "churn"), "release"),
        (KEYS.generation(2), "generation"),
        (KEYS.active, "active"),
        (KEYS.cell("cell-1"), "cell"),
    ],
)
@pytest.mark.parametrize("garbage", [b"", b"\xff\x00", b"{}", b"[1]", b'{"number": 9}'])
def test_garbage_keeps_the_last_good_value(image, etcd, key, kind, garbage):
    before, good = image.map, etcd.content[key].value
    change, problems = take(image, etcd.put({key: garbage}))
    assert change.size == 0
    assert [(problem.key, problem.kind) for problem in problems] == [(key, kind)]
    assert image.bad == {key}
    assert churn(image) == Model("acme", "churn", {1: version()}, whole(1))
    assert (image.map.cells, image.map.generations) == (before.cells, before.generations)

    change, problems = take(image, etcd.put({key: good}))
    assert (change.size, problems, image.bad) == (0, [], frozenset())


def test_a_good_value_after_garbage_is_taken(image, etcd):
    key = KEYS.release("acme", "churn")
    take(image, etcd.put({key: b"?"}))
    change, _ = take(image, etcd.put({key: encode(whole(1, 2, canary=1))}))
    assert [read_model(record).release for record in change.records] == [whole(1, 2, canary=1)]


@pytest.mark.parametrize(
    "key", ["croupier/models/acme/churn/notes", "croupier/x", "croupier/models/a\0/b/release"]
)
def test_a_key_that_is_not_ours_is_told_and_changes_nothing(image, etcd, key):
    change, problems = take(image, etcd.put({key: b"{}"}))
    assert change.size == 0
    assert [problem.kind for problem in problems] == ["unknown"]
    take(image, etcd.delete(key))
    assert not image.bad


def test_garbage_elsewhere_in_the_model_stays_known_when_the_model_changes(image, etcd):
    key = KEYS.release("acme", "churn")
    take(image, etcd.put({key: b"?"}))
    take(image, etcd.put({KEYS.version("acme", "churn", 2): encode(version(2))}))
    assert image.bad == {key}
    assert churn(image).release == whole(1)


def test_a_release_waits_for_its_version(image, etcd):
    key = KEYS.release("acme", "churn")
    change, problems = take(image, etcd.put({key: encode(whole(2, 2))}))
    assert change.size == 0
    assert [problem.key for problem in problems] == [key]
    assert churn(image).release == whole(1)

    change, problems = take(image, etcd.put({KEYS.version("acme", "churn", 2): encode(version(2))}))
    assert not problems
    assert churn(image).release == whole(2, 2)
    assert not image.bad


def test_a_version_that_the_release_names_does_not_go_away(image, etcd):
    change, problems = take(image, etcd.delete(KEYS.version("acme", "churn", 1)))
    assert change.size == 0
    assert image.bad == {KEYS.release("acme", "churn")}
    assert len(problems) == 1
    assert churn(image).versions == {1: version()}


def test_a_misfit_is_told_once(image, etcd):
    take(image, etcd.put({KEYS.release("acme", "churn"): encode(whole(2, 2))}))
    _, problems = take(image, etcd.put({KEYS.version("acme", "churn", 3): encode(version(3))}))
    assert not problems


def test_a_model_that_never_made_sense_is_not_served(image, etcd):
    take(image, etcd.put({KEYS.release("acme", "new"): encode(whole(1))}))
    assert len(image.map.catalog) == 1
    take(image, etcd.delete(KEYS.release("acme", "new")))
    take(image, etcd.put({KEYS.version("acme", "new", 1): b"?"}))
    assert len(image.map.catalog) == 1


def test_a_release_can_be_withdrawn(image, etcd):
    take(image, etcd.delete(KEYS.release("acme", "churn")))
    assert churn(image).release is None


def test_a_new_generation_becomes_active(image, etcd):
    content = {KEYS.generation(3): encode(generation(3, "cell-9")), KEYS.active: encode(Active(3, 2))}
    change, _ = take(image, etcd.put(content))
    assert change.generations == (generation(3, "cell-9"), generation(2))
    assert image.map.generations == change.generations


def test_a_pointer_waits_for_its_generation(image, etcd):
    change, problems = take(image, etcd.put({KEYS.active: encode(Active(3, 2))}))
    assert change.size == 0
    assert [problem.kind for problem in problems] == ["active"]
    assert image.map.generations[0].number == 2
    take(image, etcd.put({KEYS.generation(3): encode(generation(3))}))
    assert [one.number for one in image.map.generations] == [3, 2]
    assert not image.bad


def test_spent_numbers_are_known_and_not_served(image, etcd):
    key, before = KEYS.spent("acme", "churn"), image.map
    change, problems = take(image, etcd.put({key: encode(Spent(3, 2))}))
    assert (change.size, problems, image.map.catalog.size) == (0, [], before.catalog.size)
    take(image, etcd.put({key: b"?"}))
    assert image.spent == {("acme", "churn"): Spent(3, 2)}
    assert image.bad == {key}
    assert [image.regresses(FakeEtcd({key: encode(Spent(n, 2))}).content[key]) for n in (2, 3, 4)] == [
        True,
        False,
        False,
    ]
    take(image, etcd.delete(key))
    assert not image.spent


def test_what_tenants_keep_is_served_as_the_last_good_record_says(image, etcd):
    key, wanted = KEYS.residency("acme"), ResidencyRule(10, ("churn",))
    change, problems = take(image, etcd.put({key: encode(wanted)}))
    assert (change.size, problems) == (0, [])
    assert image.map.residencies == {"acme": wanted}
    for garbage in (b"?", b'{"floor_bytes": -1, "pinned": []}', b'{"floor_bytes": 0, "pinned": ["a", "a"]}'):
        _, problems = take(image, etcd.put({key: garbage}))
        assert [problem.kind for problem in problems] == ["residency"]
    assert (image.map.residencies, image.bad) == ({"acme": wanted}, {key})
    take(image, etcd.delete(key))
    assert (image.map.residencies, image.bad) == ({}, frozenset())


@pytest.mark.parametrize("gone", [KEYS.active, KEYS.generation(2)])
def test_the_generations_that_deal_do_not_go_away(image, etcd, gone):
    change, _ = take(image, etcd.delete(gone))
    assert change.size == 0
    assert image.map.generations == (generation(2), generation(1))


def test_a_previous_generation_may_be_missing(image, etcd):
    take(image, etcd.change(shard_keys(4) | {KEYS.active: encode(Active(4, 3))}))
    assert image.map.generations == (generation(4),)


@pytest.mark.parametrize(
    ("key", "value", "regresses"),
    [
        (KEYS.release("acme", "churn"), encode(whole(1)), False),
        (KEYS.release("acme", "churn"), encode(whole(1, 1, canary=1)), True),
        (KEYS.release("acme", "churn"), encode(whole(1, 2)), False),
        (KEYS.release("other", "churn"), encode(whole(1)), False),
        (KEYS.version("acme", "churn", 1), encode(version(1)), False),
        (KEYS.version("acme", "churn", 1), encode(version(1, digest=9)), True),
        (KEYS.version("acme", "churn", 2), encode(version(2)), False),
        (KEYS.generation(2), encode(generation(2, "cell-9")), True),
        (KEYS.generation(3), encode(generation(3)), False),
        (KEYS.active, encode(Active(1)), True),
        (KEYS.active, encode(Active(3, 2)), False),
        (KEYS.cell("cell-1"), encode(cell(port=1)), False),
        (KEYS.active, b"?", False),
        ("croupier/x", b"?", False),
    ],
)
def test_what_is_older_than_served_regresses(image, key, value, regresses):
    (pair,) = FakeEtcd({key: value}).listed().items
    assert image.regresses(pair) is regresses
