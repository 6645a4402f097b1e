"""The tables [slo] and [stop], and what a command line says of the first."""

from typing import Any

import pytest

from croupier_bench.keys import ScenarioError, Table
from croupier_bench.levels import Stop, level_of, read_level


def test_a_level_is_in_seconds_and_shares() -> None:
    table = Table({"p99": "10ms", "mean": 0.002, "errors": "0.01%"}, "slo")
    assert read_level(table) == {"p99": 0.01, "mean": 0.002, "errors": 0.0001}
    assert read_level(Table({}, "slo")) == {}


def test_words_of_a_command_line() -> None:
    assert level_of("p99=10ms, errors=0.01%") == {"p99": 0.01, "errors": 0.0001}
    assert level_of("p50=0.5") == {"p50": 0.5}


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("", "slo"),
        ("p99", "slo"),
        ("p99=10ms,", "slo"),
        ("p98=10ms", "slo.p98"),
        ("p99=fast", "slo.p99"),
        ("p99=0", "slo.p99"),
        ("errors=101%", "slo.errors"),
        ("p99=2h", "slo.p99"),
    ],
)
def test_words_that_are_no_level(words: str, key: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        level_of(words)
    assert raised.value.key == key


def test_an_unknown_part_says_which_there_are() -> None:
    with pytest.raises(
        ScenarioError, match=r"slo\.p98: .* meant\? There are p50, p90, p99, p999, mean, errors"
    ):
        level_of("p98=10ms")


def stop(**values: Any) -> Stop:
    return Stop.read(Table(values, "stop"))


def test_stops() -> None:
    assert stop() == Stop(None, None, 5.0)
    assert stop(errors="5%", p99="500ms", window="1min") == Stop(0.05, 0.5, 60.0)
    for each in (stop(), stop(errors=0.5), stop(p99=1, window=2)):
        assert stop(**each.write()) == each


@pytest.mark.parametrize(
    ("values", "key"),
    [({"errors": 2}, "errors"), ({"p99": 0}, "p99"), ({"window": 0}, "window"), ({"p50": 1}, "p50")],
)
def test_stops_that_are_refused(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        stop(**values)
    assert raised.value.key == f"stop.{key}"
