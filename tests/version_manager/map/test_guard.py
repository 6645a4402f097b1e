import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import KEYS, FakeEtcd, cell, model_keys, shard_keys, whole

from version_manager.map.guard import Batch, listing_batch
from version_manager.map.image import Image
from version_manager.map.records import Spent, encode


def models(count: int, first: int = 0) -> dict[str, bytes]:
    content: dict[str, bytes] = {}
    for number in range(first, first + count):
        content |= model_keys("acme", f"model-{number}")
    return content


def image_of(etcd: FakeEtcd) -> Image:
    image = Image(KEYS)
    image.begin("catalog")
    image.apply(etcd.listed().items, (), etcd.revision)
    return image


def batch_of(image: Image, *events, is_strict: bool = False) -> Batch:
    batch = Batch(image, is_strict=is_strict)
    for event in events:
        for pair in event.puts:
            batch.put(pair)
        for key, revision in event.deletes:
            batch.delete(key, revision)
    return batch


@pytest.mark.parametrize(
    ("total", "gone", "suspicious"),
    [
        (1, 1, False),
        (2, 2, True),
        (3, 2, True),
        (10, 2, True),
        (30, 3, False),
        (30, 4, True),
        (100, 10, False),
    ],
)
def test_one_revision_that_removes_many_models_is_suspicious(total, gone, suspicious):
    etcd = FakeEtcd(models(total))
    batch = batch_of(image_of(etcd), etcd.delete(*models(gone)))
    assert len(batch.lost) == gone
    assert batch.is_suspicious() is suspicious


def test_models_removed_one_by_one_are_not():
    etcd = FakeEtcd(models(5))
    image = image_of(etcd)
    batch = batch_of(image, *(etcd.delete(*model_keys("acme", f"model-{number}")) for number in range(5)))
    assert len(batch.lost) == 5
    assert not batch.is_suspicious()


def test_what_is_put_back_is_not_lost():
    etcd = FakeEtcd(models(5))
    image = image_of(etcd)
    gone, back = etcd.delete(*models(5)), etcd.put(models(4))
    batch = batch_of(image, gone)
    assert batch.is_suspicious()
    for pair in back.puts:
        batch.put(pair)
    assert list(batch.lost) == [("acme", "model-4")]
    assert not batch.is_suspicious()


def test_a_batch_that_was_held_waits_for_every_key():
    etcd = FakeEtcd(models(30))
    batch = batch_of(image_of(etcd), etcd.delete(*models(30)))
    assert batch.is_suspicious()
    for key, value in models(30).items():
        assert batch.is_suspicious(was_held=True)
        for pair in etcd.put({key: value}).puts:
            batch.put(pair)
    assert not batch.is_suspicious(was_held=True)


def test_a_batch_that_was_held_does_not_wait_for_what_was_removed():
    etcd = FakeEtcd(models(30))
    gone = etcd.delete(*models(30))
    spent = etcd.put({KEYS.spent("acme", "model-0"): encode(Spent(1))})
    batch = batch_of(image_of(FakeEtcd(models(30))), gone, spent)
    assert batch.is_suspicious()
    for pair in etcd.put(models(29, first=1)).puts:
        batch.put(pair)
    assert not batch.is_suspicious(was_held=True)


def test_a_model_with_another_key_is_not_lost():
    etcd = FakeEtcd(models(5))
    image = image_of(etcd)
    versions = [key for key in models(5) if "versions" in key]
    assert not batch_of(image, etcd.delete(*versions)).lost


def test_cells_and_shards_may_all_go():
    etcd = FakeEtcd(
        models(2) | shard_keys(1) | {KEYS.cell(f"c-{n}"): encode(cell(f"c-{n}")) for n in range(9)}
    )
    image = image_of(etcd)
    gone = [key for key in etcd.content if "models" not in key]
    assert not batch_of(image, etcd.delete(*gone)).is_suspicious()


@pytest.mark.parametrize(
    ("total", "left", "suspicious"),
    [(1, 0, False), (2, 0, True), (12, 2, False), (12, 1, True), (200, 185, False), (200, 170, True)],
)
def test_a_listing_that_lacks_many_models_is_suspicious(total, left, suspicious):
    image = image_of(FakeEtcd(models(total)))
    listed = FakeEtcd(models(left), revision=99).listed()
    batch = listing_batch(image, listed.items, listed.revision, is_strict=False)
    assert batch.is_suspicious() is suspicious


def test_a_listing_that_says_the_same_is_empty():
    etcd = FakeEtcd(models(3))
    batch = listing_batch(image_of(etcd), etcd.listed().items, etcd.revision, is_strict=False)
    assert not batch.puts
    assert not batch.deletes


def strict(image: Image, etcd: FakeEtcd) -> Batch:
    return listing_batch(image, etcd.listed().items, etcd.revision, is_strict=True)


def test_another_etcd_with_everything_is_sound():
    image = image_of(FakeEtcd(models(3) | shard_keys(2, 1) | {KEYS.cell("cell-1"): encode(cell())}))
    more = FakeEtcd(models(4) | shard_keys(2, 1), cluster_id=2, revision=3)
    assert not strict(image, more).is_suspicious()


@pytest.mark.parametrize("missing", [*model_keys("acme", "model-0"), KEYS.active, KEYS.generation(1)])
def test_another_etcd_that_lacks_anything_is_suspicious(missing):
    content = models(30) | shard_keys(2, 1)
    image = image_of(FakeEtcd(content))
    etcd = FakeEtcd({key: value for key, value in content.items() if key != missing}, revision=3)
    batch = strict(image, etcd)
    assert batch.is_suspicious()
    assert "1 keys are missing" in batch.describe()
    for pair in etcd.put({missing: content[missing]}).puts:
        batch.put(pair)
    assert not batch.is_suspicious()


def test_another_etcd_with_an_older_release_is_suspicious():
    key = KEYS.release("acme", "model-0")
    image = image_of(FakeEtcd(models(1) | {key: encode(whole(1, 5))}))
    etcd = FakeEtcd(models(1) | {key: encode(whole(1, 4))}, revision=3)
    batch = strict(image, etcd)
    assert batch.is_suspicious()
    for pair in etcd.put({key: encode(whole(1, 6))}).puts:
        batch.put(pair)
    assert not batch.is_suspicious()


def test_what_was_garbage_need_not_come_back():
    content = models(1) | {KEYS.cell("c"): b"?", KEYS.version("acme", "other", 1): b"?", "croupier/x": b"?"}
    assert not strict(image_of(FakeEtcd(content)), FakeEtcd(models(1), revision=3)).is_suspicious()


STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.booleans()), max_size=40)


@given(STEPS)
def test_the_lost_are_those_without_a_key(steps):
    """Kept step by step, `lost` is what counting at the end would say."""
    etcd = FakeEtcd(models(3))
    image = image_of(etcd)
    batch = Batch(image)
    for is_put, number, is_release in steps:
        keys = model_keys("acme", f"model-{number}")
        key = list(keys)[is_release]
        if is_put:
            batch.put(etcd.put({key: keys[key]}).puts[0])
        elif key in etcd.content:
            batch.delete(key, etcd.delete(key).revision)
    there = {image.model_of(key) for key in etcd.content}
    served = {("acme", f"model-{number}") for number in range(3)}
    assert batch.lost.keys() == served - there
    assert batch.puts.keys() | (set(image.mods) - batch.deletes.keys()) == etcd.content.keys()
