"""A catalog's tenants as arrays."""

import gc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import model

from version_manager.model.catalog import Catalog
from version_manager.model.release import Model, Release, Split, Version
from version_manager.planning.population import Names, members_of
from version_manager.rates import Asked


def members(*models: Model):
    return members_of(Catalog.build(models=models))


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), unique=True))
def test_every_tenant_stands_once_with_its_models(places):
    found = members(*(model(f"tenant-{tenant}", f"m-{name}") for tenant, name in places))
    counts = {tenant: sum(1 for other, _ in places if other == tenant) for tenant, _ in places}
    assert {*found.names} == {f"tenant-{tenant}" for tenant in counts}
    assert len(found) == len(found.names) == len(counts)
    for tenant, count in counts.items():
        number = found.find(f"tenant-{tenant}")
        assert found.names[number] == f"tenant-{tenant}"
        assert (found.models[number], found.model_bytes[number]) == (count, 100 * count)
    assert found.find("nobody") == -1


def test_the_order_is_that_of_no_catalog():
    names = [f"tenant-{number}" for number in range(50)]
    one, other = (members(*map(model, some)) for some in (names, reversed(names)))
    assert [*one.names] == [*other.names] != names


def test_names_are_a_sequence_that_no_collection_walks():
    names = [f"tenant-{number}" for number in range(20_000)]
    found = Names(np.array(part, np.object_) for part in (names[:1], names[1:9_000], [], names[9_000:]))
    assert [*found] == found[:] == names
    assert (len(found), found[7], found[-1], found[3:5]) == (20_000, names[7], names[-1], names[3:5])
    assert found.at(np.array([2, 0])).tolist() == [names[2], names[0]]
    assert [one for one in gc.get_referents(found) if gc.is_tracked(one)] == [Names]
    assert [*Names([])] == []


def test_what_a_release_names_counts_once():
    versions = {
        n: Version(n, b"%032d" % artifact, 10 * artifact, "onnx")
        for n, artifact in ((1, 1), (2, 2), (3, 2), (4, 9))
    }
    release = Release(3, (Split(1, 5_000), Split(2, 5_000)), {"canary": 3})
    found = members(
        Model("acme", "churn", versions, release),
        Model("acme", "idle", versions),
        Model("idle", "m", versions),
    )
    counted = {
        name: (int(found.models[at]), int(found.model_bytes[at])) for at, name in enumerate(found.names)
    }
    assert counted == {"acme": (2, 30), "idle": (0, 0)}


def test_what_routers_do_not_name_is_shared_out():
    found = members(*(model(f"tenant-{number}") for number in range(5)))
    rates = found.rates(Asked({"tenant-1": 6.0, "gone": 1.0}, 15.0))
    assert dict(zip(found.names, rates.tolist(), strict=True)) == {
        "tenant-1": 6,
        **{f"tenant-{n}": 2 for n in (0, 2, 3, 4)},
    }
    # Two windows may say more of tenants than of all.
    assert sorted(found.rates(Asked({"tenant-1": 6.0}, 5.0)).tolist()) == [0, 0, 0, 0, 6]
    assert found.rates(Asked({}, 0.0)) is None
    assert members(model()).rates(Asked({"acme": 2.0}, 9.0)).tolist() == [2.0]
    assert members().rates(Asked({"acme": 2.0}, 9.0)) is None


def test_a_tenant_is_found_among_those_of_one_hash(monkeypatch):
    monkeypatch.setattr(
        "version_manager.planning.population.keys_of",
        lambda names, seed: np.zeros(len(names), np.uint64),
    )
    found = members(model("a"), model("b"))
    assert {found.find("a"), found.find("b"), found.find("c")} == {0, 1, -1}
