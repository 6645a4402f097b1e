"""Every kind of key has its place in all that goes by kinds: what is known, kept over a restart, and told."""

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

from support.records import KEYS, FakeEtcd, cell, chunk_keys, generation, model_keys, shard_keys

from version_manager.map import keys, problems, records
from version_manager.map.chunks import HeadForm
from version_manager.map.image import Image, Map
from version_manager.map.keys import Key
from version_manager.map.records import Announced, Record, Spent, Spoken, Thaw, encode
from version_manager.map.seed import Era, Seed
from version_manager.map.snapshot import last_good
from version_manager.model.family import Config, Family
from version_manager.model.limits import UNLIMITED, Limits
from version_manager.model.residency import ResidencyRule

ROOT = Path(__file__).parents[3]

# One of each at least. Whoever adds a kind adds one here, and the tests below say what else it needs.
LEASED = {
    KEYS.cell("cell-1"): encode(cell()),
    KEYS.protocol("cell-1"): encode(Spoken(2)),
    KEYS.manager("00ab"): encode(Announced(2, 2)),
}
KEPT = {
    **model_keys("acme", "churn"),
    **shard_keys(2, 1),
    **chunk_keys(generation(3)),
    KEYS.seed: encode(Seed((Era(7),))),
    KEYS.spent("acme", "fraud"): encode(Spent(5, 5)),
    KEYS.residency("acme"): encode(ResidencyRule(10, ("churn",))),
    KEYS.limits("acme"): encode(Limits(rate=5, rows=UNLIMITED)),
    KEYS.limits(): encode(Limits(in_flight=8)),
    KEYS.config("", "churn"): encode(Config(2, Family("churn", 2))),
    KEYS.old_config("", "churn", 1): encode(Config(1, Family("churn", 1))),
    KEYS.config("acme", "churn"): encode(Config(2, None, "ada", "as everybody", 5.0)),
    KEYS.old_config("acme", "churn", 1): encode(Config(1, Family("churn", 1, tenant="acme"))),
    KEYS.thaw: encode(Thaw(3, 1, 9)),
}


def known() -> Image:
    """What has taken all of them."""
    found, etcd = Image(KEYS), FakeEtcd()
    changed = etcd.change(KEPT)
    leased = etcd.change(LEASED, lease=5)
    for event in (changed, leased):
        _, problems = found.apply(event.puts, [], event.revision)
        assert problems == []
    return found


def test_there_is_one_of_each_here() -> None:
    assert {type(KEYS.parse(key)) for key in (*LEASED, *KEPT)} == set(get_args(Key))
    assert [key for key in LEASED if not KEYS.is_leased(key)] == []
    assert [key for key in KEPT if KEYS.is_leased(key)] == []


def test_each_kind_of_key_has_a_name_and_a_form() -> None:
    assert problems.KINDS.keys() == records._BY_KEY.keys() == set(get_args(Key))


def test_each_kind_of_record_has_a_form_of_its_own() -> None:
    assert records._BY_RECORD.keys() == set(get_args(Record))
    assert set(records._BY_RECORD.values()) == {*records._BY_KEY.values(), HeadForm}


def test_whatever_is_not_leased_is_kept_over_a_restart() -> None:
    assert {pair.key: pair.value for pair in last_good(known(), KEYS)} == KEPT


def test_each_kind_is_seen_in_what_is_known() -> None:
    found, empty = known(), Image(KEYS)
    same = [
        field.name
        for field in fields(Map)
        if getattr(found.map, field.name) == getattr(empty.map, field.name)
    ]
    assert same == []
    assert found.spent


def patterns(text: str) -> list[str]:
    """Of keys with `<…>` for a name or a number, without their prefix."""
    return [
        re.sub(r"<[^>]*>", "[^/]+", found)
        for found in re.findall(r"^(?:\| `|    <prefix>)([^ `]+)", text, re.MULTILINE)
        if not found.startswith(("croupier-audit/", "croupier-releases/"))
    ]


def test_architecture_and_the_module_name_where_each_lies() -> None:
    _, _, page = (ROOT / "docs/architecture.md").read_text().partition("\n## What is where in etcd\n")
    told = [key.removeprefix(KEYS.prefix) for key in (*LEASED, *KEPT)]
    for text in (page.partition("\n## ")[0], keys.__doc__ or ""):
        rows = patterns(text)
        assert [key for key in told if sum(bool(re.fullmatch(row, key)) for row in rows) != 1] == []
        assert [row for row in rows if not any(re.fullmatch(row, key) for key in told)] == []
