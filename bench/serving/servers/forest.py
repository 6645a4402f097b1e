"""A LightGBM model asked by the fastest call there is from Python: its C interface, one row, one thread.

`Booster.predict` takes ten times as long for one row, so each peer gets this call instead.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

_LIBRARY: Any = lightgbm.basic._LIB  # type: ignore[attr-defined]  # noqa: SLF001
_FLOAT32, _NORMAL = 0, 0


class Forest:
    """No `__del__`: Ray calls one itself when it evicts a model, and Python would once more."""

    __slots__ = ("_booster", "_fast", "_length", "_out")

    def __init__(self, path: str | Path) -> None:
        """Raises LightGBMError: the file at `path` is no model."""
        self._booster: Any = lightgbm.Booster(model_file=str(path))
        self._fast = ctypes.c_void_p()
        self._out = ctypes.c_double()
        self._length = ctypes.c_int64()
        failed = _LIBRARY.LGBM_BoosterPredictForMatSingleRowFastInit(
            self._booster._handle,  # noqa: SLF001
            *(_NORMAL, 0, -1, _FLOAT32, self._booster.num_feature(), b"num_threads=1"),
            ctypes.byref(self._fast),
        )
        if failed:
            raise RuntimeError("LightGBM's FastInit failed")

    def predict(self, row: Any) -> float:
        """The score of one contiguous float32 row; from one thread at a time."""
        failed = _LIBRARY.LGBM_BoosterPredictForMatSingleRowFast(
            self._fast,
            ctypes.c_void_p(row.ctypes.data),
            ctypes.byref(self._length),
            ctypes.byref(self._out),
        )
        if failed:
            raise RuntimeError("LightGBM failed")
        return self._out.value


def row_of(values: Any) -> Any:
    """What `predict` takes, of any sequence of numbers."""
    return np.ascontiguousarray(values, np.float32)


def file_of(folder: str | Path, name: str) -> Path:
    """Where the model `name` lies in the folder of all models."""
    return Path(folder, f"{name}.txt")
