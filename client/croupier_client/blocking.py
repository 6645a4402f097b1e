"""The blocking client: the I/O around `steps` and `window`, for threads."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from types import TracebackType
from typing import Any, Optional, TypeVar, Union

import grpc

from croupier_client import steps
from croupier_client.blocking_stream import BlockingExchange
from croupier_client.channels import open_blocking
from croupier_client.decode import Outcome, Prediction
from croupier_client.encode import Features, Item, Shared
from croupier_client.errors import Cancelled, CroupierError
from croupier_client.features import Answer, FeatureRecord, Written, write
from croupier_client.messages import prediction as pb
from croupier_client.messages.features import WriteRequest, WriteResponse
from croupier_client.options import Metadata, Options, PathLike, Token, Trace
from croupier_client.status import debug_of, from_rpc_error
from croupier_client.stub import Stub

_C = TypeVar("_C", bound="Client")


class Client:
    """What `AsyncClient` is, for code without an event loop; threads may share one."""

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
        self._connection = _Connection(target, self._options.tls)

    def __enter__(self: _C) -> _C:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls of other threads, and later ones, end with Cancelled."""
        self._connection.close()

    def for_tenant(self: _C, tenant: str = "", *, token: Token = "") -> _C:
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
        (outcome,) = self.predict_many(
            [item],
            timeout=timeout,
            min_revision=min_revision,
            request_id=request_id,
            priority=priority,
        )
        if isinstance(outcome, CroupierError):
            raise outcome
        return outcome

    def predict_many(
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
                time.sleep(step.seconds)
                answer = None
            else:
                answer = self._send(step.request, step.timeout, metadata)

    def stream(
        self,
        items: Iterable[Item],
        *,
        in_flight: int = 64,
        timeout: Optional[float] = None,
        min_revision: str = "",
        request_id: str = "",
        priority: str = "",
    ) -> Iterator[tuple[int, Outcome]]:
        """Each item's index in `items` and its prediction or error, as they are ready.

        As `AsyncClient.stream`. `items` is read in the caller's own thread, up to `in_flight` ahead
        of the results, so a source that blocks delays results that are ready.
        """
        window = self._options.window(in_flight, timeout, time.monotonic)

        def connect(requests: Iterator[pb.PredictStreamRequest], seconds: Optional[float]) -> Any:
            # Asked for each connection: the token of the last one may have expired.
            metadata = self._options.metadata(min_revision, request_id, priority)
            return self._connection.call("predict_stream", requests, seconds, metadata)

        with closing(BlockingExchange(connect, items, window)) as exchange:
            while (answer := exchange.answer()) is not None:
                yield answer

    def write_features(self, records: Iterable[FeatureRecord], *, timeout: Optional[float] = None) -> Written:
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
                time.sleep(step.seconds)
                answer = None
            else:
                answer = self._send_records(step.request, step.timeout)

    def _send_records(
        self, request: WriteRequest, seconds: Optional[float]
    ) -> Union[WriteResponse, CroupierError]:
        shown = self._options.metadata()
        try:
            response: WriteResponse = self._connection.call("write", iter([request]), seconds, shown)
        except grpc.RpcError as error:
            return from_rpc_error(error)
        except Cancelled as error:
            return error
        return response

    def _send(
        self, request: pb.PredictRequest, seconds: Optional[float], metadata: Metadata
    ) -> Union[steps.Reply, CroupierError]:
        shown = metadata()
        try:
            response, call = self._connection.call("predict_with_call", request, seconds, shown)
        except grpc.RpcError as error:
            return from_rpc_error(error)
        except Cancelled as error:
            return error
        return steps.Reply(response, debug_of(call.trailing_metadata()) if self._options.debug else "")


class _Connection:
    """The channel that a client and its `for_tenant` copies share; each process has its own.

    A forked child would write into the connection of its parent, and take its answers. What it inherits it
    keeps as it is, since to destroy it would be to speak too.
    """

    def __init__(self, target: str, tls: grpc.ChannelCredentials | None) -> None:
        self._target = target
        self._tls = tls
        self._is_closed = False
        self._inherited: grpc.Channel | None = None
        self._open()

    def call(self, method: str, request: Any, timeout: float | None, metadata: Any) -> Any:
        """Raises Cancelled after `close`, beside what grpcio raises."""
        if self._process != os.getpid() and not self._is_closed:
            self._inherited = self._channel
            self._open()
        try:
            return getattr(self._stub, method)(request, timeout=timeout, metadata=metadata)
        except ValueError:
            # grpcio's word for a channel that is closed, but not for that alone.
            if self._is_closed:
                raise Cancelled("the client was closed") from None
            raise

    def close(self) -> None:
        self._is_closed = True
        if self._process == os.getpid():
            self._channel.close()

    def _open(self) -> None:
        self._channel = open_blocking(self._target, self._tls)
        self._stub = Stub(self._channel)
        self._process = os.getpid()
