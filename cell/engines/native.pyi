from collections.abc import Sequence

from typing_extensions import Buffer

from cell.arena import Arena, Block
from cell.engines.stop import Stop
from cell.signature import Array, Arrays, Signature

class Native(Block):
    signature: Signature
    labels: Array | None
    def __init__(self, section: Buffer, arena: Arena | None = None, digest: bytes | None = None) -> None: ...
    @property
    def features(self) -> int: ...
    @property
    def wide(self) -> bool: ...
    @property
    def columns(self) -> int: ...
    @property
    def row_cost(self) -> float: ...
    @property
    def digest(self) -> bytes: ...
    @property
    def resident_bytes(self) -> int: ...
    @property
    def batchable(self) -> bool: ...
    @property
    def batching(self) -> None: ...
    def score(self, inputs: Arrays, outputs: Sequence[str], stop: Stop | None = None) -> Arrays: ...
    def score_into(
        self, rows: Buffer | Array, out: Buffer | Array, labels: Buffer | Array | None = None
    ) -> None: ...

def score_joined(
    models: Sequence[Native],
    counts: Sequence[int],
    rows: Buffer | Array,
    out: Buffer | Array,
    labels: Buffer | Array | None = None,
    wide: Sequence[object] | None = None,
) -> None: ...
