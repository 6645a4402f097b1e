from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

class Pool:
    cells: tuple[str, ...]
    size: int

    def __new__(cls, cells: tuple[str, ...], zones: Sequence[Sequence[tuple[bytes, float, int]]]) -> Self: ...
    def deal(self, key: bytes, size: int, kept_out: tuple[int, ...] = ()) -> tuple[str, ...]: ...
    def deal_all(
        self,
        keys: npt.NDArray[np.uint64],
        size: int,
        at: npt.NDArray[np.int64],
        numbers: npt.NDArray[np.int32],
        out: npt.NDArray[np.int32],
    ) -> None: ...

def name_keys(names: Sequence[str], seed: int, out: npt.NDArray[np.uint64]) -> None: ...
