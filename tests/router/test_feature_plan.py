import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier import fetched
from croupier.fetched import Origin
from croupier.names import InvalidName
from croupier.stores.features import parse_key
from router.feature_plan import DOWN, FeaturePlan, Found, NoEntity, Stored
from version_manager.model.family import Family, FeatureSpec

NOW = 1_000_000
BY_ID = FeatureSpec("age", source="store", group="person", default=40.0)


def plan(*features: FeatureSpec, **fields: Any) -> FeaturePlan:
    found = FeaturePlan.of(Family("churn", 1, features=features, **fields))
    assert found is not None
    return found


def row_of(made: FeaturePlan, found: list[Found]) -> tuple[fetched.Row, bool, float]:
    row = made.row(found, NOW)
    told = fetched.read(fetched.pack(made.spec, made.count, [row.packed], NOW, row.lacks))
    return told.rows[0], row.lacks, row.until_ms


def test_a_family_whose_features_are_all_sent_has_no_plan() -> None:
    assert FeaturePlan.of(Family("churn", 1, features=(FeatureSpec("age"),))) is None
    assert FeaturePlan.of(Family("churn", 1)) is None


def test_what_is_listed_has_a_source_a_default_or_a_range() -> None:
    made = plan(
        FeatureSpec("sent"),
        FeatureSpec("defaulted", default=1.0),
        FeatureSpec("bounded", low=0.0),
        BY_ID,
        FeatureSpec("word", dtype="text", source="request-else-store", group="person"),
    )
    told = fetched.read(fetched.pack(made.spec, made.count, [made.row([None], NOW).packed], NOW, False))
    assert [(one.name, one.is_text, one.low, one.high) for one in told.features] == [
        ("defaulted", False, -math.inf, math.inf),
        ("bounded", False, 0.0, math.inf),
        ("age", False, -math.inf, math.inf),
        ("word", True, -math.inf, math.inf),
    ]
    assert told.rows[0].values == (1.0, None, 40.0, None)
    assert told.rows[0].origins == (Origin.MISSING, Origin.ABSENT, Origin.MISSING, Origin.ABSENT)


def test_without_anything_to_read_the_row_is_always_the_same() -> None:
    made = plan(FeatureSpec("defaulted", default=1.0))
    assert made.constant == made.row([], NOW).packed
    assert plan(BY_ID).constant is None


def test_what_is_stored_holds_while_it_is_young_and_in_its_range() -> None:
    made = plan(
        FeatureSpec("fresh", source="store", group="g", default=0.0, max_age=10.0),
        FeatureSpec("old", source="store", group="g", default=1.0, max_age=1.0),
        FeatureSpec("far", source="store", group="g", default=2.0, high=5.0),
        FeatureSpec("gone", source="store", group="g", default=3.0),
        FeatureSpec("word", dtype="text", source="store", group="g", default="none"),
        FeatureSpec("other", dtype="text", source="store", group="g", default="none"),
    )
    stored = Stored({"fresh": 7.0, "old": 8.0, "far": 9.0, "word": "yes", "other": 1.0}, NOW - 2000)
    row, lacks, until = row_of(made, [stored])
    assert row.values == (7.0, 1.0, 2.0, 3.0, "yes", "none")
    assert row.origins == (
        Origin.STORE,
        Origin.STALE,
        Origin.RANGE,
        Origin.MISSING,
        Origin.STORE,
        Origin.MISSING,
    )
    assert row.events == (NOW - 2000, 0, 0, 0, NOW - 2000, 0)
    assert not lacks
    assert until == NOW - 2000 + 10_000


@pytest.mark.parametrize("late", [0, 1])
def test_a_value_is_stale_once_it_is_older_than_it_may_be(late: int) -> None:
    made = plan(FeatureSpec("age", source="store", group="g", default=0.0, max_age=1.0))
    row, _, until = row_of(made, [Stored({"age": 7.0}, NOW - 1000 - late)])
    assert row.origins == ((Origin.STALE,) if late else (Origin.STORE,))
    assert until == (math.inf if late else NOW)


def test_what_is_required_has_no_value_when_nothing_holds() -> None:
    required = [
        FeatureSpec("old", source="store", group="g", max_age=1.0),
        FeatureSpec("far", source="store", group="g", low=5.0),
        FeatureSpec("gone", source="store", group="g"),
    ]
    row, _, _ = row_of(plan(*required), [Stored({"old": 1.0, "far": 1.0}, NOW - 2000)])
    assert row.values == (None, None, None)
    assert set(row.origins) == {Origin.ABSENT}
    row, lacks, _ = row_of(plan(*required), [DOWN])
    assert set(row.origins) == {Origin.ABSENT}
    assert lacks


def test_a_store_that_does_not_say_leaves_defaults() -> None:
    made = plan(
        BY_ID, FeatureSpec("mood", source="store", group="day", default=1.0), FeatureSpec("x", default=2.0)
    )
    row, lacks, _ = row_of(made, [Stored({"age": 50.0}, NOW), DOWN])
    assert row.values == (50.0, 1.0, 2.0)
    assert row.origins == (Origin.STORE, Origin.DOWN, Origin.MISSING)
    assert lacks


def test_values_that_are_no_number_hold_for_nothing() -> None:
    row, _, _ = row_of(plan(BY_ID), [Stored({"age": math.nan}, NOW)])
    assert row.origins == (Origin.RANGE,)


def test_one_blob_holds_what_has_a_group_and_an_entity_in_common() -> None:
    made = plan(
        BY_ID,
        FeatureSpec("name", dtype="text", source="store", group="person", default=""),
        FeatureSpec("mood", source="store", group="day", entity="{tenant}:{param:day}", default=0.0),
    )
    assert [read.group for read in made.reads] == ["person", "day"]
    assert made.parameters == (b"day",)
    keys = [parse_key(key) for key in made.keys("acme", b"17", {b"day": b"mo/nday"})]
    assert keys == [("acme", "person", b"17"), ("acme", "day", b"acme:mo/nday")]


def test_who_is_meant_has_to_be_said_unless_the_caller_may_send_it_all() -> None:
    with pytest.raises(NoEntity, match="entity_id"):
        plan(BY_ID).keys("acme", b"", {})
    by_day = FeatureSpec("mood", source="store", group="day", entity="{param:day}")
    with pytest.raises(NoEntity, match="the parameter day"):
        plan(by_day).keys("acme", b"17", {b"day": b""})
    either = FeatureSpec("age", source="request-else-store", group="person")
    assert plan(either).keys("acme", b"", {}) == [b""]
    assert row_of(plan(either), [None])[0].origins == (Origin.ABSENT,)


@pytest.mark.parametrize("entity", [b"x" * 513, b"\xff"])
def test_an_entity_that_has_no_features_for_certain_is_refused(entity: bytes) -> None:
    with pytest.raises(InvalidName):
        plan(BY_ID).keys("acme", entity, {})


@given(st.text(min_size=1, max_size=100).map(str.encode))
def test_no_entity_is_read_in_place_of_another_tenants(entity: bytes) -> None:
    (key,) = plan(BY_ID).keys("acme", entity, {})
    assert parse_key(key) == ("acme", "person", entity)


def test_a_family_may_want_no_answer_without_the_store() -> None:
    assert plan(BY_ID, store_failure="fail").fails
    assert not plan(BY_ID).fails
