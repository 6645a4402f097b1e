"""A real gRPC PredictionService in this process that echoes, fails and waits as it is told."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from typing import Any, Self

from croupier.errors import CroupierError, Unavailable
from croupier.grpcio.server import Server
from croupier.items import item_status
from croupier.settings import ServerTls
from protos.prediction.v1 import prediction_pb2 as pb
from protos.prediction.v1 import prediction_pb2_grpc as services

SERVICE = "croupier.prediction.v1.PredictionService"


class PredictionServer(services.PredictionServiceServicer):
    """An item is answered by the sum of its numbers; a model named in `held` waits for its event.

    Who asks where features came from is told the same every time.
    """

    def __init__(self, tls: ServerTls | None = None) -> None:
        self._tls = tls
        # Errors that the next calls end with, and the next items of a model.
        self.failures: deque[CroupierError] = deque()
        self.item_failures: defaultdict[str, deque[CroupierError]] = defaultdict(deque)
        self.held: dict[str, asyncio.Event] = {}
        # A stream breaks after so many answers; one entry a stream.
        self.stream_breaks: deque[int] = deque()
        self.stream_error: CroupierError = Unavailable("the stream broke")
        self.items: list[pb.Item] = []
        self.metadata: list[dict[str, str | bytes]] = []
        self.peers: list[str] = []
        self.timeouts: list[float | None] = []
        self.called = asyncio.Event()
        self.cancelled = asyncio.Event()
        # An item is there that waits for its event.
        self.holds = asyncio.Event()
        self.unanswered = 0
        self.most_unanswered = 0
        self.streams_ended = 0
        self.target = ""

    async def __aenter__(self) -> Self:
        self._server = Server()
        services.add_PredictionServiceServicer_to_server(self, self._server.grpc_server)
        self.target = await self._server.start("127.0.0.1:0", [SERVICE], self._tls)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._server.stop(0)

    async def Predict(self, request: pb.PredictRequest, context: Any) -> pb.PredictResponse:
        self._note(context)
        if asked := self.metadata[-1].get("croupier-debug"):
            context.set_trailing_metadata((("croupier-debug", f"token-{asked}-{len(self.metadata)}"),))
        try:
            if self.failures:
                raise self.failures.popleft()
            return pb.PredictResponse(results=[await self._answer(item) for item in request.items])
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def PredictStream(
        self, requests: AsyncIterator[pb.PredictStreamRequest], context: Any
    ) -> AsyncIterator[pb.PredictStreamResponse]:
        self._note(context)
        answers: asyncio.Queue[pb.PredictStreamResponse | None] = asyncio.Queue()
        reader = asyncio.create_task(self._read(requests, answers))
        left = self.stream_breaks.popleft() if self.stream_breaks else -1
        try:
            while True:
                if left == 0:
                    raise self.stream_error
                answer = await answers.get()
                if answer is None:
                    break
                yield answer
                self.unanswered -= 1
                left -= 1
            self.streams_ended += 1
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        finally:
            self.unanswered = 0
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _read(self, requests: Any, answers: Any) -> None:
        async with asyncio.TaskGroup() as group:
            async for request in requests:
                self.unanswered += 1
                self.most_unanswered = max(self.most_unanswered, self.unanswered)
                group.create_task(self._answer_one(request, answers))
        answers.put_nowait(None)

    async def _answer_one(self, request: pb.PredictStreamRequest, answers: Any) -> None:
        answer = pb.PredictStreamResponse(id=request.id)
        if self.failures:
            answer.status.CopyFrom(item_status(self.failures.popleft()))
        else:
            for item in request.request.items:
                answer.response.results.append(await self._answer(item))
        answers.put_nowait(answer)

    async def _answer(self, item: pb.Item) -> pb.Result:
        self.items.append(item)
        if item.model in self.held:
            self.holds.set()
            await self.held[item.model].wait()
        if self.item_failures[item.model]:
            return pb.Result(status=item_status(self.item_failures[item.model].popleft()))
        numbers = item.row.values or [feature.number for feature in item.features.features]
        output = pb.Output(name="sum", numbers=pb.Numbers(values=[sum(numbers)]))
        result = pb.Result(value=pb.Value(outputs=[output]), version=item.version or 1, took_us=1500)
        if item.explain:
            result.defaults, result.degraded = 1, True
            result.origins.add(name="visits", source=pb.Origin.STORE, age_seconds=90)
            result.origins.add(name="plan", source=pb.Origin.DEFAULT_DOWN)
        return result

    def _note(self, context: Any) -> None:
        self.metadata.append(dict(context.invocation_metadata()))
        self.peers.append(context.peer())
        self.timeouts.append(context.time_remaining())
        self.called.set()
