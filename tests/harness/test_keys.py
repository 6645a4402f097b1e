"""Keys of tables, one at a time: what they may be, and what an error says."""

import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier_bench.keys import ScenarioError, Table, rate_of, seconds_of, share_of


def problem(read: Any) -> tuple[str, str]:
    with pytest.raises(ScenarioError) as raised:
        read()
    assert str(raised.value) == f"{raised.value.key}: {raised.value.problem}"
    return raised.value.key, raised.value.problem


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10ms", 0.01),
        ("250us", 0.00025),
        ("3µs", 3e-06),
        ("1.5s", 1.5),
        ("2min", 120),
        ("2m", 120),
        ("1 h", 3600),
        ("1d", 86400),
        ("0.5", 0.5),
        (".5s", 0.5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize("text", ["", "ms", "10 parsecs", "-1s", "1s2", "1,5s", "١s"])
def test_what_is_no_duration(text: str) -> None:
    assert math.isnan(seconds_of(text))


@pytest.mark.parametrize(
    ("text", "share"), [("5%", 0.05), ("0.01%", 0.0001), ("100 %", 1.0), ("0.5", 0.5), ("0%", 0.0)]
)
def test_shares(text: str, share: float) -> None:
    assert share_of(text) == pytest.approx(share, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "rate"), [("50k", 50_000), ("1.5M/s", 1_500_000), ("600/min", 10), ("36/h", 0.01), ("7", 7)]
)
def test_rates(text: str, rate: float) -> None:
    assert rate_of(text) == pytest.approx(rate, rel=1e-12)


@given(st.text(max_size=20))
def test_no_text_breaks_the_readers(text: str) -> None:
    for read in (seconds_of, share_of, rate_of):
        assert isinstance(read(text), float)


def test_a_number_keeps_within_its_bounds() -> None:
    table = Table({"a": 3, "b": "3", "c": 3.5, "d": True, "e": math.nan, "f": 0}, "load")
    assert table.number("a", least=1, most=3) == 3.0
    assert table.number("b", least=1, most=3) == 3.0
    assert problem(lambda: table.number("c", least=1, most=3)) == (
        "load.c",
        "3.5 is not a number from 1 to 3",
    )
    assert problem(lambda: table.number("d", least=1, most=3))[1] == "True is not a number from 1 to 3"
    assert problem(lambda: table.number("e", least=1, most=3))[1] == "nan is not a number from 1 to 3"
    assert "above 0 and at most 3" in problem(lambda: table.number("f", least=0, most=3, above=True))[1]
    assert problem(lambda: table.number("g", least=1, most=3)) == (
        "load.g",
        "it is missing: a number from 1 to 3",
    )
    assert table.number("g", 2.0, least=1, most=3) == 2.0


def test_a_whole_number_is_whole() -> None:
    table = Table({"a": 3, "b": 3.0, "c": 3.5, "d": "3", "e": True, "f": 10**400})
    assert table.whole("a", least=1, most=5) == 3
    assert table.whole("b", least=1, most=5) == 3
    for name in "cdef":
        key, words = problem(lambda name=name: table.whole(name, least=1, most=5))
        assert (key, words.endswith("is not a whole number from 1 to 5")) == (name, True)


def test_a_long_value_is_not_shown_whole() -> None:
    _, words = problem(lambda: Table({"a": "x" * 10_000}).seconds("a", most=1))
    assert len(words) < 250


def test_texts_are_printable_and_bounded() -> None:
    table = Table({"a": "fine", "b": "two\nlines", "c": 7, "d": "x" * 11})
    assert table.text("a", most=10) == "fine"
    for name in "bcd":
        assert problem(lambda name=name: table.text(name, most=10))[0] == name


def test_a_choice_is_one_of_them() -> None:
    table = Table({"mode": "half-open"}, "load")
    assert problem(lambda: table.choice("mode", ("open", "closed"))) == (
        "load.mode",
        '\'half-open\' is not "open" or "closed"',
    )
    assert Table({}).choice("mode", ("open", "closed"), "open") == "open"


def test_names_follow_the_rules_of_names() -> None:
    table = Table({"tenants": ["acme", "a/b"], "twice": ["a", "a"], "none": [], "kind": "x"}, "class[0]")
    assert problem(lambda: table.names("tenants", most=5)) == (
        "class[0].tenants[1]",
        "it has a slash or backslash",
    )
    assert "different" in problem(lambda: table.names("twice", most=5))[1]
    assert problem(lambda: table.names("none", most=5))[0] == "class[0].none"
    assert problem(lambda: table.names("kind", most=5))[0] == "class[0].kind"
    assert "may be 1" in problem(lambda: table.names("twice", most=1))[1]


def test_a_key_that_there_is_not_is_an_error_with_the_nearest_that_there_is() -> None:
    table = Table({"rate": 1.0, "sedonds": 3}, "load")
    table.rate("rate", most=10)
    table.seconds("seconds", 1.0, most=10)
    assert problem(table.end) == (
        "load.sedonds",
        "there is no such key: is `seconds` meant? There are rate, seconds",
    )


def test_what_was_read_is_all_there_is() -> None:
    table = Table({"flag": True, "metadata": {"a": "b"}, "event": [{"at": 1}], "rates": [1, "2k"]})
    assert table.flag("flag", default=False)
    assert table.pairs("metadata", most=3) == {"a": "b"}
    assert table.rates("rates", most_of_them=3, most=1e4) == (1.0, 2000.0)
    (event,) = table.tables("event", most=3)
    assert event.key("at") == "event[0].at"
    table.end()
    assert problem(event.end)[0] == "event[0].at"


def test_tables_are_tables() -> None:
    table = Table({"load": 3, "class": [3], "event": {}, "metadata": {"a": 1}, "target": {"tls": {"ca": 1}}})
    assert problem(lambda: table.table("load"))[0] == "load"
    assert problem(lambda: table.tables("class", most=3))[0] == "class"
    assert problem(lambda: table.tables("event", most=3))[0] == "event"
    assert problem(lambda: table.pairs("metadata", most=3))[0] == "metadata"
    assert table.table("nothing") is None
    assert problem(lambda: table.must("nothing"))[0] == "nothing"
    assert table.must("target").must("tls").key("ca") == "target.tls.ca"
    assert problem(lambda: Table({"rates": [1, 0]}).rates("rates", most_of_them=3, most=9))[0] == "rates[1]"


def test_an_error_crosses_processes() -> None:
    error = pickle.loads(pickle.dumps(ScenarioError("load.rate", "it is missing")))
    assert (error.key, str(error)) == ("load.rate", "load.rate: it is missing")
    assert str(ScenarioError("", "this is no TOML")) == "this is no TOML"
