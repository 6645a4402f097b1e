"""Generations in chunks: read as a whole or not at all, and the last good one stays whatever is edited."""

import random
from collections.abc import Iterator

import pytest
from support.records import KEYS, FakeEtcd, chunk_keys, generation, shard_keys

from version_manager.map.chunks import Chunk, Head, cut
from version_manager.map.image import Image
from version_manager.map.records import Active, decode, encode
from version_manager.map.snapshot import last_good

LARGE = generation(3, *(f"cell-{number}" for number in range(20)))
KEPT = chunk_keys(LARGE)
CHUNKS = sorted(key for key in KEPT if key != KEYS.generation(3))
ACTIVE = {KEYS.active: encode(Active(3, 2))}


def image_of(etcd: FakeEtcd) -> Image:
    image = Image(KEYS)
    image.begin("catalog")
    image.apply(etcd.listed().items, (), etcd.revision)
    return image


def take(image: Image, event):
    return image.apply(event.puts, [key for key, _ in event.deletes], event.revision)


def active(image: Image) -> int:
    return image.map.generations[0].number


@pytest.fixture
def etcd() -> FakeEtcd:
    return FakeEtcd(shard_keys(2, 1))


@pytest.fixture
def image(etcd) -> Image:
    """It deals by the large one."""
    found = image_of(etcd)
    change, problems = take(found, etcd.put(KEPT | ACTIVE))
    assert (change.generations[0], problems) == (LARGE, [])
    return found


def test_chunks_come_first_and_count_for_nothing_before_the_head(etcd):
    found = image_of(etcd)
    for key in CHUNKS:
        change, problems = take(found, etcd.change({key: KEPT[key]}, lease=5))
        assert (change.size, problems) == (0, [])
    # In one transaction they leave the lease, and the map is active.
    change, problems = take(found, etcd.put(KEPT | ACTIVE))
    assert (change.generations[0], problems, found.bad) == (LARGE, [], frozenset())


def test_a_writer_who_dies_leaves_nothing(etcd):
    found = image_of(etcd)
    take(found, etcd.change({key: KEPT[key] for key in CHUNKS[:2]}, lease=5))
    take(found, etcd.delete(*CHUNKS[:2]))
    assert (active(found), found.bad) == (2, frozenset())


def edits() -> Iterator[tuple[dict[str, bytes], tuple[str, ...], str, str, str]]:
    """What somebody may do to the keys of a large generation, and the key, the field and the words of it."""
    second = CHUNKS[1]
    yield {second: b"?"}, (), second, "", "not a record"
    yield {second: b'{"schema": 4, "txet": "x"}'}, (), second, "txet", "unknown field"
    yield {second: encode(Chunk("x"))}, (), second, "text", "SHA-256"
    yield {second: KEPT[second][:-9]}, (), second, "", "not a record"
    yield {}, (second,), second, "text", "missing"
    yield {KEYS.chunk(3, 99): encode(Chunk("x"))}, (), KEYS.chunk(3, 99), "text", "belongs to nothing"
    yield {KEYS.chunk(9, 1): encode(Chunk("x"))}, (), KEYS.chunk(9, 1), "text", "is not there"
    head = decode(KEYS.parse(KEYS.generation(3)), KEPT[KEYS.generation(3)])
    wrong = encode(Head(head.chunks, head.size - 1))
    yield {KEYS.generation(3): wrong}, (), KEYS.generation(3), "size", "bytes, and not"
    more = encode(Head((*head.chunks, "ab" * 32), head.size))
    missing = KEYS.chunk(3, len(head.chunks) + 1)
    yield {KEYS.generation(3): more}, (), missing, "text", "missing"


@pytest.mark.parametrize(("puts", "deletes", "key", "field", "words"), [*edits()])
def test_an_edit_of_a_map_that_deals_changes_nothing_and_is_named(
    etcd, image, puts, deletes, key, field, words
):
    change, problems = take(image, etcd.change(puts, *deletes))
    assert (change.size, image.map.generations[0]) == (0, LARGE)
    named = {(problem.key, problem.field) for problem in problems}
    # A head that names others than there are is wrong itself.
    assert (key, field) in named
    assert named <= {(key, field), (KEYS.generation(3), "chunks")}
    assert words in problems[0].message
    assert image.bad == {name for name, _ in named}
    # Nor does it after a restart, from what is kept.
    again = Image(KEYS)
    again.apply(last_good(image, KEYS), (), etcd.revision)
    assert again.map.generations[0] == LARGE
    # What is repaired is what was.
    repaired = {pair.key: pair.value for pair in last_good(image, KEYS, damaged_only=True)}
    del repaired[KEYS.seed]
    assert repaired.items() <= KEPT.items()
    take(image, etcd.change(repaired, *(name for name in puts if name not in KEPT)))
    assert (image.bad, image.map.generations[0]) == (frozenset(), LARGE)


def test_a_pointer_to_a_map_that_is_half_there_is_passed_over(etcd):
    found = image_of(etcd)
    half = {key: KEPT[key] for key in (KEYS.generation(3), *CHUNKS[:-1])}
    change, _ = take(found, etcd.put(half | ACTIVE))
    assert (change.size, active(found)) == (0, 2)
    assert found.bad == {CHUNKS[-1], KEYS.active}
    # It comes as a whole, once it is one.
    take(found, etcd.put({CHUNKS[-1]: KEPT[CHUNKS[-1]]}))
    assert (active(found), found.bad) == (3, frozenset())


def test_chunks_that_hold_no_map_are_told_by_the_head(etcd):
    found = image_of(etcd)
    good = encode(generation(3))
    for value, field in (
        (good.replace(b"hand_size", b"hand_sice"), "hand_sice"),
        (b"{}", "seed"),
        (encode(cut(good).head), "chunks"),
    ):
        whole = cut(value)
        puts = {KEYS.generation(3): encode(whole.head), KEYS.chunk(3, 1): encode(Chunk(whole.text))}
        take(found, etcd.put(puts | ACTIVE))
        assert found.problems[KEYS.generation(3)].field == field
        assert active(found) == 2


def test_whatever_is_done_to_chunks_the_map_that_deals_is_a_good_one(etcd, image):
    rng = random.Random(5)
    values = [*KEPT.values(), b"?", encode(Chunk("x")), encode(LARGE), encode(generation(3))]
    keys = [*KEPT, KEYS.chunk(3, 50), KEYS.active]
    for _ in range(400):
        key = rng.choice(keys)
        if key in etcd.content and rng.random() < 0.3:
            take(image, etcd.delete(key))
        else:
            take(image, etcd.put({key: rng.choice(values)}))
        assert image.map.generations[0] in (LARGE, generation(3))
        again = Image(KEYS)
        again.apply(last_good(image, KEYS), (), etcd.revision)
        assert again.map.generations[0] == image.map.generations[0]
    wanted = KEPT | ACTIVE
    stray = [key for key in etcd.content if key.startswith(KEYS.chunks(3)) and key not in wanted]
    take(image, etcd.change(wanted, *stray))
    assert (image.map.generations[0], image.bad & wanted.keys()) == (LARGE, frozenset())
