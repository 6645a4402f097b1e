import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.errors import InvalidRequest, TooLarge
from version_manager.model import family as module
from version_manager.model.family import (
    ENTITY,
    FAIL,
    NO_FAMILIES,
    REQUEST_ELSE_STORE,
    STORE,
    TEXT,
    Families,
    Family,
    FeatureSpec,
    LogRule,
    Template,
    changed_parts,
    check_family,
)

SPEND = FeatureSpec("spend", source=STORE, group="spending", default=0.0, max_age=604_800.0, low=0.0)
CHURN = Family(
    "churn",
    3,
    "Who leaves within a month.",
    "growth",
    ("retention",),
    (
        FeatureSpec("age", low=0.0, high=150.0),
        SPEND,
        FeatureSpec(
            "plan",
            TEXT,
            REQUEST_ELSE_STORE,
            group="accounts",
            entity="{tenant}-{param:account}",
            default="free",
        ),
    ),
    FAIL,
    LogRule(0.25, {"age": "hash", ENTITY: "drop"}),
)
FRAUD = Family("fraud", 1)
OWN = replace(CHURN, number=1, tenant="acme")


def refused(family: Family) -> str:
    with pytest.raises(InvalidRequest) as caught:
        check_family(family)
    assert caught.value.message.startswith(f"{caught.value.field}: ") or caught.value.field in {
        "name",
        "tenant",
    }
    return caught.value.field


def feature(**changes: object) -> Family:
    changed = replace(SPEND, **changes)  # type: ignore[arg-type]
    return replace(CHURN, features=(CHURN.features[0], changed))


def test_a_whole_one_can_be_kept() -> None:
    assert check_family(CHURN) is CHURN
    assert check_family(FRAUD) is FRAUD
    assert check_family(OWN).key == ("acme", "churn")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a/b"}, "name"),
        ({"dtype": "float"}, "dtype"),
        ({"source": "redis"}, "source"),
        ({"group": ""}, "group"),
        ({"group": "a/b"}, "group"),
        ({"source": "request"}, "group"),
        ({"source": "request", "group": ""}, "max_age"),
        ({"source": "request", "group": "", "max_age": None, "entity": "{tenant}"}, "entity"),
        ({"entity": ""}, "entity"),
        ({"entity": "{user}"}, "entity"),
        ({"entity": "{entity_id"}, "entity"),
        ({"entity": "{param:}"}, "entity"),
        ({"entity": "{param:a/b}"}, "entity"),
        ({"entity": "ä" * 257}, "entity"),
        ({"entity": "\ud800"}, "entity"),
        ({"max_age": 0.0}, "max_age"),
        ({"max_age": -1.0}, "max_age"),
        ({"max_age": math.nan}, "max_age"),
        ({"max_age": math.inf}, "max_age"),
        ({"default": "free"}, "default"),
        ({"default": math.inf}, "default"),
        ({"dtype": TEXT, "low": None}, "default"),
        ({"dtype": TEXT, "default": "x" * 1025, "low": None}, "default"),
        ({"dtype": TEXT, "default": "x"}, "low"),
        ({"low": math.nan}, "low"),
        ({"high": math.inf}, "high"),
        ({"low": 2.0, "high": 1.0}, "low"),
    ],
)
def test_what_is_wrong_with_a_feature_is_named(changes: dict[str, object], field: str) -> None:
    assert refused(feature(**changes)) == f"features[1].{field}"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"tenant": "a/b"}, "tenant"),
        ({"number": 0}, "number"),
        ({"number": 2**63}, "number"),
        ({"description": "x" * 4097}, "description"),
        ({"owner": "\ud800"}, "owner"),
        ({"tags": ("a", "a")}, "tags[1]"),
        ({"tags": ("a", " ")}, "tags[1]"),
        ({"store_failure": "ignore"}, "store_failure"),
        ({"features": (SPEND, SPEND)}, "features[1].name"),
        ({"log": LogRule(1.5, {})}, "log.share"),
        ({"log": LogRule(math.nan, {})}, "log.share"),
        ({"log": LogRule(1, {"age": "mask"})}, "log.sensitive.age"),
        ({"log": LogRule(1, {"a/b": "hash"})}, "log.sensitive.a/b"),
    ],
)
def test_what_is_wrong_with_a_family_is_named(changes: dict[str, object], field: str) -> None:
    assert refused(replace(CHURN, **changes)) == field  # type: ignore[arg-type]


def test_there_may_not_be_too_much_of_anything() -> None:
    many = tuple(FeatureSpec(f"f{at}") for at in range(512))
    assert check_family(replace(CHURN, features=many)).features == many
    for changes in (
        {"features": (*many, SPEND)},
        {"tags": tuple(map(str, range(65)))},
        {"log": LogRule(1, {str(at): "hash" for at in range(1025)})},
        {"features": tuple(FeatureSpec(f"f{at}", TEXT, default="x" * 1000) for at in range(300))},
    ):
        with pytest.raises(TooLarge):
            check_family(replace(CHURN, **changes))


def test_a_default_may_be_out_of_range_and_no_number() -> None:
    check_family(feature(default=-1.0))
    unknown = feature(default=float("nan"))
    assert check_family(unknown) == feature(default=float("nan"))
    assert unknown != feature(default=0.0)


def test_what_may_be_read_from_the_store() -> None:
    assert [one.is_stored for one in CHURN.features] == [False, True, True]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("{entity_id}", (("entity_id", ""),)),
        ("all", (("text", "all"),)),
        ("u:{tenant}/{param:a b}", (("text", "u:"), ("tenant", ""), ("text", "/"), ("param", "a b"))),
        ("{tenant}{entity_id}", (("tenant", ""), ("entity_id", ""))),
    ],
)
def test_a_template_taken_apart(text: str, parts: tuple[tuple[str, str], ...]) -> None:
    assert Template.of(text).parts == parts


@given(st.text(alphabet="{}ab:", max_size=12))
def test_a_template_has_no_brace_left_over(text: str) -> None:
    try:
        template = Template.of(text)
    except InvalidRequest:
        assert "{" in text or "}" in text
        return
    told = {"text": "{}", "param": "{{param:{}}}"}
    assert "".join(told[kind].format(words) for kind, words in template.parts) == text


def test_a_models_own_config_takes_the_place_of_its_familys() -> None:
    families = Families({"churn": CHURN, "fraud": FRAUD}, {("acme", "churn"): OWN})
    assert families.of("acme", "churn") is OWN
    assert families.of("zeta", "churn") is CHURN
    assert families.of("acme", "fraud") is FRAUD
    assert families.of("acme", "other") is None
    assert families.get("", "churn") is CHURN
    assert families.get("acme", "churn") is OWN
    assert families.get("acme", "fraud") is None
    assert list(families.all()) == [CHURN, FRAUD, OWN]


IDS = [("", "churn"), ("", "fraud"), ("acme", "churn"), ("zeta", "churn")]
CHANGES = st.dictionaries(st.sampled_from(IDS), st.integers(0, 2))


def _config(key: tuple[str, str], number: int) -> Family | None:
    return Family(key[1], number, tenant=key[0]) if number else None


@given(st.lists(CHANGES))
def test_what_follows_is_what_was_said_last(steps: list[dict[tuple[str, str], int]]) -> None:
    held, said = NO_FAMILIES, dict[tuple[str, str], Family | None]()
    for step in steps:
        changed = {key: _config(key, number) for key, number in step.items()}
        after = held.after(changed)
        is_same = all(said.get(key) == one for key, one in changed.items())
        assert (after is held) == is_same
        told = held.changed_to(after, IDS)
        assert told.keys() == {key for key, one in changed.items() if said.get(key) != one}
        assert held.after(told) == after
        if all(not tenant for tenant, _ in told):
            assert after.models is held.models
        said |= changed
        held = after
    assert {key: held.get(*key) for key in IDS} == {key: said.get(key) for key in IDS}


def test_the_bounds_are_the_contracts() -> None:
    assert (module.MAX_FEATURES, module.MAX_BYTES, module.MAX_FAMILIES) == (512, 262_144, 10_000)


def test_what_is_another_is_named() -> None:
    changed = changed_parts
    assert changed(None, None) == changed(CHURN, CHURN) == []
    assert changed(None, CHURN) == changed(CHURN, None) == ["all"]
    age, spend, plan = CHURN.features
    after = replace(CHURN, number=4, owner="x", log=None, features=(replace(age, low=1.0), plan, FRESH))
    assert changed(CHURN, after) == ["owner", "log", "features.age", "features.spend", "features.fresh"]
    assert changed(CHURN, replace(CHURN, features=(spend, age, plan))) == ["the order of features"]
    many = replace(CHURN, features=tuple(FeatureSpec(f"f{at}") for at in range(99)))
    assert len(changed(CHURN, many)) == 50


FRESH = FeatureSpec("fresh")
