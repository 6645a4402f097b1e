"""Requests that take milliseconds of a cell: many rows of a large forest, of many tenants in turn.

Each answer is compared with the training library's; bytes that were right once are right again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bench.catalog import MODEL_INFER
from bench.openloop import Floats
from bench.shards import heavy
from bench.training import TOLERANCE
from croupier.grpcio.manager import VersionManagerClient
from protos.inference.v2 import inference_pb2

TENANTS = 24
_ROWS = 64
# Different encodings of the right answer that are kept.
_MOST_KNOWN = 64


@dataclass(slots=True)
class Demand:
    """Requests by number; `expected` (rows,) is what the library says to every one of them."""

    expected: Floats
    path: bytes = MODEL_INFER.encode()
    _known: set[bytes] = field(default_factory=set)
    _question: bytes = field(default_factory=lambda: heavy.question(_ROWS))

    @classmethod
    async def published(cls, manager: VersionManagerClient) -> Demand:
        artifact, expected = heavy.trained()
        for number in range(TENANTS):
            await manager.publish(_tenant(number), heavy.MODEL, artifact, release_if_first=True)
        return cls(expected[:_ROWS])

    def tenant(self, number: int) -> bytes:
        return _tenant(number % TENANTS).encode()

    def message(self, number: int) -> bytes:
        return self._question

    def is_answer(self, number: int, answer: bytes) -> bool:
        if answer in self._known:
            return True
        response = inference_pb2.ModelInferResponse.FromString(answer)
        (output,), raw = response.outputs, response.raw_output_contents
        values = np.frombuffer(raw[0], "<f4") if raw else np.array(output.contents.fp32_contents)
        is_right = values.size == self.expected.size and bool(
            np.allclose(values.ravel(), self.expected, rtol=TOLERANCE, atol=TOLERANCE)
        )
        if is_right and len(self._known) < _MOST_KNOWN:
            self._known.add(answer)
        return is_right


def _tenant(number: int) -> str:
    return f"demand-{number:02}"
