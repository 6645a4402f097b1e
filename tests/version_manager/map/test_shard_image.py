"""What `Image` makes of the shard map; the rules that all records share are in test_image."""

from dataclasses import replace

import pytest
from support.records import KEYS, FakeEtcd, generation, shard_keys

from version_manager.map.image import Image
from version_manager.map.records import Active, encode
from version_manager.map.seed import Era, Seed

SEED = Seed((Era(7),))
RESEEDED = SEED.changed(8, 3)


def image_of(etcd: FakeEtcd) -> Image:
    image = Image(KEYS)
    image.begin("catalog")
    image.apply(etcd.listed().items, (), etcd.revision)
    return image


def take(image: Image, event):
    return image.apply(event.puts, [key for key, _ in event.deletes], event.revision)


@pytest.fixture
def etcd() -> FakeEtcd:
    return FakeEtcd(shard_keys(2, 1))


@pytest.fixture
def image(etcd) -> Image:
    return image_of(etcd)


def next_map(number: int, seed: int) -> dict[str, bytes]:
    made = encode(generation(number, "cell-9", seed=seed))
    return {KEYS.generation(number): made, KEYS.active: encode(Active(number, number - 1))}


def test_the_seed_is_the_active_generations(image):
    assert image.map.seed == SEED


def test_there_is_no_seed_before_the_first_generation():
    assert image_of(FakeEtcd({})).map.seed is None


def test_a_generation_with_another_seed_is_passed_over(image, etcd):
    change, problems = take(image, etcd.put(next_map(3, 8)))
    assert change.size == 0
    assert {problem.key for problem in problems} == {KEYS.generation(3), KEYS.active}
    assert image.bad == {KEYS.generation(3), KEYS.active}
    assert image.map.generations == (generation(2), generation(1))
    assert 3 not in image.map.archive

    take(image, etcd.put(next_map(3, 7)))
    assert [one.number for one in image.map.generations] == [3, 2]
    assert not image.bad


def test_an_edit_of_the_seed_in_a_generation_that_deals_changes_nothing(image, etcd):
    change, _ = take(image, etcd.put({KEYS.generation(2): encode(generation(2, seed=8))}))
    assert change.size == 0
    assert image.bad == {KEYS.generation(2)}
    assert image.map.archive[2] == generation(2)
    take(image, etcd.delete(KEYS.generation(2)))
    assert KEYS.generation(2) not in image.bad


@pytest.mark.parametrize("edited", [Seed((Era(8),)), Seed((Era(8), Era(9, 3))), Seed((Era(7, 1),))])
def test_an_edited_seed_is_passed_over(image, etcd, edited):
    take(image, etcd.put({KEYS.seed: encode(SEED)}))
    change, problems = take(image, etcd.put({KEYS.seed: encode(edited)}))
    assert change.size == 0
    assert [(problem.key, problem.kind) for problem in problems] == [(KEYS.seed, "seed")]
    assert image.map.seed == SEED
    assert image.map.generations == (generation(2), generation(1))
    take(image, etcd.delete(KEYS.seed))
    assert (image.map.seed, image.bad) == (SEED, frozenset())


def test_a_seed_that_was_changed_on_purpose_is_taken_with_its_generation(image, etcd):
    change, problems = take(image, etcd.put({KEYS.seed: encode(RESEEDED)} | next_map(3, 8)))
    assert not problems
    assert [(one.number, one.seed, one.seed_since) for one in change.generations] == [(3, 8, 3), (2, 7, 0)]
    assert image.map.seed == RESEEDED
    # The old seed is no longer any generation's, not even that of one put by hand.
    take(image, etcd.put(next_map(4, 7)))
    assert image.map.generations[0].number == 3


def test_a_seed_that_fits_no_generation_is_passed_over_by_a_manager_that_knows_nothing():
    image = image_of(FakeEtcd(shard_keys(2, 1) | {KEYS.seed: encode(Seed((Era(8),)))}))
    assert image.bad == {KEYS.seed}
    assert image.map.seed == SEED
    assert image.map.generations == (generation(2), generation(1))


def test_a_seed_stands_alone_until_there_is_a_generation():
    etcd = FakeEtcd({KEYS.seed: encode(SEED)})
    image = image_of(etcd)
    assert image.map.seed == SEED
    take(image, etcd.put(next_map(1, 8)))
    assert image.map.generations == ()


def test_a_lost_pointer_is_told_until_it_is_back(image, etcd):
    _, problems = take(image, etcd.delete(KEYS.active))
    assert [(problem.key, problem.kind) for problem in problems] == [(KEYS.active, "active")]
    take(image, etcd.put({KEYS.generation(3): encode(generation(3))}))
    assert image.bad == {KEYS.active}
    assert image.map.generations == (generation(2), generation(1))
    take(image, etcd.put({KEYS.active: encode(Active(3, 2))}))
    assert not image.bad
    assert image.map.generations == (generation(3), generation(2))


def test_the_previous_generation_does_not_go_with_its_key(image, etcd):
    change, _ = take(image, etcd.delete(KEYS.generation(1)))
    assert change.size == 0
    assert image.map.generations == (generation(2), generation(1))


def test_a_generation_of_a_later_seed_is_no_older_one(image, etcd):
    take(image, etcd.put({KEYS.seed: encode(RESEEDED)} | next_map(3, 8)))
    assert image.map.archive[3] == replace(generation(3, "cell-9", seed=8), seed_since=3)
    for key, value in ({KEYS.seed: encode(RESEEDED)} | next_map(3, 8)).items():
        assert not image.regresses(FakeEtcd({key: value}).content[key])
    assert image.regresses(FakeEtcd({KEYS.seed: encode(SEED)}).content[KEYS.seed])


def test_a_ramp_is_what_the_pointer_says_last(image, etcd):
    change, problems = take(image, etcd.put({KEYS.active: encode(Active(2, 1, 250, 600.0))}))
    assert (change.ramp, change.generations, problems) == (250, (), [])
    assert image.map.ramp == 250
    change, _ = take(image, etcd.put({KEYS.active: b'{"schema": 4, "active": 2, "previous": 1, "ramp": -1}'}))
    assert (change.size, image.map.ramp) == (0, 250)
    assert image.problems[KEYS.active].field == "ramp"
    change, _ = take(image, etcd.put({KEYS.active: encode(Active(2, 1))}))
    assert (change.ramp, image.map.ramp, image.bad) == (10_000, 10_000, frozenset())
