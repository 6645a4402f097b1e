"""What is listed of families; the rest goes through gRPC in tests/version_manager/writes/test_families.py."""

from version_manager import family_methods
from version_manager.family_methods import _rows
from version_manager.map.family_image import Configs
from version_manager.model.family import Config, Family, FamilyKey, FeatureSpec, LogRule

STORED = FeatureSpec("spend", source="store", group="spending")
CHURN = Family("churn", 3, "", "growth", ("a",), (FeatureSpec("age"), STORED), log=LogRule(0.5))
HELD: dict[FamilyKey, Config] = {
    ("zeta", "churn"): Config(1, Family("churn", 1, tenant="zeta")),
    ("acme", "churn"): Config(2, None),
    ("", "fraud"): Config(1, Family("fraud", 1)),
    ("", "churn"): Config(3, CHURN, "ada", "why", 5.0),
}


def test_families_come_first_and_what_is_removed_not_at_all() -> None:
    found = _rows(Configs(HELD), "")
    assert [(row.tenant, row.name) for row in found.rows] == [("", "churn"), ("", "fraud"), ("zeta", "churn")]
    first = found.rows[0]
    assert (first.number, first.owner, list(first.tags), first.author, first.at) == (
        3,
        "growth",
        ["a"],
        "ada",
        5.0,
    )
    assert (first.features, first.stored, first.log_share) == (2, 1, 0.5)
    assert [row.tenant for row in _rows(Configs(HELD), "zeta").rows] == ["zeta"]
    assert not _rows(Configs(HELD), "acme").rows


def test_there_are_so_many_rows_at_most(monkeypatch) -> None:
    monkeypatch.setattr(family_methods, "MOST_ROWS", 2)
    found = _rows(Configs(HELD), "")
    assert (len(found.rows), found.rows_total) == (2, 3)
