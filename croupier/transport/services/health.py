"""grpc.health.v1 on our server: Check, Watch and List.

The server as a whole is the service "", which serves from the start. A watcher is sent the state that
there is when it can take it, and no state twice in a row: one that reads slowly misses what has passed,
and nothing piles up for it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2

from croupier.errors import InvalidRequest, NotFound
from croupier.transport.routes import RouteTable

SERVICE = "grpc.health.v1.Health"
# Whoever reaches the port may ask: for a service by its name, and in as many streams as a client has use for.
MAX_REQUEST_BYTES = 1_024
MAX_WATCHES = 32
_Response = health_pb2.HealthCheckResponse


class HealthService:
    """Which services serve; `add_to` has a server say so."""

    def __init__(self) -> None:
        self._states: dict[str, int] = {"": _Response.SERVING}
        # One event for each call of Watch, by the service it watches.
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._is_stopped = False
        self._is_ended = False

    def set(self, service: str, serving: bool) -> None:
        """Say whether `service` serves; once stopped, nothing does any more."""
        serving = serving and not self._is_stopped
        self._states[service] = _Response.SERVING if serving else _Response.NOT_SERVING
        self._wake(service)

    def stop(self) -> None:
        """Nothing serves from now on, whatever `set` says later; watchers hear of it, and go on watching."""
        self._is_stopped = True
        for service in self._states:
            self.set(service, False)

    def end(self) -> None:
        """End every Watch after the state that it has to tell, so that no connection stays open for it.

        Only for connections that take no new calls: on others, clients would watch again at once.
        """
        self._is_ended = True
        for service in tuple(self._watchers):
            self._wake(service)

    def add_to(self, routes: RouteTable) -> None:
        """Serve it by the server of `routes`."""
        most = MAX_REQUEST_BYTES
        routes.add_unary(f"/{SERVICE}/Check", self._check, max_message_bytes=most)
        routes.add_stream(f"/{SERVICE}/Watch", self._watch, max_message_bytes=most, max_open=MAX_WATCHES)
        # Releases of grpcio-health-checking before 1.73 do not know it.
        if hasattr(health_pb2, "HealthListResponse"):
            routes.add_unary(f"/{SERVICE}/List", self._list, max_message_bytes=most)

    async def _check(self, message: bytes, context: object) -> bytes:
        service = _service(message)
        state = self._states.get(service)
        if state is None:
            raise NotFound(f"there is no service {service!r}")
        return _encode(state)

    async def _list(self, message: bytes, context: object) -> bytes:
        response = health_pb2.HealthListResponse()
        for service, state in self._states.items():
            response.statuses[service].status = state
        return bytes(response.SerializeToString())

    async def _watch(self, messages: AsyncIterator[bytes], context: object) -> AsyncIterator[bytes]:
        service = await _first(messages)
        changed = asyncio.Event()
        self._watchers[service].add(changed)
        try:
            sent = None
            while True:
                changed.clear()
                state = self._states.get(service, _Response.SERVICE_UNKNOWN)
                if state != sent:
                    sent = state
                    yield _encode(state)
                elif self._is_ended:
                    return
                else:
                    await changed.wait()
        finally:
            self._watchers[service].discard(changed)
            if not self._watchers[service]:
                del self._watchers[service]

    def _wake(self, service: str) -> None:
        for changed in self._watchers.get(service, ()):
            changed.set()


async def _first(messages: AsyncIterator[bytes]) -> str:
    async for message in messages:
        return _service(message)
    raise InvalidRequest("the request is missing")


def _service(message: bytes) -> str:
    try:
        return str(health_pb2.HealthCheckRequest.FromString(message).service)
    except DecodeError as error:
        raise InvalidRequest("the request is not a valid protobuf message") from error


def _encode(state: int) -> bytes:
    return bytes(_Response(status=state).SerializeToString())
