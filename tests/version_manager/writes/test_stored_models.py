"""What etcd has of a model, and what counts where that is garbage."""

import pytest
from support.manager import artifact
from support.records import KEYS, FakeEtcd, model_keys, version, whole

from croupier.errors import FailedPrecondition, InvalidRequest
from croupier.stores.etcd import Compare, Listed
from version_manager.map.keys import BadRecord
from version_manager.map.mirror import Mirror
from version_manager.map.records import Spent, encode
from version_manager.model.catalog import UnknownModel
from version_manager.writes.stored_models import StoredModels, check_names

SPENT, RELEASE = KEYS.spent("acme", "churn"), KEYS.release("acme", "churn")


class Reading(FakeEtcd):
    """The part of an etcd that is read from."""

    def __init__(self, content):
        super().__init__(content)
        self.questions = []

    async def range(self, prefix):
        found = [pair for key, pair in sorted(self.content.items()) if key.startswith(prefix)]
        return Listed(tuple(found), self.revision, self.cluster_id)

    async def get(self, key):
        return self.content.get(key)

    async def list_many(self, spans, most):
        self.questions.append(len(spans))
        found = []
        for span in spans:
            keys = [key for key in sorted(self.content) if key == span.since or (span.prefix
                    and key >= span.since and key.startswith(span.prefix))]  # fmt: skip
            found.append(None if len(keys) > most else tuple(self.content[key] for key in keys))
        return found


def models_of(content):
    """What reads `content`, and the mirror that has seen it, behind an etcd that goes on."""
    etcd, mirror = Reading(content), Mirror(None, KEYS)
    mirror.take(etcd.listed())
    return StoredModels(etcd, mirror, KEYS), etcd, mirror


async def test_a_model_is_read_without_its_neighbours():
    models, _, _ = models_of(
        model_keys("acme", "churn") | model_keys("acme", "churn2") | model_keys("acme2", "churn")
    )
    stored = await models.read("acme", "churn")
    assert (stored.versions, stored.release, stored.spent) == ({1: version()}, whole(1), Spent())
    assert stored.fence == Compare(SPENT, 0)


async def test_what_was_spent_is_fenced_by_its_revision():
    models, etcd, mirror = models_of(model_keys("acme", "churn"))
    mirror.take(etcd.put({SPENT: encode(Spent(7, 4))}))
    stored = await models.read("acme", "churn")
    assert (stored.spent, stored.fence) == (Spent(7, 4), Compare(SPENT, 11))


async def test_a_model_that_is_not_there_is_read_as_nothing_or_unknown():
    models, _, _ = models_of({SPENT: encode(Spent(7, 4))})
    assert (await models.read("acme", "churn")).next_number() == 8
    with pytest.raises(UnknownModel, match="tenant acme has no model churn"):
        await models.read_known("acme", "churn")


async def test_a_model_of_garbage_alone_is_there():
    models, _, _ = models_of({KEYS.version("acme", "churn", 3): b"?"})
    assert (await models.read_known("acme", "churn")).numbers == {3}


async def test_behind_garbage_the_last_good_release_is_the_one_that_is_served():
    models, etcd, mirror = models_of(model_keys("acme", "churn"))
    mirror.take(etcd.put({RELEASE: b"?"}))
    stored = await models.read("acme", "churn")
    assert (stored.release, models.effective_release("acme", "churn", stored)) == (None, whole(1))
    # Nobody ever served anything of this one.
    unseen, _, _ = models_of({KEYS.version("acme", "churn", 1): encode(version()), RELEASE: b"?"})
    assert unseen.effective_release("acme", "churn", await unseen.read("acme", "churn")) is None


async def test_a_release_that_is_gone_is_not_served_from_memory():
    models, etcd, _ = models_of(model_keys("acme", "churn"))
    etcd.delete(RELEASE)
    stored = await models.read("acme", "churn")
    assert models.effective_release("acme", "churn", stored) is None


async def test_behind_garbage_what_was_spent_is_what_it_said_before():
    models, etcd, mirror = models_of(model_keys("acme", "churn") | {SPENT: encode(Spent(7, 4))})
    mirror.take(etcd.put({SPENT: b"?"}))
    stored = await models.read("acme", "churn")
    assert (stored.spent, stored.fence) == (Spent(7, 4), Compare(SPENT, 11))
    unseen, _, _ = models_of({SPENT: b"?"})
    with pytest.raises(BadRecord, match="does not tell which numbers were given out"):
        await unseen.read("acme", "churn")


async def test_numbers_are_kept_of_what_goes_and_of_what_is_served():
    models, _, _ = models_of(model_keys("acme", "churn", 3))
    stored = await models.read("acme", "churn")
    assert models.spend("acme", "churn", stored, None).value == encode(Spent(3, 1))
    put = models.spend("acme", "churn", stored, whole(3, number=9))
    assert (put.key, put.value) == (SPENT, encode(Spent(3, 9)))


@pytest.mark.parametrize(("tenant", "name", "field"), [("../x", "churn", "tenant"), ("acme", "a/b", "name")])
def test_what_may_be_no_name_is_said_by_its_field(tenant, name, field):
    check_names("acme", "churn")
    with pytest.raises(InvalidRequest) as refused:
        check_names(tenant, name)
    assert refused.value.field == field


async def test_garbage_under_the_spent_numbers_frees_none(fleet, client):
    for text in "12":
        await client.publish("acme", "churn", artifact(text))
    await client.delete_version("acme", "churn", 2)
    await fleet.raw.put(KEYS.spent("acme", "churn"), b"?")
    assert (await client.publish("acme", "churn", artifact("3"))).number == 3
    # A manager that never saw a good value does not guess.
    other = await fleet.start_manager()
    with pytest.raises(FailedPrecondition) as garbage:
        await other.publish("acme", "churn", artifact("4"))
    assert garbage.value.reason == "BAD_RECORD"
    # Whoever knows writes a good one with the next deletion.
    await client.delete_version("acme", "churn", 3)
    assert (await other.publish("acme", "churn", artifact("4"))).number == 4


async def test_many_are_read_as_each_alone_with_few_questions():
    names = [f"model-{number}" for number in range(100)]
    content = {}
    for at, name in enumerate(names):
        content |= model_keys("acme", name) if at % 3 else {}
        content |= {KEYS.spent("acme", name): encode(Spent(at, 4))} if at % 2 else {}
        content |= {KEYS.config("acme", name): b"{}"} if at % 5 else {}
    content |= {KEYS.release("acme", "model-7"): b"?", KEYS.version("acme", "model-8", 9): b"?"}
    many = {KEYS.version("acme", "model-9", number): encode(version(number)) for number in range(1, 150)}
    models, etcd, _ = models_of(content | many)
    found = await models.read_many([("acme", name) for name in names])
    assert etcd.questions == [128, 72]
    for name, read in zip(names, found, strict=True):
        assert read.stored == await models.read("acme", name)
        key = KEYS.release("acme", name)
        known = {key: etcd.content[key].value} if key in etcd.content and name != "model-9" else {}
        assert read.values == known
    assert await models.read_many([]) == []


async def test_one_of_many_whose_numbers_are_garbage_is_an_error_in_its_place():
    models, etcd, _ = models_of(model_keys("acme", "churn") | model_keys("acme", "fraud"))
    etcd.put({SPENT: b"?"})
    found = await models.read_many([("acme", "churn"), ("acme", "fraud")])
    assert isinstance(found[0], BadRecord)
    assert found[1].stored.versions == {1: version()}
