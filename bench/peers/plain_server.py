"""What one would write without Croupier: grpc.aio, uvloop, LightGBM's fastest call, a dictionary.

Serves ModelInfer of the Open Inference Protocol for one typed FP32 input, as lean as it goes: one row through
the C interface's FastPredict, more rows through its matrix call.

    python -m bench.peers.plain_server LIGHTGBM_TEXT MODELS
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import uvloop

from bench.engine_peers import LightGbm
from protos.inference.v2 import inference_pb2 as pb
from protos.inference.v2 import inference_pb2_grpc


class _Servicer(inference_pb2_grpc.GRPCInferenceServiceServicer):
    def __init__(self, text: str, models: int) -> None:
        self._peer = LightGbm()
        features = int(text.split("max_feature_idx=")[1].split()[0]) + 1
        self._models = {f"m{number}": self._peer.load((text, features)) for number in range(models)}

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Any) -> pb.ModelInferResponse:  # noqa: N802
        model = self._models.get(request.model_name)
        if model is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        (tensor,) = request.inputs
        rows = np.array(tensor.contents.fp32_contents, np.float32).reshape(tuple(tensor.shape))
        scores = self._peer.ask(model, rows)
        response = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
        output = response.outputs.add(name="value", datatype="FP32", shape=[len(rows), 1])
        output.contents.fp32_contents.extend(scores.tolist())
        return response


async def _serve(text: str, models: int) -> None:
    server = grpc.aio.server()
    add: Any = inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server
    add(_Servicer(text, models), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"plain server on 127.0.0.1:{port} ready", flush=True)
    await server.wait_for_termination()


def main() -> None:
    text, models = Path(sys.argv[1]).read_text(), int(sys.argv[2])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(text, models))


if __name__ == "__main__":
    main()
