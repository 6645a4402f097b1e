"""One way to serve a model for each engine that is compared: what it keeps, how it is loaded and asked.

LightGBM is asked through its C interface for single rows (FastPredict), as a server that cares would. What
compiles models or needs packages of its own stands in `engine_compilers.py`.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.engine_compilers import Lleaves, OneDal, Tl2cgen
from bench.engine_models import Array, Shape, forest_as_onnx, train_xgboost
from bench.engine_peer import OneByOne, Peer

# Rows of one read of a cell.
TICK = 64


@functools.cache
def _arena() -> Any:
    """As a cell on a machine of 16 GiB has it."""
    from cell.memory.arena import Arena

    return Arena(8 << 30)


class Croupier(OneByOne):
    """The engines `forest` and `linear`: one native call a read of 64 rows, each of its own model."""

    is_wide = True
    distribution = "croupier"

    def takes(self, shape: Shape) -> bool:
        return True

    def payload(self, trained: Any, shape: Shape) -> bytes:
        from croupier.artifacts.packers.forest import pack_forest
        from croupier.artifacts.packers.linear import pack_linear

        return pack_forest(trained) if shape.is_forest else pack_linear(trained)

    def load(self, payload: bytes) -> Any:
        from cell.engines.packed import PackedEngine
        from croupier.artifacts.format import view

        artifact = view(payload)
        return PackedEngine(artifact.engine, _arena()).load(artifact)

    def ask(self, model: Any, rows: Array) -> Array:
        out = np.empty((len(rows), 2), np.float32)
        model.score_into(rows, out)
        return out[:, 1]

    def asker(self, models: Sequence[Any], rows: Array) -> Callable[[], object]:
        from cell.engines.native import score_joined

        reads = []
        for begin in range(0, len(models), TICK):
            natives = models[begin : begin + TICK]
            asked = rows[np.arange(begin, begin + len(natives)) % len(rows)]
            wide = [True] * len(natives) if rows.dtype == np.float64 else None
            out = np.empty((len(natives), 2), np.float32)
            reads.append((natives, [1] * len(natives), asked, out, None, wide))

        def run() -> None:
            for read in reads:
                score_joined(*read)

        return run


class CroupierAlone(Croupier):
    """The same, one native call a row."""

    asker = OneByOne.asker


class LightGbm(OneByOne):
    """A model is a booster and its configuration for single rows."""

    distribution = "lightgbm"

    def payload(self, trained: Any, shape: Shape) -> tuple[str, int]:
        return trained.model_to_string(), shape.features

    def load(self, payload: tuple[str, int]) -> Any:
        import lightgbm

        text, features = payload
        booster = lightgbm.Booster(model_str=text)
        fast = ctypes.c_void_p()
        failed = _lightgbm().LGBM_BoosterPredictForMatSingleRowFastInit(
            booster._handle,  # noqa: SLF001 (the C interface takes it)
            *(0, 0, -1, 0, features, b"num_threads=1", ctypes.byref(fast)),
        )
        if failed:
            raise RuntimeError("LightGBM's FastInit failed")
        return booster, fast

    def ask(self, model: Any, rows: Array) -> Array:
        booster, fast = model
        count, features = rows.shape
        out = np.empty(count)
        length = ctypes.c_int64()
        data, answer = ctypes.c_void_p(rows.ctypes.data), ctypes.c_void_p(out.ctypes.data)
        library = _lightgbm()
        if count == 1:
            failed = library.LGBM_BoosterPredictForMatSingleRowFast(fast, data, ctypes.byref(length), answer)
        else:
            failed = library.LGBM_BoosterPredictForMat(
                booster._handle,  # noqa: SLF001
                *(data, 0, count, features, 1, 0, 0, -1, b"num_threads=1", ctypes.byref(length), answer),
            )
        if failed:
            raise RuntimeError("LightGBM failed")
        return out

    def asker(self, models: Sequence[Any], rows: Array) -> Callable[[], object]:
        call = _lightgbm().LGBM_BoosterPredictForMatSingleRowFast
        out = np.empty(1)
        length = ctypes.byref(ctypes.c_int64())
        answer = ctypes.c_void_p(out.ctypes.data)
        addresses = [ctypes.c_void_p(row.ctypes.data) for row in rows]
        jobs = [(fast, addresses[place % len(addresses)]) for place, (_, fast) in enumerate(models)]

        def run() -> None:
            for fast, row in jobs:
                call(fast, row, length, answer)

        return run


def _lightgbm() -> Any:
    from importlib import import_module

    return import_module("lightgbm.basic")._LIB  # noqa: SLF001


class XgBoost(OneByOne):
    """Has trees of its own."""

    distribution = "xgboost-cpu"

    def trained(self, shape: Shape) -> Any:
        return train_xgboost(shape)

    def expected(self, trained: Any, rows: Array) -> Array:
        import xgboost

        found: Array = trained.predict(xgboost.DMatrix(rows))
        return found

    def payload(self, trained: Any, shape: Shape) -> bytes:
        return bytes(trained.save_raw("ubj"))

    def load(self, payload: bytes) -> Any:
        import xgboost

        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(payload))
        return booster

    def ask(self, model: Any, rows: Array) -> Array:
        return model.inplace_predict(rows, validate_features=False)  # type: ignore[no-any-return]


class Treelite(OneByOne):
    """GTIL, treelite's own interpreter."""

    distribution = "treelite"

    def payload(self, trained: Any, shape: Shape) -> bytes:
        import treelite

        model: bytes = treelite.frontend.from_lightgbm(trained).serialize_bytes()
        return model

    def load(self, payload: bytes) -> Any:
        import treelite

        return treelite.Model.deserialize_bytes(payload)

    def ask(self, model: Any, rows: Array) -> Array:
        import treelite

        found: Array = treelite.gtil.predict(model, rows, nthread=1)
        return found.reshape(-1)


class OnnxRuntime(OneByOne):
    """A session as the engine `onnx` makes it."""

    distribution = "onnxruntime"

    def takes(self, shape: Shape) -> bool:
        return True

    def payload(self, trained: Any, shape: Shape) -> bytes:
        from croupier.artifacts.packers.onnx import pack_onnx, pack_sklearn

        if shape.is_forest:
            return pack_onnx(forest_as_onnx(trained.model_to_string()))
        return pack_sklearn(trained, wide=False)

    def load(self, payload: bytes) -> Any:
        from cell.engines.onnx import OnnxEngine
        from croupier.artifacts.format import view

        return OnnxEngine().load(view(payload)).session

    def ask(self, model: Any, rows: Array) -> Array:
        found: Array = model.run(None, {"input": rows})[-1]
        return found[:, -1]


PEERS: dict[str, Peer] = {
    "croupier": Croupier(),
    "croupier, a call a row": CroupierAlone(),
    "lightgbm": LightGbm(),
    "xgboost": XgBoost(),
    "treelite": Treelite(),
    "onnxruntime": OnnxRuntime(),
    "lleaves": Lleaves(),
    "tl2cgen": Tl2cgen(),
    "onedal": OneDal(),
}
