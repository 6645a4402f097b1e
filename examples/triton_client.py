"""Ask through the Open Inference Protocol, with Triton's own client.

Needs a running stack (`make up`) with a model (`train_and_publish.py`), and an environment of its own,
without Croupier in it:

    python -m venv triton && triton/bin/pip install -r requirements/triton.txt
    triton/bin/python examples/triton_client.py
"""

import argparse
import asyncio

import numpy as np
from tritonclient.grpc.aio import InferenceServerClient, InferInput, InferRequestedOutput

WINE = [14.23, 1.71, 2.43, 15.6, 127.0, 2.8, 3.06, 0.28, 2.29, 5.64, 1.04, 3.92, 1065.0]


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--router", default="127.0.0.1:8500", help="address of a router")
    parser.add_argument("--tenant", default="acme", help="who asks")
    arguments = parser.parse_args()
    headers = {"croupier-tenant": arguments.tenant}
    async with InferenceServerClient(arguments.router) as client:
        print(f"live: {await client.is_server_live()}, ready: {await client.is_server_ready()}")
        metadata = await client.get_model_metadata("wine", headers=headers, as_json=True)
        print(f"inputs: {metadata['inputs']}")

        rows = np.array([WINE], dtype=np.float32)
        tensor = InferInput("input", list(rows.shape), "FP32")
        tensor.set_data_from_numpy(rows)
        wanted = [InferRequestedOutput("label"), InferRequestedOutput("probabilities")]
        result = await client.infer("wine", [tensor], outputs=wanted, headers=headers, client_timeout=2.0)
        print(result.as_numpy("label"), result.as_numpy("probabilities"))


if __name__ == "__main__":
    asyncio.run(main())
