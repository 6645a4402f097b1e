"""The asyncio client: the I/O around `steps`."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Optional, TypeVar, Union

import grpc

from croupier_client import steps
from croupier_client.aio_stream import AsyncExchange
from croupier_client.channels import open_async
from croupier_client.decode import Outcome, Prediction
from croupier_client.encode import Features, Item, Shared
from croupier_client.errors import Cancelled, CroupierError
from croupier_client.features import Answer, FeatureRecord, Written, write
from croupier_client.messages import prediction as pb
from croupier_client.messages.features import WriteRequest, WriteResponse
from croupier_client.options import Metadata, Options, PathLike, Token, Trace
from croupier_client.status import debug_of, from_rpc_error
from croupier_client.stub import Stub

_C = TypeVar("_C", bound="AsyncClient")


class AsyncClient:
    """Predictions from `target` (`host:port` or `unix:path`), within one event loop.

    Callers are known by `token`, a tenant's JWT or a function that returns the present one, or on a
    router without tokens by `tenant`. With `ca` the connection is TLS; `certificate` and `key` are
    shown where the router asks for them. `timeout` is in seconds for each call, retries included;
    None for none. `retries`: how often more a call is tried that was `Unavailable`.
    `trace` gives `traceparent` and `tracestate` of the span that calls, where that is not OpenTelemetry's.
    `debug` has predictions and errors (but not those of streams) say which cell they came from: by a token in
    `debug`, which operators can read.

    Every method raises the `croupier_client.errors` class that says what is wrong and whose fault it is.
    """

    def __init__(
        self,
        target: str,
        *,
        tenant: str = "",
        token: Token = "",
        ca: Optional[PathLike] = None,
        certificate: Optional[PathLike] = None,
        key: Optional[PathLike] = None,
        timeout: Optional[float] = 5.0,
        retries: int = 2,
        trace: Optional[Trace] = None,
        debug: bool = False,
    ) -> None:
        files = ca, certificate, key
        self._options = Options.build(target, tenant, token, files, timeout, retries, trace, debug)
        # Opened when first used: grpcio ties a channel to the loop that runs at that moment.
        self._channel: grpc.aio.Channel | None = None

    async def __aenter__(self: _C) -> _C:
        return self

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls under way, and later ones, end with Cancelled."""
        if self._channel is not None:
            await self._channel.close()

    def for_tenant(self: _C, tenant: str = "", *, token: Token = "") -> _C:
        """This client as another tenant, over the same connection; call it inside the event loop.

        For services that ask for many tenants. Closing either closes the connection of both.
        """
        self._stub()
        other = copy.copy(self)
        other._options = self._options.for_tenant(tenant, token)  # noqa: SLF001 (of this very class)
        return other

    async def predict(
        self,
        model: str,
        features: Features,
        *,
        version: int = 0,
        label: str = "",
        entity_id: str = "",
        key: str = "",
        parameters: Optional[Mapping[str, str]] = None,
        explain: bool = False,
        timeout: Optional[float] = None,
        min_revision: str = "",
        request_id: str = "",
        priority: str = "",
    ) -> Prediction:
        """One prediction; the arguments are those of `Item`. `timeout` None takes the client's.

        `min_revision` is the `revision` that publishing or releasing answered: the router answers from a
        catalog that has it, for which it may wait a little, or with Unavailable. `request_id` is what logs
        call the request, one word of at most 128 bytes; without, an error says what they call it. `priority`
        "batch" has it refused before any other where there is too much to do.
        """
        item = Item(model, features, version, label, entity_id, key, parameters or {}, explain)
        (outcome,) = await self.predict_many(
            [item],
            timeout=timeout,
            min_revision=min_revision,
            request_id=request_id,
            priority=priority,
        )
        if isinstance(outcome, CroupierError):
            raise outcome
        return outcome

    async def predict_many(
        self,
        items: Iterable[Item],
        *,
        shared: Optional[Shared] = None,
        timeout: Optional[float] = None,
        min_revision: str = "",
        request_id: str = "",
        priority: str = "",
    ) -> list[Outcome]:
        """Every item's prediction or error, in order, by one request.

        An item that fails does not raise; the call does when it fails as a whole. `shared` holds for every
        item that does not say it itself. `min_revision`, `request_id` and `priority` are as in `predict`.
        """
        metadata = partial(self._options.metadata, min_revision, request_id, priority)
        work = steps.predict(list(items), shared=shared, **self._options.call(timeout, time.monotonic))
        answer: steps.Answer = None
        while True:
            try:
                step = work.send(answer)
            except StopIteration as end:
                outcomes: list[Outcome] = end.value
                return outcomes
            if isinstance(step, steps.Wait):
                await asyncio.sleep(step.seconds)
                answer = None
            else:
                answer = await self._send(step.request, step.timeout, metadata)

    async def stream(
        self,
        items: Union[Iterable[Item], AsyncIterable[Item]],
        *,
        in_flight: int = 64,
        timeout: Optional[float] = None,
        min_revision: str = "",
        request_id: str = "",
        priority: str = "",
    ) -> AsyncIterator[tuple[int, Outcome]]:
        """Each item's index in `items` and its prediction or error, as they are ready.

        At most `in_flight` items are taken from `items` before their results are taken from here.
        A connection that breaks is replaced, and what it left unanswered is sent again; an item that
        the router could not serve is not. `timeout` is in seconds for the whole stream, None for none.
        `min_revision`, `request_id` and `priority` are as in `predict`.
        """
        window = self._options.window(in_flight, timeout, time.monotonic)

        def connect(requests: AsyncIterator[pb.PredictStreamRequest], seconds: Optional[float]) -> Any:
            # Asked for each connection: the token of the last one may have expired.
            metadata = self._options.metadata(min_revision, request_id, priority)
            return self._stub().predict_stream(requests, timeout=seconds, metadata=metadata)

        exchange = AsyncExchange(connect, items, window)
        try:
            while (answer := await exchange.answer()) is not None:
                yield answer
        finally:
            await exchange.aclose()

    async def write_features(
        self, records: Iterable[FeatureRecord], *, timeout: Optional[float] = None
    ) -> Written:
        """Write features of this client's tenant into the store that routers read; see `FeatureRecord`.

        `timeout` is for all of them, None takes the client's. A record that cannot be kept does not raise:
        the answer names it. An error means that those which were not sent yet, or were under way, may not be
        kept: to write all of them again changes nothing of those that are.
        """
        work = write(records, **self._options.call(timeout, time.monotonic))
        answer: Answer = None
        while True:
            try:
                step = work.send(answer)
            except StopIteration as end:
                written: Written = end.value
                return written
            if isinstance(step, steps.Wait):
                await asyncio.sleep(step.seconds)
                answer = None
            else:
                answer = await self._send_records(step.request, step.timeout)

    async def _send_records(
        self, request: WriteRequest, seconds: Optional[float]
    ) -> Union[WriteResponse, CroupierError]:
        shown = self._options.metadata()
        try:
            call = self._stub().write([request], timeout=seconds, metadata=shown)
            response: WriteResponse = await call
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error)
        except grpc.aio.UsageError:
            return Cancelled("the client was closed")
        except asyncio.CancelledError:
            if _is_cancelled() or not self._is_closed():
                raise
            return Cancelled("the client was closed")
        return response

    async def _send(
        self, request: pb.PredictRequest, seconds: Optional[float], metadata: Metadata
    ) -> Union[steps.Reply, CroupierError]:
        shown = metadata()
        try:
            call = self._stub().predict(request, timeout=seconds, metadata=shown)
            response: pb.PredictResponse = await call
            debug = debug_of(await call.trailing_metadata()) if self._options.debug else ""
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error)
        except grpc.aio.UsageError:
            return Cancelled("the client was closed")
        except asyncio.CancelledError:
            if _is_cancelled() or not self._is_closed():
                raise
            return Cancelled("the client was closed")
        return steps.Reply(response, debug)

    def _stub(self) -> Stub:
        if self._channel is None:
            self._channel = open_async(self._options.target, self._options.tls)
            self._opened = Stub(self._channel)
        return self._opened

    def _is_closed(self) -> bool:
        channel = self._channel
        return channel is not None and channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN


def _is_cancelled() -> bool:
    """Whether the task that runs is being cancelled, which Python says from 3.11 on.

    A channel that is closed under a call raises CancelledError too, in a task that nobody cancelled. On older
    Pythons a task that is cancelled in the very turn in which the client is closed ends with Cancelled.
    """
    cancelling = getattr(asyncio.current_task(), "cancelling", None)
    return cancelling is not None and cancelling() > 0
