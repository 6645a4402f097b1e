"""Whom the command line talks to, and how: set by the root options, read by every verb."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from croupier import request_ids
from croupier.errors import CroupierError, DeadlineExceeded, InvalidRequest, Unavailable
from croupier.request_ids import RequestId

if TYPE_CHECKING:
    from grpc import ChannelCredentials

    from croupier.grpcio.manager import VersionManagerClient

T = TypeVar("T")

MANAGER = "127.0.0.1:8400"
ROUTER = "127.0.0.1:8500"


class ServerUnavailable(Unavailable):
    """A server that the command line needs does not answer. The operator's."""


@dataclass(frozen=True, slots=True)
class Servers:
    """`manager` and `router` are `host:port`; with `ca`, both are spoken to in TLS."""

    manager: str = MANAGER
    router: str = ROUTER
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    as_json: bool = False


_current: ContextVar[Servers] = ContextVar("servers")
# What all requests of this command are called.
_called: ContextVar[RequestId] = ContextVar("called")


def begin(servers: Servers) -> None:
    """Make `servers` the one that verbs see, for a command whose requests have a new name."""
    _current.set(servers)
    _called.set(RequestId())


def current() -> Servers:
    return _current.get(Servers())


def request_id() -> str:
    """What this command is called in the logs and the audit of those whom it asks."""
    return str(_called.get(RequestId()))


def ask_manager(work: Callable[[VersionManagerClient], Awaitable[T]]) -> T:
    """Run `work` with a client of the version manager.

    Raises:
        ServerUnavailable: it does not answer.
        CroupierError: what it answered.
    """
    # The root imports this module, and grpcio takes longer to import than all of `--help`.
    import asyncio

    from croupier.grpcio.manager import VersionManagerClient

    servers = current()
    tls = _credentials(servers)

    async def run() -> T:
        request_ids.current.set(RequestId(request_id()))
        async with VersionManagerClient(servers.manager, tls) as manager:
            return await work(manager)

    try:
        return asyncio.run(run())
    except Unavailable as error:
        # A reason of its own means that the manager answered: it cannot reach etcd, say.
        if error.reason != Unavailable.reason:
            raise
        raise ServerUnavailable(
            f"the version manager at {servers.manager} is unavailable: {error}", target=servers.manager
        ) from error


def ask_each(
    work: Callable[[VersionManagerClient], Awaitable[T]], patience: float
) -> list[tuple[str, T | CroupierError]]:
    """Run `work` with a client of each version manager, all at once: its name, and its answer or its error.

    One that has not answered after `patience` seconds is not waited for.
    """
    import asyncio

    from croupier.grpcio.manager import VersionManagerClient

    servers = current()
    tls = _credentials(servers)

    async def ask(target: str) -> T | CroupierError:
        try:
            async with VersionManagerClient(target, tls) as manager, asyncio.timeout(patience):
                return await work(manager)
        except TimeoutError:
            return DeadlineExceeded(f"it has not answered for {patience:g} s")
        except CroupierError as error:
            return error

    async def run() -> list[tuple[str, T | CroupierError]]:
        request_ids.current.set(RequestId(request_id()))
        targets = [target.strip() for target in servers.manager.split(",") if target.strip()]
        if not targets:
            raise InvalidRequest("no version manager is named", field="manager")
        targets = list(dict.fromkeys(targets))
        return list(zip(targets, await asyncio.gather(*map(ask, targets)), strict=True))

    return asyncio.run(run())


def _credentials(servers: Servers) -> ChannelCredentials | None:
    from croupier.grpcio.channels import credentials

    try:
        return credentials(servers.ca, servers.certificate, servers.key)
    except OSError as error:
        raise InvalidRequest(f"cannot read {error.filename}: {error.strerror}") from error
