"""Triton as a registry has it: the server that PyTriton brings, which has its Python backend and no other.

What it would serve forests with, the backend FIL, is in none. A model of its Python backend is a process; so
one model keeps all forests (`servers/triton_model`), and a request says which one it means.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from bench.engine_models import Array
from bench.population import asking
from bench.serving.foreign import SERVERS, Foreign
from bench.serving.models import FEATURES, Models
from bench.serving.oip import OipWire
from bench.serving.peer import Wire, alone, environment
from protos.inference.v2 import inference_pb2 as pb

_CONFIGURATION = f"""\
backend: "python"
max_batch_size: 64
input {{ name: "input" data_type: TYPE_FP32 dims: [{FEATURES}] }}
output {{ name: "value" data_type: TYPE_FP32 dims: [1] }}
instance_group {{ count: 1 kind: KIND_CPU }}
dynamic_batching {{}}
"""


class Triton(Foreign):
    """Its server is in C++; what scores is in Python, a process beside it."""

    name = home = "triton"
    kind: Literal["ours", "python", "native"] = "native"
    settings = (
        "PyTriton's tritonserver, its Python backend, one model that keeps all forests, one instance, "
        "dynamic batching without delay, gRPC alone, no metrics, C FastPredict, num_threads=1"
    )
    tells = ("nvidia-pytriton", "lightgbm")

    def argv(self, models: Models, home: Path, port: int, count: int) -> Sequence[str]:
        (packages,) = map(Path, self.packages())
        server = packages / "pytriton/tritonserver"
        _lay_out(home, server, environment(self.home).resolve().name)
        return alone(
            server / "bin/tritonserver",
            *(f"--model-repository={home}/models", f"--backend-directory={home}/backends"),
            *(
                "--grpc-address=127.0.0.1",
                f"--grpc-port={port}",
                "--allow-http=false",
                "--allow-metrics=false",
            ),
            *("--log-info=false", f"--backend-config=python,shm-region-prefix-name={home.parent.name}"),
            LD_LIBRARY_PATH=str(packages / "nvidia_pytriton.libs"),
            # What starts models finds the packages by its Python, and that by this.
            PATH=f"{environment(self.home).parent}:/usr/bin:/bin",
            FORESTS=str(models.lightgbm(count)),
            OMP_NUM_THREADS="1",
        )

    def wire(self, models: Models) -> Wire:
        return _TritonWire()


def _lay_out(home: Path, server: Path, python: str) -> None:
    """The model's folder, and the backend's with what starts models in this `python`."""
    backend = home / "backends/python"
    backend.mkdir(parents=True)
    for path in (server / "backends/python").iterdir():
        (backend / path.name).symlink_to(path)
    stub = backend / "triton_python_backend_stub"
    stub.unlink(missing_ok=True)
    shutil.copy(server / "python_backend_stubs" / python.removeprefix("python") / stub.name, stub)
    version = home / "models/forests/1"
    version.mkdir(parents=True)
    (version / "model.py").symlink_to(SERVERS / "triton_model.py")
    (version / "forest.py").symlink_to(SERVERS / "forest.py")
    (version.parent / "config.pbtxt").write_text(_CONFIGURATION)


class _TritonWire(OipWire):
    def message(self, number: int, row: Array) -> bytes:
        meant = pb.InferParameter(string_param=f"m{number}")
        head = pb.ModelInferRequest(model_name="forests", parameters={"forest": meant})
        return head.SerializeToString() + asking(row.reshape(1, -1))


PEER = Triton()
