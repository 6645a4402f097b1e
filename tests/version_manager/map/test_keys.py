import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.errors import CroupierError
from croupier.names import MAX_VERSION, check_name
from croupier.settings import InvalidSettings
from version_manager.map.keys import (
    ActiveKey,
    BadRecord,
    CellKey,
    ConfigKey,
    GenerationKey,
    Keys,
    LimitsKey,
    ManagerKey,
    OldConfigKey,
    ProtocolKey,
    ReleaseKey,
    ResidencyKey,
    SpentKey,
    VersionKey,
)

KEYS = Keys("croupier/")


def is_name(text: str) -> bool:
    try:
        check_name(text, "name")
    except CroupierError:
        return False
    return True


NAMES = st.text(min_size=1, max_size=20).filter(is_name)
NUMBERS = st.integers(1, MAX_VERSION)


def test_the_layout_is_as_operators_know_it():
    assert KEYS.version("acme", "churn", 12) == "croupier/models/acme/churn/versions/12"
    assert KEYS.release("acme", "churn") == "croupier/models/acme/churn/release"
    assert KEYS.spent("acme", "churn") == "croupier/spent/acme/churn"
    assert KEYS.generation(3) == "croupier/shards/generations/3"
    assert KEYS.active == "croupier/shards/active"
    assert KEYS.cell("cell-1") == "croupier/cells/cell-1"
    assert KEYS.protocol("cell-1") == "croupier/cells/cell-1/protocol"
    assert KEYS.manager("00ab") == "croupier/managers/00ab"
    assert KEYS.residency("acme") == "croupier/tenants/acme/residency"
    assert KEYS.limits("acme") == "croupier/tenants/acme/limits"
    assert KEYS.limits() == "croupier/limits"
    assert KEYS.config("", "churn") == "croupier/families/churn"
    assert KEYS.old_config("", "churn", 7) == "croupier/families/churn/history/7"
    assert KEYS.config("acme", "churn") == "croupier/models/acme/churn/config"
    assert KEYS.old_config("acme", "churn", 7) == "croupier/models/acme/churn/config/history/7"
    assert KEYS.audit(1_700_000_000_000_000_000, "ab") == "croupier-audit/01700000000000000000-ab"


@given(NAMES, NAMES, NUMBERS)
def test_a_key_is_parsed_to_what_made_it(tenant, name, number):
    assert KEYS.parse(KEYS.version(tenant, name, number)) == VersionKey(tenant, name, number)
    assert KEYS.parse(KEYS.release(tenant, name)) == ReleaseKey(tenant, name)
    assert KEYS.parse(KEYS.spent(tenant, name)) == SpentKey(tenant, name)
    assert not KEYS.spent(tenant, name).startswith(KEYS.model(tenant, name))
    assert KEYS.parse(KEYS.generation(number)) == GenerationKey(number)
    assert KEYS.parse(KEYS.active) == ActiveKey()
    assert KEYS.parse(KEYS.cell(name)) == CellKey(name)
    assert KEYS.parse(KEYS.protocol(name)) == ProtocolKey(name)
    assert KEYS.parse(KEYS.manager(name)) == ManagerKey(name)
    assert KEYS.parse(KEYS.residency(tenant)) == ResidencyKey(tenant)
    assert KEYS.parse(KEYS.limits(tenant)) == LimitsKey(tenant) != KEYS.parse(KEYS.limits())
    for of in ("", tenant):
        config, old = KEYS.config(of, name), KEYS.old_config(of, name, number)
        assert (KEYS.parse(config), KEYS.parse(old)) == (ConfigKey(of, name), OldConfigKey(of, name, number))
        assert (KEYS.is_config(config), KEYS.is_config(old)) == (bool(of), bool(of))
        assert (KEYS.tenant_of(config), KEYS.tenant_of(old)) == (of, of)
    assert not KEYS.is_config(KEYS.release(tenant, name))
    assert KEYS.version(tenant, name, number).startswith(KEYS.model(tenant, name))


@pytest.mark.parametrize(
    "key",
    [
        "other/models/acme/churn/release",
        "models/acme/churn/release",
        "croupier/models/acme/churn",
        "croupier/models/acme/churn/versions/0",
        "croupier/models/acme/churn/versions/01",
        "croupier/models/acme/churn/versions/",
        "croupier/models/acme/churn/versions/-1",
        "croupier/models/acme/churn/versions/1/more",
        "croupier/models/../churn/release",
        "croupier/models/ac\0me/churn/release",
        "croupier/models/\udcff/churn/release",
        "croupier/models//churn/release",
        "croupier/shards/generations/one",
        "croupier/cells/",
        "croupier/cells/cell-1/more",
        "croupier/spent/acme",
        "croupier/tenants/acme",
        "croupier/tenants/../residency",
        "croupier/tenants/../limits",
        "croupier/tenants/limits",
        "croupier/limits/acme",
        "croupier/families",
        "croupier/families/..",
        "croupier/families/churn/",
        "croupier/families/churn/history",
        "croupier/families/churn/history/0",
        "croupier/families/churn/history/01",
        "croupier/families/churn/old/1",
        "croupier/models/../churn/config",
        "croupier/models/acme/churn/config/history/1/2",
        "croupier/",
        "",
    ],
)
def test_other_keys_are_bad(key):
    with pytest.raises(BadRecord):
        KEYS.parse(key)


@given(st.text())
def test_no_text_raises_anything_else(text):
    for key in (text, KEYS.prefix + text):
        try:
            KEYS.parse(key)
        except BadRecord:
            continue


def test_a_prefix_has_its_slash_whether_given_or_not():
    assert Keys("a/b").prefix == Keys("a/b/").prefix == "a/b/"


@pytest.mark.parametrize("prefix", ["", "/", "a\0"])
def test_a_prefix_has_to_be_something(prefix):
    with pytest.raises(InvalidSettings):
        Keys(prefix)
