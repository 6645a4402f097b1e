import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_manager.model.catalog import Catalog, Delta, UnknownModel
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
    after = before.apply(Delta(2, (model("acme", "churn", 2), model("new", "one")), (("acme", "fraud"),)))
    assert {one.name for one in before} == {"churn", "fraud"}
    assert before.get("acme", "churn").versions.keys() == {1}
    assert after.get("acme", "churn").versions.keys() == {2}
    assert (len(after), after.revision) == (2, 2)


@pytest.mark.parametrize("revision", [0, 5])
def test_a_delta_that_is_not_newer_changes_nothing(revision):
    catalog = Catalog.build("c", 5, [model("acme", "churn")])
    assert catalog.apply(Delta(revision, removed=(("acme", "churn"),))) is catalog


TENANTS = st.sampled_from(["a", "b", "c"])
NAMES = st.sampled_from(["x", "y"])
STEPS = st.lists(st.tuples(st.booleans(), TENANTS, NAMES, st.integers(1, 3)), max_size=30)


@given(STEPS)
def test_a_catalog_is_a_dictionary(steps):
    catalog, expected = Catalog.build(), {}
    for revision, (is_set, tenant, name, number) in enumerate(steps, 1):
        if is_set:
            expected[tenant, name] = model(tenant, name, number)
            catalog = catalog.apply(Delta(revision, (model(tenant, name, number),)))
        else:
            expected.pop((tenant, name), None)
            catalog = catalog.apply(Delta(revision, removed=((tenant, name),)))
    assert {(one.tenant, one.name): one for one in catalog} == expected
    assert len(catalog) == len(expected)
