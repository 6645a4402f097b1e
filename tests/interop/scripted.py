"""A router that answers as a test has written, to see what a caller makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from croupier.errors import CroupierError, NotFound
from croupier.items import item_status
from croupier.transport.context import Context
from croupier.transport.serving import Server
from protos.prediction.v1 import prediction_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["PredictionService"].full_name
UNKNOWN_VERSION = 99


@dataclass(frozen=True, slots=True)
class Refused:
    """One answer: the error, of the call or of its only item."""

    error: CroupierError
    is_of_item: bool = False


SILENCE = "never an answer"
GOOD = "a prediction"
Answer = Refused | str


@dataclass(slots=True)
class Scripted:
    """Gives `answers` in turn, the last one for ever; `asked` has when, in the loop's seconds."""

    answers: Sequence[Answer]
    asked: list[float] = field(default_factory=list)

    async def predict(self, message: bytes, context: Context) -> bytes:
        (item,) = pb.PredictRequest.FromString(message).items
        if item.version == UNKNOWN_VERSION:
            raise NotFound("model wine has no version 99")
        self.asked.append(asyncio.get_running_loop().time())
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if answer is SILENCE:
            await asyncio.Event().wait()
        if isinstance(answer, Refused):
            if not answer.is_of_item:
                raise answer.error
            result = pb.Result(status=item_status(answer.error))
        else:
            label = pb.Output(name="label", integers=pb.Integers(values=[0]))
            result = pb.Result(value=pb.Value(outputs=[label]), version=1)
        return pb.PredictResponse(results=[result]).SerializeToString()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Gives the address."""
        server = Server()
        server.add_unary(f"/{SERVICE}/Predict", self.predict)
        address = await server.start("127.0.0.1:0", [SERVICE])
        try:
            yield address
        finally:
            await server.stop(0)
