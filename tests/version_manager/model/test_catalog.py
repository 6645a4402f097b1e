import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_manager.model.catalog import Builder, Catalog, Delta, UnknownModel
from version_manager.model.encode import write_model
from version_manager.model.release import Model, Version


def model(tenant: str, name: str, number: int = 1) -> Model:
    return Model(tenant, name, {number: Version(number, bytes(32), 1, "onnx")})


def test_a_model_is_found_by_tenant_and_name():
    catalog = Catalog.build("c", 5, [model("acme", "churn"), model("acme", "fraud"), model("beta", "churn")])
    assert catalog.get("beta", "churn") == model("beta", "churn")
    assert (catalog.name, catalog.revision, len(catalog)) == ("c", 5, 3)
    assert {one.name for one in catalog.of_tenant("acme")} == {"churn", "fraud"}


@pytest.mark.parametrize("key", [("acme", "other"), ("other", "churn"), ("acmechurn", "")])
def test_another_model_is_unknown(key):
    with pytest.raises(UnknownModel):
        Catalog.build(models=[model("acme", "churn")]).get(*key)


def test_a_delta_makes_a_new_catalog_and_leaves_the_old_one():
    before = Catalog.build("c", 1, [model("acme", "churn"), model("acme", "fraud")])
    after = before.apply(Delta.of(2, (model("acme", "churn", 2), model("new", "one")), (("acme", "fraud"),)))
    assert {one.name for one in before} == {"churn", "fraud"}
    assert before.get("acme", "churn").versions.keys() == {1}
    assert after.get("acme", "churn").versions.keys() == {2}
    assert (len(after), after.revision) == (2, 2)


@pytest.mark.parametrize("revision", [0, 5])
def test_a_delta_that_is_not_newer_changes_nothing(revision):
    catalog = Catalog.build("c", 5, [model("acme", "churn")])
    assert catalog.apply(Delta.of(revision, removed=(("acme", "churn"),))) is catalog


TENANTS = st.sampled_from(["a", "b", "c"])
NAMES = st.sampled_from(["x", "y"])
STEPS = st.lists(st.tuples(st.booleans(), TENANTS, NAMES, st.integers(1, 3)), max_size=30)


@given(STEPS)
def test_a_catalog_is_a_dictionary(steps):
    catalog, expected = Catalog.build(), {}
    for revision, (is_set, tenant, name, number) in enumerate(steps, 1):
        if is_set:
            expected[tenant, name] = model(tenant, name, number)
            catalog = catalog.apply(Delta.of(revision, (model(tenant, name, number),)))
        else:
            expected.pop((tenant, name), None)
            catalog = catalog.apply(Delta.of(revision, removed=((tenant, name),)))
    assert {(one.tenant, one.name): one for one in catalog} == expected
    assert [one for bucket in catalog.buckets() for one in bucket] == list(catalog)
    assert len(catalog) == len(expected)
    assert sorted(catalog.names()) == sorted(expected)
    for key in [(tenant, name) for tenant in "abc" for name in "xy"]:
        assert catalog.find(*key) == expected.get(key)
    for tenant in "abc":
        owned = {name: one for (owner, name), one in expected.items() if owner == tenant}
        assert {one.name: one for one in catalog.of_tenant(tenant)} == owned
        assert sorted(catalog.names(tenant)) == sorted((tenant, name) for name in owned)
        assert catalog.count(tenant) == len(owned)


def test_the_collector_has_nothing_of_it_to_look_at():
    catalog = Catalog.build("c", 1, [model(f"t{number}", "churn") for number in range(5_000)])
    after = catalog.apply(Delta.of(2, [model("t7", "churn", 2)], (("t8", "churn"),)))
    for one in (catalog, after):
        assert not any(map(gc.is_tracked, one.parts()))
        assert not any(map(gc.is_tracked, one.records()))


def test_a_record_tells_whether_a_model_changed():
    before = Catalog.build("c", 1, [model("acme", "churn"), model("acme", "fraud")])
    record = before.record("acme", "churn")
    assert before.apply(Delta.of(2, [model("acme", "fraud", 2)])).record("acme", "churn") is record
    assert Catalog.build("other", 9, [model("acme", "churn")]).record("acme", "churn") == record
    assert before.apply(Delta.of(2, [model("acme", "churn", 2)])).record("acme", "churn") != record
    after = before.apply(Delta.of(2, removed=(("acme", "churn"),)))
    assert after.find_record("acme", "churn") is None
    with pytest.raises(UnknownModel):
        after.record("acme", "churn")


def test_what_was_built_stays_while_the_next_is_made_of_it():
    before = Catalog.build("c", 1, [model("acme", "churn")])
    builder = Builder(before._buckets, before.size)
    builder.add([write_model(model("acme", "churn", 2)), write_model(model("beta", "churn"))])
    builder.remove("acme", "none")
    after = builder.built("c", 2)
    assert (len(before), before.get("acme", "churn").versions.keys()) == (1, {1})
    assert (len(after), after.get("acme", "churn").versions.keys()) == (2, {2})
