"""Keys of stored features, and which URLs name a store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.names import InvalidName
from croupier.settings import InvalidSettings
from croupier.stores.features import (
    FeatureKey,
    features_key,
    features_prefix,
    open_store,
    parse_key,
    redacted,
    schema_key,
    schemas_prefix,
)

entities = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128)


@given(entities)
def test_any_entity_of_utf8_has_a_key_of_its_own(entity):
    key = features_key("acme", "profile", entity)
    assert key == b"croupier/f/acme/profile/" + entity.encode()
    assert features_key("acme", "profile", entity.encode()) == key
    assert parse_key(key) == FeatureKey("acme", "profile", entity.encode())


@given(entities, entities)
def test_no_entity_reaches_into_another_tenant_or_group(one, other):
    keys = {
        features_key(tenant, group, entity)
        for tenant in ("a", "b")
        for group in ("g", "h")
        for entity in {one, other}
    }
    assert len(keys) == 4 * len({one, other})


def test_the_key_of_a_schema_has_its_group_and_16_digits():
    assert schema_key("profile", 0xAB) == b"croupier/s/profile/00000000000000ab"
    assert schemas_prefix("profile") == b"croupier/s/profile/"
    assert features_prefix("acme", "profile") == b"croupier/f/acme/profile/"


@pytest.mark.parametrize(
    ("tenant", "group", "entity", "field"),
    [
        ("", "g", "e", "tenant"),
        ("a/b", "g", "e", "tenant"),
        ("a", "g/h", "e", "group"),
        ("a", "g", "", "entity"),
        ("a", "g", "x" * 513, "entity"),
        ("a", "g", "ü" * 257, "entity"),
        ("a", "g", "\ud800", "entity"),
        ("a", "g", b"\xff", "entity"),
    ],
)
def test_what_no_key_can_have(tenant, group, entity, field):
    with pytest.raises(InvalidName) as caught:
        features_key(tenant, group, entity)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "key",
    [b"", b"croupier/s/g/0", b"croupier/f/a/g", b"croupier/f/a/g/", b"croupier/f/\xff/g/e", b"other/f/a/g/e"],
)
def test_other_keys_are_nobodys_features(key):
    assert parse_key(key) is None


def test_an_error_tells_no_password():
    assert redacted("redis://user:secret@host:1/2?password_file=/x") == "redis://host:1/2"
    assert redacted("redis://user:12/secret@host:1/2") == "redis://host:1/2"
    assert redacted("lmdb:/var/lib/features") == "lmdb:/var/lib/features"


@pytest.mark.parametrize("url", ["", "features", "http://user:secret@host/", "memory:"])
def test_other_urls_name_no_store(url):
    with pytest.raises(InvalidSettings) as caught:
        open_store(url)
    assert "secret" not in str(caught.value)
