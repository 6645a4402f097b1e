"""A cell with one engine more, `crash`, whose native code ends the process when a row or the load says so.

Run as a program it is a supervised cell: `Stack(…, cell_module="support.crash_cell")`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cell.app import PROGRAM, serve
from cell.codec.signature import Arrays, Signature
from cell.crash import slots
from cell.engines.stop import Stop
from cell.settings import CellSettings
from cell.supervisor import SupervisorSettings, supervise
from croupier import settings
from croupier.artifacts.batching import Batching
from croupier.artifacts.format import Artifact, Tensor, pack
from croupier.lifecycle import run
from croupier.telemetry import logs

ENGINE = "crash"
# A row that begins with this one ends the process, if the model was told how.
MARK = 666.0


def crashing(name: str, *, on_score: str = "", on_load: str = "") -> bytes:
    """An artifact that sums its rows of two, and ends the process: by `segv`, `abort`, `kill` or `hang`."""
    return pack(
        engine=ENGINE,
        inputs=[Tensor("input", "FP32", (-1, 2))],
        outputs=[Tensor("sum", "FP32", (-1,))],
        features=["x", "y"],
        sections={"name": name.encode(), "score": on_score.encode(), "load": on_load.encode()},
    )


def _end(how: str) -> None:
    match how:
        case "segv":
            ctypes.memset(0, 1, 8)
        case "abort":
            ctypes.CDLL(None).abort()
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(3600)


@dataclass(slots=True)
class CrashScorer:
    signature: Signature
    digest: bytes
    on_score: str
    resident_bytes: int = 1024
    batchable: bool = True
    batching: Batching | None = None

    def admitted(self, inputs: Arrays, where: str) -> Arrays:
        return inputs

    def score(self, inputs: Arrays, outputs: Sequence[str], stop: Stop | None = None) -> Arrays:
        rows = inputs["input"]
        with slots.Naming(self.digest, slots.SCORE):
            if (rows[:, 0] == MARK).any():
                _end(self.on_score)
        return dict.fromkeys(outputs, rows.sum(axis=1, dtype=np.float32))

    def close(self) -> None:
        pass


class CrashEngine:
    only_copies = False

    def estimate(self, artifact: Artifact) -> int:
        return 1024

    def load(self, artifact: Artifact, digest: bytes | None = None) -> CrashScorer:
        assert digest is not None
        with slots.Naming(digest, slots.LOAD):
            _end(bytes(artifact.section("load")).decode())
        return CrashScorer(Signature.of(artifact), digest, bytes(artifact.section("score")).decode())


def main() -> int:
    chosen = settings.load(CellSettings, PROGRAM)
    logs.configure(PROGRAM, chosen.log_level, chosen.log_format)
    return run(lambda life: serve(chosen, life, {ENGINE: CrashEngine()}))


if __name__ == "__main__":
    known = settings.load_known(SupervisorSettings, PROGRAM)
    sys.exit(supervise("support.crash_cell", sys.argv[1:], known.listen))
