"""The versions.v1 service: a thin edge that checks, converts and delegates.

Reads are answered from the served map, in memory. Writes go through `writes/`.
Errors become gRPC status in `croupier.grpcio.server`, once.
"""

# gRPC names the methods.
# ruff: noqa: N802

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import grpc

from croupier.errors import InvalidRequest
from croupier.names import MAX_VERSION, InvalidName, check_digest, check_name
from croupier.protocol import announced
from croupier.transport.net.turns import in_turns
from protos.versions.v1 import versions_pb2 as pb
from protos.versions.v1 import versions_pb2_grpc
from sharding.generation import Generation
from version_manager import doubts, tenant_answers
from version_manager.bulk_call import BulkCalls, BulkLimits
from version_manager.calling import Context, WhoCalls, own_faults
from version_manager.cells.registry import Registry
from version_manager.cells.usage import Usage
from version_manager.dividing import Dividing
from version_manager.family_methods import FamilyMethods
from version_manager.feed import Feed
from version_manager.fits import Fits
from version_manager.handovers import Handovers
from version_manager.listing import page
from version_manager.map.announcements import Announcements
from version_manager.map.mirror import Mirror
from version_manager.model import wire
from version_manager.model.limits import Limits
from version_manager.model.residency import ResidencyRule
from version_manager.planning.planner import Planner
from version_manager.rates import Rates
from version_manager.release_methods import ReleaseMethods, check_model
from version_manager.reported import Begin, answers
from version_manager.routers import Routers
from version_manager.shard_answers import freeze_to_pb, history, printable, ramp_to_pb
from version_manager.status import Statuses
from version_manager.tenant_status import TenantStatuses
from version_manager.uploads import UploadLimits, Uploads
from version_manager.writes.bulk import BulkPublisher
from version_manager.writes.families import FamilyRecords
from version_manager.writes.limits import LimitRecords
from version_manager.writes.pointer import How
from version_manager.writes.publisher import Publisher
from version_manager.writes.ramping import Move, Ramping
from version_manager.writes.releases import Releases
from version_manager.writes.repair import Repairs
from version_manager.writes.shards import Shards
from version_manager.writes.tenants import Tenants
from version_manager.writes.thawing import Thawing

SERVICE = "croupier.versions.v1.VersionManager"
# Keys that an answer names.
_MOST_LEFT = 1000

_UPLOADS = UploadLimits()
_MOVES = {
    pb.SetRampRequest.RESUME: Move.RESUME,
    pb.SetRampRequest.PAUSE: Move.PAUSE,
    pb.SetRampRequest.FINISH: Move.FINISH,
}


@dataclass(frozen=True, slots=True)
class Parts:
    """What the service delegates to."""

    mirror: Mirror
    publisher: Publisher
    bulk: BulkPublisher
    releases: Releases
    shards: Shards
    ramping: Ramping
    repairs: Repairs
    thawing: Thawing
    tenants: Tenants
    limits: LimitRecords
    families: FamilyRecords
    fits: Fits
    registry: Registry
    feed: Feed
    announcements: Announcements
    usage: Usage
    routers: Routers
    rates: Rates
    dividing: Dividing
    statuses: Statuses
    tenant_statuses: TenantStatuses
    planner: Planner
    handovers: Handovers


def add_to(server: grpc.aio.Server, service: VersionManagerService) -> None:
    """Have `server` serve `service`, whose watch sends events as they are."""
    versions_pb2_grpc.add_VersionManagerServicer_to_server(service, server)  # type: ignore[no-untyped-call]
    watch = grpc.unary_stream_rpc_method_handler(
        service.Watch, pb.WatchRequest.FromString, response_serializer=bytes
    )
    # In place of the one that encodes.
    server.add_registered_method_handlers(SERVICE, {"Watch": watch})


class VersionManagerService(FamilyMethods, ReleaseMethods):
    """`caller` tells who calls; `uploads` bounds what uploads may hold in memory."""

    def __init__(
        self,
        parts: Parts,
        caller: WhoCalls = lambda context: None,
        *,
        uploads: UploadLimits = _UPLOADS,
    ) -> None:
        FamilyMethods.__init__(self, parts.families, parts.fits, parts.mirror, caller)
        ReleaseMethods.__init__(self, parts.releases, parts.publisher, parts.mirror, caller)
        self._parts = parts
        self._uploads = Uploads(uploads)
        most = BulkLimits(max_bytes=uploads.max_bytes, total_bytes=uploads.max_bytes)
        self._bulk = BulkCalls(parts.bulk, most)

    async def Publish(self, requests: AsyncIterator[pb.PublishRequest], context: Context) -> pb.Version:
        async with self._uploads.receive(aiter(requests)) as upload:
            with own_faults():
                version = await self._parts.publisher.publish(upload, self._actor(context))
        message = wire.version_to_pb(version)
        message.revision = self._parts.publisher.revision(upload.tenant, upload.name, version.number)
        return message

    async def PublishMany(
        self, requests: AsyncIterator[pb.PublishManyRequest], context: Context
    ) -> AsyncGenerator[pb.PublishManyResponse, None]:
        caller = self._caller(context)
        tenants = frozenset[str]() if caller is None else caller.tenants
        with own_faults():
            answers = self._bulk.answers(aiter(requests), self._actor(context), tenants)
            async with aclosing(answers) as given:
                async for answer in given:
                    yield answer

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        if request.tenant:
            check_name(request.tenant, "tenant")
        # In a thread: where models are many, finding a page takes long.
        models, token = await asyncio.to_thread(
            page, self._parts.mirror.map.catalog, request.tenant, request.page_size, request.page_token
        )
        told = [wire.model_to_pb(model) for model in models]
        return pb.ListModelsResponse(models=told, next_page_token=token)

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.Model:
        check_model(request)
        found = self._parts.mirror.map.catalog.get(request.tenant, request.name)
        return wire.model_to_pb(found)

    async def GetUsage(self, request: pb.GetUsageRequest, context: Context) -> pb.Usage:
        check_model(request)
        version = _version_number(request.version) if request.version else 0
        found = await self._parts.usage.of(request.tenant, request.name, version)
        return pb.Usage(cells=map(tenant_answers.usage_to_pb, found))

    async def DeleteVersion(
        self, request: pb.DeleteVersionRequest, context: Context
    ) -> pb.DeleteVersionResponse:
        number = _version_number(request.version)
        with own_faults():
            await self._parts.publisher.delete_version(
                request.tenant, request.name, number, self._actor(context)
            )
        return pb.DeleteVersionResponse()

    async def DeleteModel(self, request: pb.DeleteModelRequest, context: Context) -> pb.DeleteModelResponse:
        with own_faults():
            await self._parts.publisher.delete_model(request.tenant, request.name, self._actor(context))
        return pb.DeleteModelResponse()

    async def Watch(self, request: pb.WatchRequest, context: Context) -> AsyncGenerator[bytes, None]:
        """Yields encoded events."""
        feed = self._parts.feed
        with self._parts.announcements.watching(speaks := announced(request.protocol)):
            async with aclosing(feed.watch(request.catalog, request.revision, speaks)) as events:
                async for event in events:
                    yield event

    async def SetGeneration(self, request: pb.SetGenerationRequest, context: Context) -> pb.Generation:
        wanted = wire.generation_from_pb(request.generation)
        how = How(
            request.reason,
            request.author,
            request.ramp_seconds,
            request.force,
            request.rollback_to,
            request.warm,
            request.cold,
        )
        with own_faults():
            made = await self._parts.shards.set(wanted, request.expected_number, self._actor(context), how)
        return self._told(made)

    async def SetRamp(self, request: pb.SetRampRequest, context: Context) -> pb.Ramp:
        move = _MOVES.get(request.action)
        if move is None:
            raise InvalidRequest("there is no such action", field="action")
        with own_faults():
            pointer = await self._parts.ramping.move(
                move, request.expected_number, request.reason, request.author, self._actor(context)
            )
        return ramp_to_pb(pointer)

    async def GetShardHistory(self, request: pb.GetShardHistoryRequest, context: Context) -> pb.ShardHistory:
        # In a thread: to compare large maps takes long.
        return await asyncio.to_thread(history, self._parts.mirror.map.archive)

    async def GetGeneration(self, request: pb.GetGenerationRequest, context: Context) -> pb.Generation:
        return self._told(self._parts.shards.get(request.number))

    async def PlanGeneration(self, request: pb.PlanGenerationRequest, context: Context) -> pb.Plan:
        return await self._parts.planner.plan(request)

    async def OptimizeShards(
        self, request: pb.OptimizeShardsRequest, context: Context
    ) -> pb.OptimizeShardsResponse:
        return await self._parts.planner.optimize(request)

    async def GetBlast(self, request: pb.GetBlastRequest, context: Context) -> pb.Blast:
        return await self._parts.planner.blast(request)

    async def ListCellTenants(
        self, request: pb.ListCellTenantsRequest, context: Context
    ) -> pb.ListCellTenantsResponse:
        return await self._parts.planner.cell_tenants(request)

    async def ReseedShards(self, request: pb.ReseedShardsRequest, context: Context) -> pb.Generation:
        actor = self._actor(context)
        with own_faults():
            made = await self._parts.shards.reseed(request.expected_number, request.reason, actor)
        return self._told(made)

    async def Repair(self, request: pb.RepairRequest, context: Context) -> pb.RepairResponse:
        actor = self._actor(context)
        with own_faults():
            done = await self._parts.repairs.repair(actor, shards_only=request.shards_only)
        return pb.RepairResponse(repaired=done.keys, left=map(printable, done.left[:_MOST_LEFT]))

    async def GetFreeze(self, request: pb.GetFreezeRequest, context: Context) -> pb.Freeze:
        return freeze_to_pb(self._parts.thawing.freeze())

    async def Thaw(self, request: pb.ThawRequest, context: Context) -> pb.Freeze:
        actor = self._actor(context)
        try:
            cluster_id = int(request.cluster, 16)
        except ValueError as error:
            raise InvalidRequest(
                "a cluster is known by its number, in hexadecimal", field="cluster"
            ) from error
        with own_faults():
            left = await self._parts.thawing.thaw(request.reason, cluster_id, request.revision, actor)
        return freeze_to_pb(left)

    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.Status:
        caller = self._caller(context)
        return await self._parts.statuses.get(frozenset() if caller is None else caller.tenants)

    async def GetTenant(self, request: pb.GetTenantRequest, context: Context) -> pb.TenantStatus:
        caller = self._caller(context)
        is_for_all = caller is None or not caller.tenants
        return await self._parts.tenant_statuses.get(request.tenant, with_alike=is_for_all)

    async def ReportRouter(
        self, request: pb.ReportRouterRequest, context: Context
    ) -> pb.ReportRouterResponse:
        self._parts.routers.report(request.report)
        answer = pb.ReportRouterResponse()
        if request.HasField("rates"):
            answer.rates_unknown = not await in_turns(
                self._parts.rates.take(request.report.id, request.rates)
            )
        await in_turns(self._parts.dividing.add_to(answer, request.report.id))
        return answer

    async def GetRates(self, request: pb.GetRatesRequest, context: Context) -> pb.GetRatesResponse:
        caller = self._caller(context)
        answer = self._parts.rates.get(request, frozenset() if caller is None else caller.tenants)
        if not request.models:
            self._parts.routers.mark_limited(answer.rows)
        return answer

    def _told(self, generation: Generation) -> pb.Generation:
        message = wire.generation_to_pb(generation)
        message.previous = self._parts.shards.previous(generation.number)
        served = self._parts.mirror.map
        if generation.number in {active.number for active in served.generations[:1]}:
            message.warnings.extend(doubts.of_generation(generation, served))
            if served.pointer is not None and served.pointer.is_ramping:
                progress = self._parts.handovers.progress(served.pointer)
                message.ramp.CopyFrom(ramp_to_pb(served.pointer, progress))
        return message

    async def Join(
        self, requests: AsyncIterator[pb.JoinRequest], context: Context
    ) -> AsyncGenerator[pb.JoinResponse, None]:
        async with aclosing(self._answers(requests, self._parts.registry.join)) as given:
            async for answer in given:
                yield answer

    async def Report(
        self, requests: AsyncIterator[pb.JoinRequest], context: Context
    ) -> AsyncGenerator[pb.JoinResponse, None]:
        async with aclosing(self._answers(requests, self._parts.registry.listen)) as given:
            async for answer in given:
                yield answer

    async def _answers(
        self, requests: AsyncIterator[pb.JoinRequest], begin: Begin
    ) -> AsyncGenerator[pb.JoinResponse, None]:
        with own_faults():
            seconds = self._parts.registry.lease_seconds
            async with aclosing(answers(requests, begin, seconds, self._deals)) as given:
                async for answer in given:
                    yield answer

    def _deals(self) -> tuple[int, ...]:
        return tuple(generation.number for generation in self._parts.mirror.map.generations)

    async def ListCells(self, request: pb.ListCellsRequest, context: Context) -> pb.ListCellsResponse:
        cells = sorted(self._parts.mirror.map.cells.values(), key=lambda cell: cell.id)
        return pb.ListCellsResponse(
            cells=[wire.cell_to_pb(self._parts.registry.with_load(cell)) for cell in cells]
        )

    async def LiftQuarantine(
        self, request: pb.LiftQuarantineRequest, context: Context
    ) -> pb.LiftQuarantineResponse:
        artifact = check_digest(request.artifact)
        return pb.LiftQuarantineResponse(cells=self._parts.registry.lift(artifact, request.cell))

    async def GetResidency(self, request: pb.GetResidencyRequest, context: Context) -> pb.Residency:
        return self._kept(request.tenant, *self._parts.tenants.residency(request.tenant))

    async def SetResidency(self, request: pb.SetResidencyRequest, context: Context) -> pb.Residency:
        expected = request.expected_revision if request.HasField("expected_revision") else None
        wanted = wire.residency_from_pb(request)
        with own_faults():
            made = await self._parts.tenants.set_residency(
                request.tenant, wanted, expected, self._actor(context)
            )
        return self._kept(request.tenant, *made)

    def _kept(self, tenant: str, residency: ResidencyRule, revision: int) -> pb.Residency:
        return tenant_answers.residency_to_pb(tenant, residency, revision, self._parts.mirror.map)

    async def GetLimits(self, request: pb.GetLimitsRequest, context: Context) -> pb.KeptLimits:
        return self._limits(request.tenant, *self._parts.limits.get(request.tenant))

    async def SetLimits(self, request: pb.SetLimitsRequest, context: Context) -> pb.KeptLimits:
        expected = request.expected_revision if request.HasField("expected_revision") else None
        wanted, why = wire.limits_from_pb(request.limits), tenant_answers.why_from_pb(request)
        with own_faults():
            made = await self._parts.limits.set(request.tenant, wanted, expected, self._actor(context), why)
        return self._limits(request.tenant, *made)

    def _limits(self, tenant: str, own: Limits, revision: int) -> pb.KeptLimits:
        return tenant_answers.limits_to_pb(tenant, own, revision, self._parts.mirror.map, self._parts.rates)


def _version_number(number: int) -> int:
    if not 0 < number <= MAX_VERSION:
        raise InvalidName("version is not a version number", field="version")
    return number
