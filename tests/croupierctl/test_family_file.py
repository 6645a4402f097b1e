"""A family as a file: what may stand there, what a typing error comes to, and that nothing is lost."""

import json
import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupierctl.family_file import FORMS, InvalidFile, parse, plain, schema, span, to_yaml
from version_manager.model.family import SOURCES, Family, FeatureSpec, LogRule, check_family

WHOLE = """\
# For all tenants.
name: churn
number: 3
description: |
  Who leaves.
  Within a month.
owner: growth
tags: [retention, "2026"]
store_failure: fail
features:
  - name: age
    low: 0
    high: 150
  - {name: plan, dtype: text, source: request-else-store, group: accounts, default: "1"}
  - name: spend
    source: store
    group: spending
    entity: "{tenant}-{param:account}"
    default: .nan
    max_age: 7d
log:
  share: 25%
  sensitive: {age: hash, entity: drop}
"""
FAMILY = Family(
    "churn",
    3,
    "Who leaves.\nWithin a month.\n",
    "growth",
    ("retention", "2026"),
    (
        FeatureSpec("age", low=0.0, high=150.0),
        FeatureSpec("plan", "text", "request-else-store", "accounts", default="1"),
        FeatureSpec("spend", "number", "store", "spending", "{tenant}-{param:account}", math.nan, 604_800.0),
    ),
    "fail",
    LogRule(0.25, {"age": "hash", "entity": "drop"}),
)


def test_what_a_file_says() -> None:
    assert parse(WHOLE.encode()) == FAMILY
    assert parse(to_yaml(FAMILY).encode()) == FAMILY
    least = parse(b"name: churn")
    assert (least, to_yaml(least)) == (Family("churn", 0), "name: churn\n")


def test_json_will_do() -> None:
    told = plain(
        Family("churn", 2, features=(FeatureSpec("age", low=0.5), FeatureSpec("n", default=math.nan)))
    )
    told["features"][1]["default"] = "nan"
    assert parse(json.dumps(told).encode()).features == (
        FeatureSpec("age", low=0.5),
        FeatureSpec("n", default=math.nan),
    )


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("nam: churn", "nam", "did you mean name?"),
        (
            "name: churn\nfeatures: [{name: a}, {name: b, max_agee: 1}]",
            "features[1].max_agee",
            "mean max_age?",
        ),
        ("name: churn\nfeatures: [{name: a, xyz: 1}]", "features[0].xyz", "there are name, dtype, source"),
        ("name: churn\nlog: {shares: 1}", "log.shares", "did you mean share?"),
        ("name: churn\nfeatures: [{name: a, default: true}]", "features[0].default", "Expected"),
        ("name: churn\nfeatures: [{nme: a}]", "features[0].nme", "did you mean name?"),
        ("name: churn\nfeatures: [{low: 1}]", "features[0]", "missing required field `name`"),
        ("name: churn\nfeatures: {name: a}", "features", "Expected `array`"),
        ("name: churn\nfeatures: [a]", "features[0]", "Expected `object`"),
        ("name: 5", "name", "Expected `str`"),
        ("[]", "", "the file: Expected `object`"),
        ("", "", "the file: Expected `object`"),
        ("name: [", "", "the file is not a family"),
        ("name: a\nname: b", "", "duplicate key"),
        ("name: churn\ntags: [a, a]", "tags[1]", "twice"),
        ("name: churn\nlog: {share: 2}", "log.share", "from 0 to 1"),
        ("name: churn\nlog: {share: lots}", "log.share", "25%"),
        ("name: churn\nlog: {share: 200%}", "log.share", "from 0 to 1"),
        ("name: churn\nlog: {share: 1, sensitive: {a: mask}}", "log.sensitive.a", "hash, drop"),
        (
            "name: churn\nfeatures: [{name: a, max_age: 5d}]",
            "features[0].max_age",
            "never read from the store",
        ),
        (
            "name: churn\nfeatures: [{name: a, source: store, group: g, max_age: soon}]",
            "features[0].max_age",
            "90s, 15m, 12h or 7d",
        ),
        ("name: churn\nfeatures: [{name: a, dtype: text, default: 5}]", "features[0].default", "quotes"),
        ("name: churn\nnumber: -1", "number", "Expected `int` >= 0"),
        ('name: churn\ndescription: "\\ud800"', "", ""),
    ],
)
def test_what_is_wrong_is_named(text: str, field: str, words: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        parse(text.encode())
    assert refused.value.field == field
    assert words in refused.value.message
    if field:
        assert refused.value.message.startswith(f"{field}: ")


def test_too_much_is_refused() -> None:
    many = [{"name": f"f{at}"} for at in range(513)]
    with pytest.raises(InvalidFile, match="512"):
        parse(json.dumps({"name": "churn", "features": many}).encode())


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(604_800, "7d"), (900, "15m"), (90, "90s"), (5_400, "90m"), (36_000, "10h"), (0.5, "0.5s")],
)
def test_a_time_in_its_largest_unit(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_all_of_it_is_described() -> None:
    told = schema()["$defs"]
    for _, form in FORMS:
        fields = told[form.__name__]["properties"].values()
        assert all(field.get("description") or "$ref" in str(field) for field in fields), form


NUMBERS = st.floats(allow_infinity=False, allow_nan=False)
NAMES = st.text(st.characters(categories=["L", "N", "P"], exclude_characters="/\\"), min_size=1, max_size=8)
NAMES = NAMES.map(lambda text: unicodedata.normalize("NFC", text)).filter(
    lambda text: text not in {".", ".."}
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
AGES = st.one_of(st.none(), st.floats(1e-3, 1e8), st.integers(1, 10**8).map(float))


@st.composite
def specs(draw: st.DrawFn) -> FeatureSpec:
    dtype, source = draw(st.sampled_from(["number", "text"])), draw(st.sampled_from(SOURCES))
    default = draw(st.one_of(st.none(), TEXTS if dtype == "text" else NUMBERS | st.just(math.nan)))
    bounds = (None, None) if dtype == "text" else sorted(draw(st.tuples(NUMBERS, NUMBERS)))
    of = ("", "{entity_id}", None)
    if source != "request":
        entity = draw(st.sampled_from(["{entity_id}", "{tenant}: {param:a b}", "all"]))
        of = draw(NAMES), entity, draw(AGES)
    group, entity, age = of
    return FeatureSpec(draw(NAMES), dtype, source, group, entity, default, age, *bounds)


SENSITIVE = st.dictionaries(NAMES, st.sampled_from(["hash", "drop"]), max_size=2)
FAMILIES = st.builds(
    Family,
    NAMES,
    st.integers(1, 2**40),
    TEXTS,
    TEXTS,
    st.lists(NAMES, max_size=2, unique=True).map(tuple),
    st.lists(specs(), max_size=3, unique_by=lambda one: one.name).map(tuple),
    st.sampled_from(["degrade", "fail"]),
    st.one_of(st.none(), st.builds(LogRule, st.floats(0, 1), SENSITIVE)),
)


@given(FAMILIES)
def test_a_family_survives_its_file(family: Family) -> None:
    assert parse(to_yaml(check_family(family)).encode()) == family
