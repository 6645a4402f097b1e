"""The cells of the route bench: a server that answers everything with a constant.

It does as little as it can, so that what is measured is the proxy before it. It serves from the
loop of whoever sends the load: two processes that share a core would add each other's scheduling to
every latency.

What it answers is counted, in predictions: h2load does not see a gRPC status, but a prediction that
never got here shows in that count.
"""

from __future__ import annotations

import asyncio
import functools
from types import TracebackType
from typing import Self

from bench import catalog
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.serving import Server
from protos.prediction.v1 import prediction_pb2

# A proxy gets all the room that it asks for.
_LIMITS = Limits(max_concurrent_streams=100_000)


class Upstream:
    """Serves on `ports` ports; `answered` counts predictions."""

    def __init__(self, ports: int) -> None:
        self.answered = 0
        self.addresses: list[str] = []
        self._servers = [Server(limits=_LIMITS) for _ in range(ports)]
        self._infer = catalog.infer_response()

    async def __aenter__(self) -> Self:
        for server in self._servers:
            server.add_batch([catalog.MODEL_INFER, catalog.PREDICT], self.handle)
            self.addresses.append(await server.start("127.0.0.1:0"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.gather(*(server.stop(0.0) for server in self._servers))

    def handle(self, calls: list[ServerCall]) -> None:
        for call in calls:
            if call.path == catalog.MODEL_INFER:
                self.answered += 1
                call.reply(self._infer)
            else:
                items = count_items(call.message)
                self.answered += items
                call.reply(catalog.predict_response(items))


# A load repeats itself, and reading 32 items costs more than all else that is done here.
@functools.lru_cache(maxsize=65_536)
def count_items(message: bytes) -> int:
    return len(prediction_pb2.PredictRequest.FromString(message).items)
