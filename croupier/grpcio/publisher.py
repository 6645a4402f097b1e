"""Publishes and releases models from a program: what a pipeline that trains them calls at its end.

    with BlockingPublisher("manager:8400") as models:
        version = models.publish("acme", "churn", packed.artifact)
        made = models.release("acme", "churn", version, reason="the nightly one")
        models.wait_served(made)

`Publisher` is the same for programs that have an event loop. Both raise the classes of `croupier.errors`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import grpc

from croupier.errors import DeadlineExceeded, InvalidRequest
from croupier.grpcio.manager import VersionManagerClient
from protos.versions.v1 import versions_pb2 as pb

_WHOLE = 10_000
# Routers say once a second what they serve.
_LOOK_SECONDS = 0.1
_PUBLISH_SECONDS = 60.0
# Routers that a message names.
_NAMED = 5

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Released:
    """A release as it was made. `shares` has the basis points (of 10,000) of each version.

    `revision` is what a request carries as `croupier-min-revision` to be answered by a router that knows it.
    """

    tenant: str
    model: str
    number: int
    shares: Mapping[int, int]
    labels: Mapping[str, int] = field(default_factory=dict)
    salt: str = ""
    author: str = ""
    reason: str = ""
    at: float = 0.0
    restores: int = 0
    revision: str = ""


class Publisher:
    """`managers` may name several version managers of one deployment, `host:port,host:port`."""

    def __init__(self, managers: str, tls: grpc.ChannelCredentials | None = None) -> None:
        self._client = VersionManagerClient(managers, tls)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, traceback)

    async def publish(
        self,
        tenant: str,
        model: str,
        artifact: bytes,
        *,
        version: int = 0,
        timeout: float = _PUBLISH_SECONDS,
    ) -> int:
        """The number of the version that has these bytes, made of them if there was none.

        `version` 0 takes the next free number. Raises AlreadyExists for one that has other bytes.
        """
        made = await self._client.publish(tenant, model, artifact, version=version, timeout=timeout)
        return made.number

    async def release(
        self,
        tenant: str,
        model: str,
        version: int = 0,
        *,
        shares: Mapping[int, int] | None = None,
        labels: Mapping[str, int] | None = None,
        salt: str | None = None,
        reason: str = "",
        expected: int | None = None,
        warm: bool = True,
    ) -> Released:
        """Serve `version`, or the basis points of `shares`; what is left out stays as it is.

        `expected` is the release that it takes the place of; None: the one that is served just then.
        Without `warm` no cell has to load anything before.

        Raises:
            InvalidRequest: both a version and shares, or shares that do not add up to 10,000.
            Conflict: another release is served than expected.
            FailedPrecondition: reason NOT_WARM: a cell has not loaded what is new.
        """
        if version and shares:
            raise InvalidRequest("either one version gets all traffic, or there are shares", field="shares")
        found = (await self._client.get_model(tenant, model)).release
        wanted = {version: _WHOLE} if version else shares
        splits = [pb.Split(version=one, basis_points=points) for one, points in (wanted or {}).items()]
        request = pb.SetReleaseRequest(
            tenant=tenant,
            name=model,
            splits=splits or found.splits,
            labels=found.labels if labels is None else labels,
            expected_number=found.number if expected is None else expected,
            skip_warming=not warm,
            salt=salt,
            reason=reason,
        )
        return _released(tenant, model, await self._client.set_release(request))

    async def rollback(
        self, tenant: str, model: str, number: int = 0, *, reason: str = "", warm: bool = True
    ) -> Released:
        """Serve what release `number` did (0: the one before) as the next one.

        Raises:
            NotFound: it is not kept.
            FailedPrecondition: it names a version that was deleted, or a cell has not loaded what it served.
        """
        request = pb.RollbackReleaseRequest(
            tenant=tenant, name=model, number=number, reason=reason, skip_warming=not warm
        )
        return _released(tenant, model, await self._client.rollback_release(request))

    async def history(self, tenant: str, model: str) -> list[Released]:
        """The release that is served, and those before it that are kept, the latest first."""
        found = await self._client.get_release_history(tenant, model)
        return [_released(tenant, model, one) for one in found.releases]

    async def wait_served(self, made: Released, timeout: float = 30.0) -> None:
        """Return once every router that reports serves `made`, or what came after it.

        Raises:
            InvalidRequest: `made` is not what a change answered.
            DeadlineExceeded: some do not after so many seconds, or none reports.
        """
        catalog, _, revision = made.revision.rpartition(":")
        if not catalog:
            raise InvalidRequest("only what was just made has a revision to wait for", field="made")
        give_up = time.monotonic() + timeout
        while behind := _behind(await self._client.get_status(), catalog, int(revision)):
            if time.monotonic() >= give_up:
                raise DeadlineExceeded(
                    f"after {timeout:g} s release {made.number} of {made.tenant}/{made.model} is not served:"
                    f" {behind}"
                )
            await asyncio.sleep(_LOOK_SECONDS)


def _behind(status: pb.Status, catalog: str, revision: int) -> str:
    """Which routers do not serve it yet; empty: all do."""
    if not status.routers:
        return "no router reports to the version manager"
    late = [
        one.report.address
        for one in status.routers
        if (one.report.catalog, one.report.revision >= revision) != (catalog, True)
    ]
    more = f" and {len(late) - _NAMED} more" if len(late) > _NAMED else ""
    return f"not by {', '.join(late[:_NAMED])}{more}" if late else ""


def _released(tenant: str, model: str, made: pb.Release) -> Released:
    return Released(
        tenant,
        model,
        made.number,
        {split.version: split.basis_points for split in made.splits},
        dict(made.labels),
        made.salt,
        made.author,
        made.reason,
        made.at,
        made.restores,
        made.revision,
    )


def _blocking(
    method: Callable[Concatenate[Publisher, _P], Coroutine[Any, Any, _T]],
) -> Callable[Concatenate[BlockingPublisher, _P], _T]:
    def call(self: BlockingPublisher, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return self._run(method(self._publisher, *args, **kwargs))

    call.__doc__ = method.__doc__
    return call


class BlockingPublisher:
    """A `Publisher` for programs without an event loop; for one thread."""

    def __init__(self, managers: str, tls: grpc.ChannelCredentials | None = None) -> None:
        self._runner = asyncio.Runner()
        self._publisher = self._run(_made(managers, tls))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        try:
            self._run(self._publisher.__aexit__(None, None, None))
        finally:
            self._runner.close()

    publish = _blocking(Publisher.publish)
    release = _blocking(Publisher.release)
    rollback = _blocking(Publisher.rollback)
    history = _blocking(Publisher.history)
    wait_served = _blocking(Publisher.wait_served)

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self._runner.run(work)


async def _made(managers: str, tls: grpc.ChannelCredentials | None) -> Publisher:
    """Its channels belong to the loop that runs."""
    return Publisher(managers, tls)
