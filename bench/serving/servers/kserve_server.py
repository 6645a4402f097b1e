"""KServe's Python server: a `Model` a forest, in a repository that loads what it does not know yet.

python kserve_server.py --models FOLDER --grpc_port PORT --http_port PORT [options of kserve's]
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

import kserve
import loopback
import uvloop
from forest import Forest, file_of, row_of
from kserve import InferOutput, InferRequest, InferResponse, model_server


class ForestModel(kserve.Model):
    def __init__(self, name: str, folder: str) -> None:
        super().__init__(name)
        self._forest = Forest(file_of(folder, name))
        self.ready = True

    async def predict(self, payload: InferRequest, headers: Any = None) -> InferResponse:
        score = self._forest.predict(row_of(payload.inputs[0].data))
        output = InferOutput(name="value", shape=[1, 1], datatype="FP32", data=[score])
        return InferResponse(response_id=payload.id, model_name=self.name, infer_outputs=[output])


class Forests(kserve.ModelRepository):
    """`says_latency` is what KServe tells models that it knows at the start."""

    def __init__(self, folder: str, *, says_latency: bool) -> None:
        super().__init__(folder)
        self._says_latency = says_latency

    def get_model(self, name: str) -> ForestModel | None:
        found: ForestModel | None = super().get_model(name)
        if found is None and file_of(self.models_dir, name).exists():
            found = ForestModel(name, self.models_dir)
            found.enable_latency_logging = self._says_latency
            self.update(found)
        return found


class _Rest(model_server.RESTServer):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.config.host = "127.0.0.1"


def main() -> None:
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--models", required=True)
    told = parser.parse_args()
    loopback.confine()
    model_server.RESTServer = _Rest
    # Its own option for that is for HTTP alone; and it asks for a loop before it runs one.
    uvloop.install()
    asyncio.set_event_loop(uvloop.new_event_loop())
    forests = Forests(told.models, says_latency=told.enable_latency_logging)
    kserve.ModelServer(registered_models=forests).start([])


if __name__ == "__main__":
    main()
