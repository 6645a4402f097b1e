"""What the asyncio and the blocking client are told alike."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self, TypedDict

import grpc

from croupier.client.retry import RetryPolicy
from croupier.client.window import Window
from croupier.deadline import Deadline
from croupier.errors import InvalidRequest
from croupier.grpcio.channels import credentials
from croupier.names import InvalidName, check_name

# A token, or a function that returns the one to show now.
Token = str | Callable[[], str]


class Call(TypedDict):
    """The arguments of `steps.predict` beside the items."""

    policy: RetryPolicy
    deadline: Deadline
    clock: Callable[[], float]
    rng: random.Random


@dataclass(frozen=True, slots=True)
class Options:
    """Whom to call, as whom, and how long to try. `timeout` in seconds; None waits for ever."""

    target: str
    tenant: str
    token: Token
    tls: grpc.ChannelCredentials | None
    timeout: float | None
    policy: RetryPolicy
    # Seeded by the system: clients that started together must not draw the same back-off.
    rng: random.Random = field(default_factory=random.SystemRandom)

    @classmethod
    def build(
        cls,
        target: str,
        tenant: str,
        token: Token,
        paths: tuple[Path | str | None, Path | str | None, Path | str | None],
        timeout: float | None,
        retries: int,
    ) -> Self:
        """`paths`: PEM files of the authority, the certificate and its key.

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
        return cls(target, _checked(tenant), token, tls, timeout, RetryPolicy(retries))

    def for_tenant(self, tenant: str, token: Token) -> Self:
        """The same for another tenant. Raises InvalidName."""
        return replace(self, tenant=_checked(tenant), token=token)

    def call(self, timeout: float | None, clock: Callable[[], float]) -> Call:
        """How `steps.predict` is to go about a call of `timeout` seconds; None takes the client's."""
        deadline = Deadline.after(self.timeout if timeout is None else timeout, clock())
        return {"policy": self.policy, "deadline": deadline, "clock": clock, "rng": self.rng}

    def window(self, in_flight: int, timeout: float | None, clock: Callable[[], float]) -> Window:
        """The window of a stream that may last `timeout` seconds; None for no end."""
        deadline = Deadline.after(timeout, clock())
        return Window(in_flight, policy=self.policy, deadline=deadline, rng=self.rng)

    def metadata(self, min_revision: str = "") -> list[tuple[str, str]]:
        """Who calls, and from which revision of the catalog on they want to be answered, as request metadata.

        Raises:
            InvalidRequest: the token or the revision cannot be a header.
        """
        found = []
        if min_revision:
            if not (min_revision.isascii() and min_revision.isprintable()):
                raise InvalidRequest("min_revision is not what a publisher was given", field="min_revision")
            found.append(("croupier-min-revision", min_revision))
        if self.tenant:
            found.append(("croupier-tenant", self.tenant))
        token = self.token() if callable(self.token) else self.token
        if token:
            if not (token.isascii() and token.isprintable()):
                raise InvalidRequest("the token has characters that no header can carry", field="token")
            found.append(("authorization", f"Bearer {token}"))
        return found


def _checked(tenant: str) -> str:
    if tenant:
        check_name(tenant, "tenant")
        if not tenant.isascii():
            raise InvalidName("a tenant beyond ASCII needs a token: metadata cannot carry it", field="tenant")
    return tenant
