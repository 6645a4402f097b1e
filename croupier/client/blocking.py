"""The blocking client: the I/O around `steps` and `window`, for threads."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from croupier.client import steps
from croupier.client.blocking_stream import BlockingExchange
from croupier.client.decode import Outcome, Prediction
from croupier.client.encode import Features, Item
from croupier.client.options import Options, Token
from croupier.errors import CroupierError
from croupier.grpcio.channels import open_blocking
from croupier.grpcio.rpc_errors import from_rpc_error
from protos.prediction.v1 import prediction_pb2 as pb
from protos.prediction.v1 import prediction_pb2_grpc


class Client:
    """What `AsyncClient` is, for code without an event loop; threads may share one."""

    def __init__(
        self,
        target: str,
        *,
        tenant: str = "",
        token: Token = "",
        ca: Path | str | None = None,
        certificate: Path | str | None = None,
        key: Path | str | None = None,
        timeout: float | None = 5.0,
        retries: int = 2,
    ) -> None:
        self._options = Options.build(target, tenant, token, (ca, certificate, key), timeout, retries)
        self._channel = open_blocking(target, self._options.tls)
        self._stub: Any = prediction_pb2_grpc.PredictionServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls of other threads are cancelled."""
        self._channel.close()

    def for_tenant(self, tenant: str = "", *, token: Token = "") -> Self:
        """This client as another tenant, over the same connection.

        For services that ask for many tenants. Closing either closes the connection of both.
        """
        other = copy.copy(self)
        other._options = self._options.for_tenant(tenant, token)  # noqa: SLF001 (of this very class)
        return other

    def predict(
        self,
        model: str,
        features: Features,
        *,
        version: int = 0,
        label: str = "",
        entity_id: str = "",
        key: str = "",
        timeout: float | None = None,
        min_revision: str = "",
    ) -> Prediction:
        """One prediction; the arguments are those of `Item`. `timeout` None takes the client's.

        `min_revision` is the `revision` that publishing or releasing answered: the router answers from a
        catalog that has it, for which it may wait a little, or with Unavailable.
        """
        item = Item(model, features, version, label, entity_id, key)
        (outcome,) = self.predict_many([item], timeout=timeout, min_revision=min_revision)
        if isinstance(outcome, CroupierError):
            raise outcome
        return outcome

    def predict_many(
        self, items: Iterable[Item], *, timeout: float | None = None, min_revision: str = ""
    ) -> list[Outcome]:
        """Every item's prediction or error, in order, by one request.

        An item that fails does not raise; the call does when it fails as a whole. `min_revision` is as in
        `predict`.
        """
        work = steps.predict(list(items), **self._options.call(timeout, time.monotonic))
        answer: steps.Answer = None
        while True:
            try:
                step = work.send(answer)
            except StopIteration as end:
                outcomes: list[Outcome] = end.value
                return outcomes
            match step:
                case steps.Send(request, seconds):
                    answer = self._send(request, seconds, min_revision)
                case steps.Wait(seconds):
                    time.sleep(seconds)
                    answer = None

    def stream(
        self,
        items: Iterable[Item],
        *,
        in_flight: int = 64,
        timeout: float | None = None,
        min_revision: str = "",
    ) -> Iterator[tuple[int, Outcome]]:
        """Each item's index in `items` and its prediction or error, as they are ready.

        As `AsyncClient.stream`. `items` is read in the caller's own thread, up to `in_flight` ahead
        of the results, so a source that blocks delays results that are ready.
        """
        window = self._options.window(in_flight, timeout, time.monotonic)

        def connect(requests: Iterator[pb.PredictStreamRequest], seconds: float | None) -> Any:
            # Asked for each connection: the token of the last one may have expired.
            metadata = self._options.metadata(min_revision)
            return self._stub.PredictStream(requests, timeout=seconds, metadata=metadata)

        with closing(BlockingExchange(connect, items, window)) as exchange:
            while (answer := exchange.answer()) is not None:
                yield answer

    def _send(
        self, request: pb.PredictRequest, seconds: float | None, min_revision: str
    ) -> pb.PredictResponse | CroupierError:
        metadata = self._options.metadata(min_revision)
        try:
            response: pb.PredictResponse = self._stub.Predict(request, timeout=seconds, metadata=metadata)
        except grpc.RpcError as error:
            return from_rpc_error(error)
        return response
