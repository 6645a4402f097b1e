from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from croupier_bench.histogram import Histogram
from croupier_bench.result import (
    Happened,
    Judged,
    Loads,
    OfClass,
    OfWorker,
    Rates,
    Result,
    Second,
    UnreadableResult,
    figures,
    ms,
)


def result(**changes: Any) -> Result:
    histogram = Histogram()
    histogram.record([0.001, 0.002, 0.003])
    found = figures(histogram)
    told: dict[str, Any] = {
        "name": "retail",
        "seed": 1,
        "about": {"date": "2026-11-28"},
        "scenario": {"name": "retail"},
        "valid": True,
        "why_invalid": [],
        "stopped": None,
        "planned": 4,
        "sent": 4,
        "answered": 3,
        "errors": {"UNAVAILABLE: DRAINING": 1},
        "wrong": {"another version": 1},
        "unverified": 0,
        "rate": Rates(4.0, 4.0, 3.0),
        "latency_ms": found,
        "failed_latency_ms": found,
        "lateness_ms": found,
        "since_sent_ms": found,
        "histogram": histogram.to_json(),
        "by_class": {"small": OfClass(4, 3, {"UNAVAILABLE: DRAINING": 1}, {}, found, histogram.to_json())},
        "series": [Second(0.0, 4, 4, 3, 1, 0, 2.0, 3.0, 3.0, 0.1, histogram=histogram.pairs())],
        "events": [Happened(1.0, "release", ok=True)],
        "slo": Judged({"p99_ms": 10.0}, True, {"p99_ms": 3.0}),
        "load": Loads([OfWorker(0.5, 0.1, 4)]),
    }
    return Result(**told | changes)


def test_json_has_all_of_it() -> None:
    one = result()
    assert Result.from_json(json.loads(json.dumps(one.to_json(), allow_nan=False))) == one
    assert one.failed == 1


def test_a_file_has_all_of_it(tmp_path: Path) -> None:
    one = result(name="ßtrange")
    one.write(tmp_path / "result.json")
    assert Result.read(tmp_path / "result.json") == one


def test_keys_of_later_programs_are_left_out() -> None:
    data = result().to_json()
    data["series"][0]["colour"] = data["moon"] = "blue"
    assert Result.from_json(data) == result()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"kind": "load", "format": 2}', '{"kind": "load", "format": 1}', "\x00"]
)
def test_other_files_are_no_results(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(UnreadableResult):
        Result.read(tmp_path / "other.json")


def test_parts_of_another_kind_are_no_result() -> None:
    with pytest.raises(UnreadableResult):
        Result.from_json(result().to_json() | {"series": [1]})


def test_what_is_not_known_is_null() -> None:
    assert ms(float("nan")) is None
    assert ms(float("inf")) is None
    assert set(figures(Histogram()).values()) == {None}
    assert figures(Histogram(), ("p50", "max")) == {"p50": None, "max": None}
