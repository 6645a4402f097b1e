"""ModelInfer of the Open Inference Protocol for one typed FP32 input, as lean as grpc.aio goes.

    python -m bench.serving.aio_server lightgbm|fastpredict|onnxruntime FOLDER ADDRESS

A model is loaded from the folder when it is first asked for, and stays. LightGBM is asked as its own pages
say, by `Booster.predict`; or by the fastest call there is from Python, its C interface: FastPredict for one
row, the call for a matrix for more.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import uvloop

from bench.engine_models import Array
from bench.serving.models import FEATURES
from protos.inference.v2 import inference_pb2 as pb
from protos.inference.v2 import inference_pb2_grpc

# A model is asked for float32 (n, features), and says (n,).
Ask = Callable[[Array], Array]


class _Servicer(inference_pb2_grpc.GRPCInferenceServiceServicer):
    def __init__(self, load: Callable[[Path], Ask], folder: Path, ending: str) -> None:
        self._load = load
        self._folder = folder
        self._ending = ending
        self._models: dict[str, Ask] = {}

    async def ModelInfer(  # noqa: N802
        self, request: pb.ModelInferRequest, context: Any
    ) -> pb.ModelInferResponse:
        name = request.model_name
        ask = self._models.get(name)
        if ask is None:
            path = self._folder / f"{name}.{self._ending}"
            if not name.isalnum() or not path.exists():
                await context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
            ask = self._models[name] = self._load(path)
        (tensor,) = request.inputs
        rows = np.array(tensor.contents.fp32_contents, np.float32).reshape(tuple(tensor.shape))
        said = ask(rows)
        response = pb.ModelInferResponse(model_name=name, id=request.id)
        output = response.outputs.add(name="value", datatype="FP32", shape=[len(rows), 1])
        output.contents.fp32_contents.extend(said.tolist())
        return response


def _lightgbm() -> Callable[[Path], Ask]:
    _leave_out_optional_imports()
    import lightgbm

    def load(path: Path) -> Ask:
        booster: Any = lightgbm.Booster(model_file=str(path))
        return lambda rows: booster.predict(rows, num_threads=1)

    return load


def _fastpredict() -> Callable[[Path], Ask]:
    _leave_out_optional_imports()
    from bench.engine_peers import LightGbm

    engine = LightGbm()

    def load(path: Path) -> Ask:
        model = engine.load((path.read_text(), FEATURES))
        return lambda rows: engine.ask(model, rows)

    return load


def _leave_out_optional_imports() -> None:
    """LightGBM imports these where they are installed: much memory that a server has no use for."""
    for name in ("pandas", "pyarrow", "sklearn"):
        sys.modules[name] = None  # type: ignore[assignment]


def _onnxruntime() -> Callable[[Path], Ask]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False

    def load(path: Path) -> Ask:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return lambda rows: session.run(None, {"input": rows})[0].reshape(-1)

    return load


_LIBRARIES = {
    "lightgbm": (_lightgbm, "txt"),
    "fastpredict": (_fastpredict, "txt"),
    "onnxruntime": (_onnxruntime, "onnx"),
}


async def _serve(library: str, folder: Path, address: str) -> None:
    loader, ending = _LIBRARIES[library]
    server = grpc.aio.server()
    add: Any = inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server
    add(_Servicer(loader(), folder, ending), server)
    port = server.add_insecure_port(address)
    await server.start()
    print(f"{library} on {address.rpartition(':')[0]}:{port} ready", flush=True)
    await server.wait_for_termination()


def main() -> None:
    library, folder, address = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(library, Path(folder), address))


if __name__ == "__main__":
    main()
