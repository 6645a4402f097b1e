"""Calls to etcd: several endpoints, TLS, user and password, deadlines, errors.

One channel an endpoint; all calls use the current one and move on when it fails. A request is
sent only over a channel that is connected. So as long as no endpoint is, waiting for one is safe
for reads and writes alike, which is what a caller wants while etcd restarts or elects a leader.
Once a request is sent, a read may be tried again elsewhere. A write may not: if its answer was
lost, nobody knows whether it happened, and the caller, who has its compares, must look.

Calls carry `hasleader`, so a member that lost its cluster refuses them instead of answering
from the past, and ends its watches.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from croupier.backoff import Backoff, Pauses
from croupier.errors import CroupierError, Unavailable
from croupier.grpcio.channels import credentials, open_async
from croupier.settings import InvalidSettings
from croupier.stores.etcd_errors import AuthNotEnabled, EtcdUnauthenticated, EtcdUnavailable, translate
from protos.etcd.v3 import rpc_pb2 as pb
from protos.etcd.v3 import rpc_pb2_grpc

_POLL = 0.01
_BACKOFF = Backoff(first=0.05, longest=1.0)

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class EtcdConfig:
    """How to reach etcd. Plaintext without `ca`; no authentication without `user`.

    `timeout`: seconds that a call may take, waiting for a connection included.
    `silence`: seconds without a sign of life after which a watch is given up.
    """

    endpoints: tuple[str, ...]
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    user: str = ""
    password: str = field(default="", repr=False)
    timeout: float = 5.0
    silence: float = 5.0

    def __post_init__(self) -> None:
        if not self.endpoints:
            raise InvalidSettings("etcd needs an endpoint: host:port")
        for endpoint in self.endpoints:
            host, _, port = endpoint.rpartition(":")
            if not host or "/" in host or not port.isdigit():
                raise InvalidSettings(f"an endpoint of etcd is host:port, which {endpoint!r} is not")
        if (self.certificate is None) != (self.key is None) or (self.certificate and self.ca is None):
            raise InvalidSettings("a certificate for etcd needs its key and the authority's certificate")
        if self.password and not self.user:
            raise InvalidSettings("a password for etcd needs a user")
        if self.timeout <= 0 or self.silence <= 0:
            raise InvalidSettings("timeout and silence are above 0 seconds")


class Member:
    """One endpoint: its channel and the stubs of etcd's services on it."""

    def __init__(self, endpoint: str, tls: grpc.ChannelCredentials | None) -> None:
        self.endpoint = endpoint
        self.channel = open_async(endpoint, tls)
        self.kv: Any = rpc_pb2_grpc.KVStub(self.channel)  # type: ignore[no-untyped-call]
        self.watch: Any = rpc_pb2_grpc.WatchStub(self.channel)  # type: ignore[no-untyped-call]
        self.lease: Any = rpc_pb2_grpc.LeaseStub(self.channel)  # type: ignore[no-untyped-call]
        self.auth: Any = rpc_pb2_grpc.AuthStub(self.channel)  # type: ignore[no-untyped-call]
        self.maintenance: Any = rpc_pb2_grpc.MaintenanceStub(self.channel)  # type: ignore[no-untyped-call]

    async def connect(self, until: float) -> bool:
        """Whether the channel is connected, or gets so before `until` on the loop's clock."""
        loop = asyncio.get_running_loop()
        while True:
            state = self.channel.get_state(try_to_connect=True)
            if state is grpc.ChannelConnectivity.READY:
                return True
            if state in {grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN}:
                return False
            if loop.time() >= until:
                return False
            # Asked again instead of awaited: grpcio cannot give up waiting for a state change.
            await asyncio.sleep(_POLL)


class Connection:
    """The calls that every part of the store makes. Open it inside the event loop that uses it."""

    def __init__(self, config: EtcdConfig, rng: random.Random) -> None:
        self.config = config
        self._rng = rng
        self._members: list[Member] = []
        self._current = 0
        # None: ask for one. Empty: etcd has authentication switched off.
        self._token: str | None = None
        self._authenticating = asyncio.Lock()
        # etcd's revision as a watch last heard of it, and when; 0: none has.
        self._watched_revision = 0
        self._watched_at = 0.0

    def open(self) -> None:
        """Raises InvalidSettings if a PEM file cannot be read."""
        config = self.config
        try:
            tls = credentials(config.ca, config.certificate, config.key)
        except OSError as error:
            raise InvalidSettings(f"etcd's TLS files: {error}") from error
        self._members = [Member(endpoint, tls) for endpoint in config.endpoints]

    async def close(self) -> None:
        """Close the channels; calls still running are cancelled."""
        members, self._members = self._members, []
        for member in members:
            await member.channel.close()

    @property
    def members(self) -> Sequence[Member]:
        """One for each endpoint; none before `open` and after `close`."""
        return self._members

    def watch_heard(self, revision: int) -> None:
        """A watch had a sign of life, at etcd's `revision`."""
        self._watched_revision, self._watched_at = revision, asyncio.get_running_loop().time()

    def watched(self) -> tuple[int, float] | None:
        """Etcd's revision when a watch last had a sign of life, and seconds since; None before the first."""
        if not self._watched_at:
            return None
        return self._watched_revision, asyncio.get_running_loop().time() - self._watched_at

    def pauses(self) -> Pauses:
        return Pauses(_BACKOFF, self._rng)

    async def call(
        self,
        method: Callable[[Member], Any],
        request: Any,
        *,
        is_read: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Send `request` to the method that `method` takes from a member; returns its answer.

        Raises:
            Unavailable: no endpoint answered in `timeout` seconds (the config's when None). A
                write may have happened nevertheless.
            EtcdUnauthenticated, EtcdPermissionDenied, InvalidRequest, …: see `etcd_errors`.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (self.config.timeout if timeout is None else timeout)
        pauses = self.pauses()
        renewed = False
        while True:
            member, metadata = await self._prepare(deadline)
            patience = self._patience(deadline) if is_read else deadline - loop.time()
            try:
                return await method(member)(request, timeout=max(0.0, patience), metadata=metadata)
            except grpc.aio.AioRpcError as failure:
                error = self._failed(member, failure)
                if isinstance(error, EtcdUnauthenticated) and self.config.user and not renewed:
                    # The token has expired, or etcd forgot it; nothing was done for it.
                    renewed = True
                    continue
                wait = pauses.next()
                if not (is_read and isinstance(error, Unavailable) and loop.time() + wait < deadline):
                    raise error from failure
            await asyncio.sleep(wait)

    @asynccontextmanager
    async def stream(
        self, method: Callable[[Member], Any], timeout: float | None = None
    ) -> AsyncIterator[Stream]:
        """A bidirectional call, cancelled at the end of the block. Raises as `call` does."""
        loop = asyncio.get_running_loop()
        member, metadata = await self._prepare(
            loop.time() + (self.config.timeout if timeout is None else timeout)
        )
        call = method(member)(metadata=metadata, timeout=timeout)
        stream = Stream(call, lambda failure: self._failed(member, failure))
        try:
            yield stream
        except Unavailable:
            self._move_on(member)
            raise
        finally:
            await stream.close()

    async def _prepare(self, deadline: float) -> tuple[Member, Metadata]:
        member = await self._connected(deadline)
        token = await self._token_from(member, deadline) if self.config.user else ""
        metadata: Metadata = (("hasleader", "true"),)
        return member, (*metadata, ("token", token)) if token else metadata

    async def _connected(self, deadline: float) -> Member:
        loop = asyncio.get_running_loop()
        while self._members:
            for _ in self._members:
                member = self._members[self._current]
                if await member.connect(loop.time() + self._patience(deadline)):
                    return member
                self._move_on(member)
            if loop.time() >= deadline:
                raise EtcdUnavailable(
                    f"etcd: no connection to {', '.join(self.config.endpoints)}", retry_after=1.0
                )
            await asyncio.sleep(_POLL)
        raise Unavailable("etcd: the client is closed")

    async def _token_from(self, member: Member, deadline: float) -> str:
        async with self._authenticating:
            if self._token is None:
                self._token = await self._authenticate(member, deadline)
            return self._token

    async def _authenticate(self, member: Member, deadline: float) -> str:
        request = pb.AuthenticateRequest(name=self.config.user, password=self.config.password)
        remaining = max(0.0, deadline - asyncio.get_running_loop().time())
        try:
            response = await member.auth.Authenticate(request, timeout=remaining)
        except grpc.aio.AioRpcError as failure:
            error = self._failed(member, failure)
            if isinstance(error, AuthNotEnabled):
                return ""
            raise error from failure
        return str(response.token)

    def _failed(self, member: Member, failure: grpc.aio.AioRpcError) -> CroupierError:
        error = translate(failure.code(), failure.details() or "")
        if isinstance(error, Unavailable):
            self._move_on(member)
        elif isinstance(error, EtcdUnauthenticated):
            self._token = None
        return error

    def _move_on(self, member: Member) -> None:
        if self._members and self._members[self._current] is member:
            self._current = (self._current + 1) % len(self._members)

    def _patience(self, deadline: float) -> float:
        """Seconds to give one member of several, so that a hanging one leaves time for another."""
        remaining = max(0.0, deadline - asyncio.get_running_loop().time())
        return min(remaining, self.config.timeout / len(self.config.endpoints))


class Stream:
    """A bidirectional call whose reads can be waited for without being lost."""

    def __init__(self, call: Any, translate: Callable[[grpc.aio.AioRpcError], CroupierError]) -> None:
        self._call = call
        self._translate = translate
        self._reading: asyncio.Task[Any] | None = None

    async def write(self, message: Any) -> None:
        """Raises as `Connection.call` does."""
        try:
            await self._call.write(message)
        except grpc.aio.AioRpcError as failure:
            raise self._translate(failure) from failure
        except asyncio.InvalidStateError as failure:
            raise Unavailable("etcd: the stream has ended") from failure

    async def read(self, timeout: float | None = None) -> Any:
        """The next message; None if none came in `timeout` seconds: read again for it.

        grpcio cancels the whole call with a cancelled read, so a read goes on behind a timeout.
        """
        if self._reading is None:
            self._reading = asyncio.create_task(self._call.read())
        done, _ = await asyncio.wait({self._reading}, timeout=timeout)
        if not done:
            return None
        reading, self._reading = self._reading, None
        if reading.cancelled():
            raise Unavailable("etcd: the connection was closed")
        try:
            message = reading.result()
        except grpc.aio.AioRpcError as failure:
            raise self._translate(failure) from failure
        if message is grpc.aio.EOF:
            raise Unavailable("etcd: the stream has ended")
        return message

    async def close(self) -> None:
        """Cancel the call."""
        self._call.cancel()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
