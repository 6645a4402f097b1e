"""Asks for rows as Triton's client sends them, in an environment that has nothing of ours.

    python triton_rows.py ROUTER MODEL ROWS.npy FP64 ANSWERS.npy

All rows in one request and then each in a request of its own: as many answers twice over.
"""

import sys
from typing import Any

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput


def main(router: str, model: str, rows: str, datatype: str, answers: str) -> None:
    asked = np.load(rows).astype({"FP64": np.float64, "FP32": np.float32}[datatype])

    def ask(some: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        tensor = InferInput("input", list(some.shape), datatype)
        tensor.set_data_from_numpy(some)
        result = client.infer(model, [tensor], headers={"croupier-tenant": "acme"}, client_timeout=10.0)
        return result.as_numpy("value")

    with InferenceServerClient(router) as client:
        np.save(answers, np.concatenate([ask(asked), *(ask(row[None]) for row in asked)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
