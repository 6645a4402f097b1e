import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import engines
from bench.engine_models import SHAPES, Array, Shape, rows_of
from bench.engine_peer import OneByOne
from bench.engine_peers import PEERS
from bench.engines import Plan

SHAPE = SHAPES["forest-10x31"]
# Those whose libraries take longer to import than all tests of this folder are compared when the bench runs.
QUICK = ("croupier", "croupier, a call a row", "lightgbm", "lleaves", "tl2cgen")


@pytest.mark.parametrize("name", QUICK)
def test_an_engine_answers_as_the_library_that_trained_the_model(name: str) -> None:
    peer = PEERS[name]
    if not peer.is_installed():
        pytest.skip(f"{name} is not installed (make peers)")
    trained, rows = peer.trained(SHAPE), rows_of(SHAPE)
    models = [peer.load(peer.payload(trained, SHAPE)) for _ in range(3)]
    for kind in (np.float32, np.float64) if peer.is_wide else (np.float32,):
        for model in models:
            np.testing.assert_allclose(
                peer.ask(model, rows.astype(kind)), peer.expected(trained, rows), atol=1e-6
            )
        peer.asker(models * 700, rows.astype(kind))()


class Fake(OneByOne):
    """Answers `score` to every row, where 0.25 is right.

    With `sleeper` no model is ever prepared, and the number of a compiler's process stands in that file.
    """

    distribution = "numpy"

    def __init__(self, score: float = 0.25, sleeper: Path | None = None) -> None:
        self.score = score
        self.sleeper = sleeper

    def trained(self, shape: Shape) -> Any:
        return None

    def expected(self, trained: Any, rows: Array) -> Array:
        return np.full(len(rows), 0.25)

    def payload(self, trained: Any, shape: Shape) -> tuple[bytes, str]:
        if self.sleeper:
            with subprocess.Popen(["sleep", "600"]) as compiler:
                self.sleeper.write_text(str(compiler.pid))
        return bytes(80_000), "and text"

    def load(self, payload: Any) -> Any:
        return bytearray(payload[0])

    def ask(self, model: Any, rows: Array) -> Array:
        return np.full(len(rows), self.score)


def told(peer: Fake, folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> tuple[bool, Any]:
    monkeypatch.setattr(engines, "PEERS", {"fake": peer})
    plan = Plan(["fake"], ["linear-20", "forest-10x31"], 5, 5, memory_mb=100, prepare_seconds=seconds)
    is_right = engines.run(plan, folder / "engines.json")
    return is_right, json.loads((folder / "engines.json").read_text())


def test_a_wrong_answer_fails_the_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_right, found = told(Fake(score=0.26), tmp_path, monkeypatch, seconds=60.0)
    assert not is_right
    # A linear model is nothing that it takes.
    (row,) = found["rows"]
    assert (row["engine"], row["model"], row["version"]) == ("fake", "forest-10x31", np.__version__)
    assert row["max_difference"] == pytest.approx(0.01)
    # More than were asked for: enough for memory to show what one takes.
    assert (row["file_kb"], row["copies"]) == (80.008, 199)
    assert found["gave_up"] == []


def test_who_takes_too_long_is_stopped_with_its_compiler_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_right, found = told(Fake(sleeper=tmp_path / "sleeper"), tmp_path, monkeypatch, seconds=2.0)
    assert is_right
    assert found["rows"] == []
    assert found["gave_up"] == [
        {"engine": "fake", "model": "forest-10x31", "version": np.__version__, "after_s": 2.0}
    ]
    stat = Path("/proc", (tmp_path / "sleeper").read_text(), "stat")
    # Killed, and perhaps not yet waited for by whoever adopted it.
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in "ZX"
