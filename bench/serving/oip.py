"""Asking in the Open Inference Protocol: ModelInfer with one typed FP32 input of one row."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.catalog import MODEL_INFER
from bench.engine_models import Array
from bench.population import asking
from bench.serving.peer import Headers
from protos.inference.v2 import inference_pb2 as pb

_RAW: dict[str, Any] = {"FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}


class OipWire:
    """Model number n is `m{n}`; the last value of the last output is what it says."""

    path = MODEL_INFER

    def message(self, number: int, row: Array) -> bytes:
        head = pb.ModelInferRequest(model_name=f"m{number}")
        return head.SerializeToString() + asking(row.reshape(1, -1))

    def headers(self, number: int) -> Headers:
        return ()

    def prediction(self, answer: bytes) -> float:
        response = pb.ModelInferResponse.FromString(answer)
        if not response.outputs:
            raise ValueError("the answer has no output")
        output = response.outputs[-1]
        if response.raw_output_contents:
            if output.datatype not in _RAW:
                raise ValueError(f"the answer's last output is of {output.datatype}")
            return float(np.frombuffer(response.raw_output_contents[-1], _RAW[output.datatype])[-1])
        values = output.contents.fp32_contents or output.contents.fp64_contents
        if not values:
            raise ValueError("the answer's last output has no numbers")
        return float(values[-1])
