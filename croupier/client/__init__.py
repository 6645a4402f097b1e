"""The client SDK: predictions from another service, with asyncio or with threads.

    async with AsyncClient("router:8500", token=token) as client:
        prediction = await client.predict("churn", {"age": 31, "plan": "basic"})
        prediction.value

Needs grpcio and protobuf only, and registers no `inference.*` descriptor, so that it lives in one
process with any Open Inference Protocol client. Failures are the classes of `croupier.errors`.

`features` may be a dict, a pandas row, a NumPy vector or a sequence of floats: see `Item`.
"""

from croupier.client.aio import AsyncClient
from croupier.client.blocking import Client
from croupier.client.decode import PredictError, Prediction, SeveralOutputs
from croupier.client.encode import Features, InvalidFeatures, Item

__all__ = [
    "AsyncClient",
    "Client",
    "Features",
    "InvalidFeatures",
    "Item",
    "PredictError",
    "Prediction",
    "SeveralOutputs",
]
