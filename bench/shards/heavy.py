"""A model of which one request takes some milliseconds of a cell: many rows of a large forest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from croupier.artifacts.packers.forest import pack_forest
from protos.inference.v2 import inference_pb2

MODEL = "heavy"
ROWS = 128
_FEATURES = 10
_SEED = 14


def trained() -> tuple[bytes, NDArray[Any]]:
    """The artifact, and what the library says of each row of `question`: (ROWS,)."""
    from sklearn.ensemble import ExtraTreesRegressor

    random = np.random.default_rng(_SEED)
    features = random.normal(size=(4_000, _FEATURES)).astype(np.float32)
    model = ExtraTreesRegressor(n_estimators=400, max_depth=10, random_state=_SEED, n_jobs=1)
    model.fit(features, features.sum(axis=1))
    return pack_forest(model), model.predict(_rows())


def question(rows: int = ROWS) -> bytes:
    """A ModelInferRequest of the first so many rows."""
    tensor = inference_pb2.ModelInferRequest.InferInputTensor(
        name="input", datatype="FP32", shape=[rows, _FEATURES]
    )
    request = inference_pb2.ModelInferRequest(
        model_name=MODEL, inputs=[tensor], raw_input_contents=[_rows()[:rows].tobytes()]
    )
    return request.SerializeToString()


def _rows() -> NDArray[Any]:
    return np.random.default_rng(_SEED).normal(size=(ROWS, _FEATURES)).astype("<f4")
