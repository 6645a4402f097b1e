"""BentoML: a legacy service, the only kind that it serves by gRPC, with an API for each model.

Its own way would be a runner for each model, which is a process for each; here the service keeps the models
itself, and loads them when they are first asked for. In the environment FORESTS is their folder, and
FORESTS_COUNT how many there are.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from bentoml.io import NumpyNdarray
from bentoml.legacy import Service
from forest import Forest, file_of, row_of

# Its gRPC server asks for the loop after it has loaded this.
asyncio.set_event_loop(uvloop.new_event_loop())
svc = Service("forests")


def _api(path: Path) -> Callable[[Any], Coroutine[Any, Any, Any]]:
    forest: Forest | None = None

    async def predict(row: Any) -> Any:
        nonlocal forest
        if forest is None:
            forest = Forest(path)
        return np.array([forest.predict(row_of(row))], np.float32)

    return predict


for number in range(int(os.environ["FORESTS_COUNT"])):
    name = f"m{number}"
    svc.api(input=NumpyNdarray(), output=NumpyNdarray(), name=name)(
        _api(file_of(os.environ["FORESTS"], name))
    )
