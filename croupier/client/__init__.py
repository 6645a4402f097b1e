"""The client SDK: predictions from another service, with asyncio or with threads.

    async with AsyncClient("router:8500", token=token) as client:
        prediction = await client.predict("churn", {"age": 31, "plan": "basic"})
        prediction.value

Needs grpcio and protobuf only, and registers no `inference.*` descriptor, so that it lives in one
process with any Open Inference Protocol client. Failures are the classes of `croupier.errors`.

`features` may be a dict, a pandas row, a NumPy vector or a sequence of floats: see `Item`.

What is named here is imported when it is first used, so that `croupier.grpcio.manager` alone does not import
clients for predictions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = {
    "AsyncClient": "aio",
    "Client": "blocking",
    "Features": "encode",
    "InvalidFeatures": "encode",
    "Item": "encode",
    "PredictError": "decode",
    "Prediction": "decode",
    "SeveralOutputs": "decode",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
