"""The client SDK of Croupier: predictions from another service, with threads or with asyncio.

    with Client("router:8500", token=token) as client:
        prediction = client.predict("churn", {"age": 31, "plan": "basic"})
        prediction.value

Needs grpcio and protobuf only, and keeps its messages in a pool of its own, so that it lives in one process
with any other protobuf code, Croupier's server among it. Failures are classes of `croupier_client.errors`.

`features` may be a dict, a pandas row, a NumPy vector or a sequence of floats: see `Item`.
"""

from croupier_client.aio import AsyncClient
from croupier_client.blocking import Client
from croupier_client.decode import Origin, PredictError, Prediction, SeveralOutputs
from croupier_client.encode import Features, InvalidFeatures, Item, Shared
from croupier_client.features import FeatureRecord, Written

__all__ = [
    "AsyncClient",
    "Client",
    "FeatureRecord",
    "Features",
    "InvalidFeatures",
    "Item",
    "Origin",
    "PredictError",
    "Prediction",
    "SeveralOutputs",
    "Shared",
    "Written",
]
