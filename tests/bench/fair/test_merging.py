import json
from pathlib import Path
from typing import Any

from bench.fair.merging import merged


def part(**told: Any) -> dict[str, Any]:
    return {"offenders": [], "overload": {}, "restart": {}} | told


def seen(before: float, during: float) -> dict[str, Any]:
    return {"hit_rate_before": before, "hit_rate_during": during, "errors": 1}


def test_parts_that_were_run_one_after_the_other_come_into_one(tmp_path: Path) -> None:
    file = tmp_path / "fair.json"
    for told in (
        part(offenders=[{"kind": "rate", "errors": 1}, {"kind": "cold"}]),
        part(overload={"2": "good"}),
        part(restart={"kinds": {"drain": seen(1.0, 0.8)}}),
        part(offenders=[{"kind": "rate", "errors": 0}], overload={"5": "good"}),
        part(restart={"kinds": {"zone": seen(1.0, 0.9)}}),
    ):
        file.write_text(json.dumps({"about": "then", **merged(file, told)}))
    found = json.loads(file.read_text())
    assert found["offenders"] == [{"kind": "rate", "errors": 0}, {"kind": "cold"}]
    assert found["overload"] == {"2": "good", "5": "good"}
    assert (found["restart"]["hit_rate_during"], found["restart"]["errors"]) == (0.8, 2)
    assert "about" not in merged(file, part())


def test_without_a_file_there_is_nothing_beside_it(tmp_path: Path) -> None:
    told = part(overload={"2": "good"})
    assert merged(None, told) == merged(tmp_path / "none", told) == told
