"""What the asyncio and the blocking client are told alike."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from pathlib import Path

# Not that of collections.abc, which Python 3.9.0 and 3.9.1 cannot put into a Union.
from typing import Callable, TypedDict, Union

import grpc

from croupier_client.channels import credentials
from croupier_client.deadline import Deadline
from croupier_client.errors import InvalidRequest
from croupier_client.retry import RetryPolicy
from croupier_client.status import DEBUG_KEY
from croupier_client.tracing import only_trace, trace_pairs
from croupier_client.window import Window

_MOST_ID_BYTES = 128

# `Token`: a token, or a function that returns the one to show now.
PathLike = Union[Path, str]
Token = Union[str, Callable[[], str]]
# What says which span calls, asked for each call.
Trace = Callable[[], list[tuple[str, str]]]
# Made for each try: the token of the last one may have expired.
Metadata = Callable[[], list[tuple[str, str]]]


class Call(TypedDict):
    """The arguments of `steps.predict` beside the items."""

    policy: RetryPolicy
    deadline: Deadline
    clock: Callable[[], float]
    rng: random.Random


@dataclass(frozen=True)
class Options:
    """Whom to call, as whom, and how long to try. `timeout` in seconds; None waits for ever."""

    target: str
    tenant: str
    token: Token
    tls: grpc.ChannelCredentials | None
    timeout: float | None
    policy: RetryPolicy
    trace: Trace = trace_pairs
    debug: bool = False
    # Seeded by the system: clients that started together must not draw the same back-off.
    rng: random.Random = field(default_factory=random.SystemRandom)

    @classmethod
    def build(
        cls,
        target: str,
        tenant: str,
        token: Token,
        paths: tuple[PathLike | None, PathLike | None, PathLike | None],
        timeout: float | None,
        retries: int,
        trace: Trace | None = None,
        debug: bool = False,
    ) -> Options:
        """`paths`: PEM files of the authority, the certificate and its key. `trace`: None for OpenTelemetry.

        Raises:
            InvalidRequest: naming the field that cannot be used.
        """
        ca, certificate, key = (Path(path) if path else None for path in paths)
        if ca is None and (certificate or key):
            raise InvalidRequest("certificate and key need ca, which turns TLS on", field="ca")
        try:
            tls = credentials(ca, certificate, key)
        except OSError as error:
            raise InvalidRequest(f"cannot read {error.filename}: {error.strerror}", field="ca") from error
        policy = RetryPolicy(retries)
        return cls(
            target, _checked(tenant, "tenant"), token, tls, timeout, policy, trace or trace_pairs, debug
        )

    def for_tenant(self, tenant: str, token: Token) -> Options:
        """The same for another tenant. Raises InvalidRequest."""
        return replace(self, tenant=_checked(tenant, "tenant"), token=token)

    def call(self, timeout: float | None, clock: Callable[[], float]) -> Call:
        """How `steps.predict` is to go about a call of `timeout` seconds; None takes the client's."""
        deadline = Deadline.after(self.timeout if timeout is None else timeout, clock())
        return {"policy": self.policy, "deadline": deadline, "clock": clock, "rng": self.rng}

    def window(self, in_flight: int, timeout: float | None, clock: Callable[[], float]) -> Window:
        """The window of a stream that may last `timeout` seconds; None for no end."""
        deadline = Deadline.after(timeout, clock())
        return Window(in_flight, policy=self.policy, deadline=deadline, rng=self.rng)

    def metadata(
        self, min_revision: str = "", request_id: str = "", priority: str = ""
    ) -> list[tuple[str, str]]:
        """Who calls, in which trace, from which revision of the catalog on they want to be answered, what
        they call their request, and how soon it may be refused, as request metadata.

        Raises:
            InvalidRequest: the token, the revision, the id or the priority cannot be a header.
        """
        found = only_trace(self.trace())
        if request_id:
            found.append(("x-request-id", _checked_id(request_id)))
        if min_revision:
            found.append(("croupier-min-revision", _checked(min_revision, "min_revision")))
        if self.debug:
            found.append((DEBUG_KEY, "1"))
        if priority:
            found.append(("croupier-priority", _checked(priority, "priority")))
        if self.tenant:
            found.append(("croupier-tenant", self.tenant))
        token = self.token() if callable(self.token) else self.token
        if token:
            found.append(("authorization", f"Bearer {_checked(token, 'token')}"))
        return found


def _checked_id(value: str) -> str:
    """`value`, for which a router would else take an id of its own."""
    if len(value) > _MOST_ID_BYTES or " " in _checked(value, "request_id"):
        raise InvalidRequest(
            f"the request_id is not a word of printable ASCII, of at most {_MOST_ID_BYTES} bytes",
            field="request_id",
        )
    return value


def _checked(value: str, field: str) -> str:
    """`value`, which the message does not show: it may be a secret."""
    if not (value.isascii() and value.isprintable() and value == value.strip()):
        raise InvalidRequest(f"the {field} has characters that no header can carry", field=field)
    return value
