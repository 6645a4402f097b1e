"""What a trial's process answers is trusted no more than the artifact that ran in it."""

import json
from typing import Any

import numpy as np
import pytest
from support.graphs import matmul, packed

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers import trial
from croupier.artifacts.packers.trial import try_artifact
from croupier.artifacts.tables import dump

ROWS = np.ones((2, 2), np.float32)
REPORT: dict[str, Any] = {
    "failures": [None],
    "resident_bytes": 10,
    "row_microseconds": 0.5,
    "rows_are_independent": True,
}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has the process say something of the test's own."""

    def say(answer: bytes) -> None:
        monkeypatch.setattr(trial, "ask", lambda *_: answer)

    return say


def test_a_cells_answers_to_each_table_of_rows() -> None:
    found = try_artifact(packed(matmul()), [{"input": ROWS}, {"input": ROWS[:0]}])
    np.testing.assert_array_equal(found.answers[0]["y"], [[2, 2], [2, 2]])
    assert found.answers[1]["y"].shape == (0, 2)
    assert found.failures == [None, None]
    assert found.rows_are_independent


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense",
        b"[]\n" + dump([]),
        b"\xff\n" + dump([]),
        b"[" * 10_000,
        *(
            json.dumps(report).encode() + b"\n" + dump([])
            for report in (
                {},
                {**REPORT, "more": 1},
                {name: value for name, value in REPORT.items() if name != "failures"},
                {**REPORT, "failures": 3},
                {**REPORT, "failures": [3]},
                {**REPORT, "resident_bytes": "10"},
                {**REPORT, "resident_bytes": True},
                {**REPORT, "row_microseconds": None},
                {**REPORT, "row_microseconds": "fast"},
                {**REPORT, "rows_are_independent": "no"},
            )
        ),
        json.dumps(REPORT).encode() + b"\n" + dump([{"y": ROWS}])[:-1],
    ],
)
def test_what_is_no_report_is_the_artifacts_fault(said: Any, answer: bytes) -> None:
    said(answer)
    with pytest.raises(InvalidArtifact, match=r"nonsense|damaged|table"):
        try_artifact(packed(matmul()), [{"input": ROWS}])
