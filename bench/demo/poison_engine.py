"""A cell with one engine more: its models hold a thread for a while, or end the process, in native code.

A model that holds its thread asks for no processor meanwhile, as one does that waits for a lock, a disk or
another machine. All cells of the demo share the processors of one machine: a model that computes would be
felt through them by everybody, which says nothing of hands.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cell.app import PROGRAM, serve
from cell.codec.signature import Arrays, Signature
from cell.crash import slots
from cell.engines.stop import Stop
from cell.settings import CellSettings
from croupier import settings
from croupier.artifacts.batching import Batching
from croupier.artifacts.format import Artifact, Tensor, pack
from croupier.lifecycle import run
from croupier.telemetry import logs

ENGINE = "poison"
# A row that begins with this one writes to address 0, if its model is one that crashes.
MARK = 666.0


def holding(name: str, seconds: float) -> bytes:
    """An artifact whose every run holds a thread for so long."""
    return _packed(name, str(seconds))


def crashing(name: str) -> bytes:
    """An artifact that ends its cell with the first row that begins with MARK."""
    return _packed(name, "")


def _packed(name: str, hold: str) -> bytes:
    return pack(
        engine=ENGINE,
        inputs=[Tensor("input", "FP32", (-1, 1))],
        outputs=[Tensor("value", "FP32", (-1,))],
        features=["x"],
        sections={"name": name.encode(), "hold": hold.encode()},
    )


@dataclass(slots=True)
class _Scorer:
    """`hold` is None of a model that crashes."""

    signature: Signature
    digest: bytes
    hold: float | None
    resident_bytes: int = 1024
    # Or one run would do for all that wait.
    batchable: bool = False
    batching: Batching | None = None

    def admitted(self, inputs: Arrays, where: str) -> Arrays:
        return inputs

    def score(self, inputs: Arrays, outputs: Sequence[str], stop: Stop | None = None) -> Arrays:
        rows = inputs["input"]
        with slots.Naming(self.digest, slots.SCORE):
            if self.hold is not None:
                time.sleep(self.hold)
            elif (rows[:, 0] == MARK).any():
                ctypes.memset(0, 1, 8)
        return dict.fromkeys(outputs, rows[:, 0].astype(np.float32))

    def close(self) -> None:
        pass


class _Engine:
    only_copies = False

    def estimate(self, artifact: Artifact) -> int:
        return 1024

    def load(self, artifact: Artifact, digest: bytes | None = None) -> _Scorer:
        assert digest is not None
        hold = bytes(artifact.section("hold")).decode()
        return _Scorer(Signature.of(artifact), digest, float(hold) if hold else None)


def main() -> int:
    chosen = settings.load(CellSettings, PROGRAM)
    logs.configure(PROGRAM, chosen.log_level, chosen.log_format)
    return run(lambda life: serve(chosen, life, {ENGINE: _Engine()}))
