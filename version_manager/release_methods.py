"""What the versions.v1 service answers about releases: a part of `server`, and as thin."""

# gRPC names the methods.
# ruff: noqa: N802

from __future__ import annotations

from croupier.names import check_name
from protos.versions.v1 import versions_pb2 as pb
from protos.versions.v1 import versions_pb2_grpc
from version_manager.calling import Context, WhoCalls, actor_of, own_faults
from version_manager.map.mirror import Mirror
from version_manager.model import wire
from version_manager.model.release import Release, split_point
from version_manager.model.resolve import Ask, select
from version_manager.writes.limits import Why
from version_manager.writes.publisher import Publisher
from version_manager.writes.releases import Change, Releases


class ReleaseMethods(versions_pb2_grpc.VersionManagerServicer):
    def __init__(self, releases: Releases, publisher: Publisher, mirror: Mirror, caller: WhoCalls) -> None:
        self._releases = releases
        self._publisher = publisher
        self._mirror = mirror
        self._caller = caller

    async def SetRelease(self, request: pb.SetReleaseRequest, context: Context) -> pb.Release:
        change = Change(
            wire.splits_from_pb(request.splits),
            dict(request.labels),
            request.expected_number,
            request.salt if request.HasField("salt") else None,
        )
        with own_faults():
            made = await self._releases.set(
                request.tenant,
                request.name,
                change,
                actor_of(self._caller, context),
                Why(request.reason, request.author),
                skip_warming=request.skip_warming,
            )
        return self._made(request.tenant, request.name, made)

    async def RollbackRelease(self, request: pb.RollbackReleaseRequest, context: Context) -> pb.Release:
        with own_faults():
            made = await self._releases.rollback(
                request.tenant,
                request.name,
                request.number,
                request.expected_number,
                actor_of(self._caller, context),
                Why(request.reason, request.author),
                skip_warming=request.skip_warming,
            )
        return self._made(request.tenant, request.name, made)

    async def GetReleaseHistory(
        self, request: pb.GetReleaseHistoryRequest, context: Context
    ) -> pb.ReleaseHistory:
        found = await self._releases.history(request.tenant, request.name)
        return pb.ReleaseHistory(releases=map(wire.release_to_pb, found))

    async def Resolve(self, request: pb.ResolveRequest, context: Context) -> pb.ResolveResponse:
        check_model(request)
        catalog = self._mirror.map.catalog
        model = catalog.find(request.tenant, request.name)
        release = model.release if model else None
        salt = release.salt if release else ""
        point = split_point(request.tenant, request.name, request.routing_key, salt)
        ask = Ask(request.name, request.version, request.label)
        return pb.ResolveResponse(
            version=wire.version_to_pb(select(catalog, request.tenant, ask, point)),
            release=wire.release_to_pb(release) if release else None,
            revision=catalog.revision,
            point=point,
        )

    def _made(self, tenant: str, name: str, release: Release) -> pb.Release:
        message = wire.release_to_pb(release)
        message.revision = self._publisher.revision(tenant, name)
        return message


def check_model(
    request: pb.GetModelRequest | pb.GetUsageRequest | pb.ResolveRequest | pb.PublishRequest.Header,
) -> None:
    """Raises InvalidName."""
    check_name(request.tenant, "tenant")
    check_name(request.name, "name")
