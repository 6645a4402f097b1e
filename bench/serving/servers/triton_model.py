"""Triton's Python backend: one model that keeps all forests, loaded when first asked for.

A model of Triton's own for each would be a process for each. In the environment FORESTS is their folder;
which one is meant says the request's parameter `forest`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as backend
from forest import Forest, file_of, row_of


class TritonPythonModel:
    def initialize(self, _: Any) -> None:
        self._forests: dict[str, Forest] = {}

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        forest = self._named(json.loads(request.parameters())["forest"])
        row = row_of(backend.get_input_tensor_by_name(request, "input").as_numpy())
        value = np.array([[forest.predict(row)]], np.float32)
        return backend.InferenceResponse([backend.Tensor("value", value)])

    def _named(self, name: str) -> Forest:
        if (found := self._forests.get(name)) is None:
            found = self._forests[name] = Forest(file_of(os.environ["FORESTS"], name))
        return found
