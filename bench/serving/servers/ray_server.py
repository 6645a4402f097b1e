"""Ray Serve: one replica, in which `serve.multiplexed` keeps the models, loaded when first asked for.

    python ray_server.py FOLDER HTTP_PORT GRPC_PORT

Speaks the Open Inference Protocol, whose generated code has to be on the path of all of its processes. Which
model is meant says the header `multiplexed_model_id`, as Ray wants it; how Serve is tuned, the environment.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile

import ray
from forest import Forest, file_of, row_of
from ray import serve

from protos.inference.v2 import inference_pb2 as pb

_SERVICER = "protos.inference.v2.inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server"
# The least that it takes; nothing here is ever put there.
_OBJECTS = 80 << 20


class Forests:
    def __init__(self, folder: str) -> None:
        self._folder = folder

    # Without a bound: the bench asks what so many models take.
    @serve.multiplexed(max_num_models_per_replica=-1)
    async def load(self, name: str) -> Forest:
        return Forest(file_of(self._folder, name))

    async def ModelInfer(self, request: pb.ModelInferRequest) -> pb.ModelInferResponse:  # noqa: N802
        forest = await self.load(serve.get_multiplexed_model_id())
        score = forest.predict(row_of(request.inputs[0].contents.fp32_contents))
        response = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
        output = response.outputs.add(name="value", datatype="FP32", shape=[1, 1])
        output.contents.fp32_contents.append(score)
        return response


def main() -> None:
    folder, http_port, grpc_port = sys.argv[1:]
    # Its sessions and its store of objects would lie in /tmp/ray and /dev/shm, where nobody takes them away.
    # Paths of its sockets have 107 bytes at most.
    home = tempfile.mkdtemp(prefix="ray-")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        _serve(home, folder, int(http_port), int(grpc_port))
    finally:
        # Serve would drain first, for half a minute.
        ray.shutdown()
        shutil.rmtree(home, ignore_errors=True)


def _serve(home: str, folder: str, http_port: int, grpc_port: int) -> None:
    ray.init(
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=_OBJECTS,
        runtime_env={"worker_process_setup_hook": "loopback.confine"},
        _node_ip_address="127.0.0.1",
        _plasma_directory=home,
        _temp_dir=home,
    )
    serve.start(
        proxy_location="HeadOnly",
        http_options={"host": "127.0.0.1", "port": http_port},
        grpc_options={"port": grpc_port, "grpc_servicer_functions": [_SERVICER]},
    )
    replica = serve.deployment(num_replicas=1, max_ongoing_requests=1_000, ray_actor_options={"num_cpus": 0})
    serve.run(replica(Forests).bind(folder), name="forests", route_prefix="/")
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
