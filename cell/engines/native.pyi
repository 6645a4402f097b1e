from collections.abc import Sequence
from typing import TypeAlias

from typing_extensions import Buffer

from cell.signature import Array

class Native:
    @property
    def features(self) -> int: ...
    @property
    def columns(self) -> int: ...
    def score(self, rows: Array, out: Array, labels: Array | None = None) -> None: ...

Job: TypeAlias = tuple[Native, Array, Array, Array | None]

def score_many(jobs: Sequence[Job]) -> None: ...
def score_joined(
    models: Sequence[Native], counts: Sequence[int], rows: Buffer | Array, out: Buffer | Array
) -> None: ...
