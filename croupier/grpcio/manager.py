"""Calls the version manager's API: for routers, cells and the command line, not for other services."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from croupier.grpcio.bulk import BulkItem, BulkOutcome, BulkPublish
from croupier.grpcio.ending import Ending
from croupier.grpcio.failover import Managers
from croupier.grpcio.outgoing import outgoing
from croupier.grpcio.rpc_errors import from_rpc_error
from croupier.request_ids import current_id
from protos.versions.v1 import versions_pb2 as pb

_T = TypeVar("_T")
_CHUNK_BYTES = 256 * 1024


class VersionManagerClient:
    """One method for each of the API's; each raises the `croupier.errors` class of its status.

    `targets` may name several version managers of one deployment, `host:port,host:port`: see `failover`.
    What a call is called and traced as goes with it (`outgoing`).
    """

    def __init__(self, targets: str, tls: grpc.ChannelCredentials | None = None) -> None:
        self._managers = Managers(targets, tls)

    @property
    def targets(self) -> list[str]:
        """Each version manager by itself."""
        return self._managers.targets

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._managers.close()

    async def publish(
        self,
        tenant: str,
        name: str,
        artifact: bytes,
        *,
        version: int = 0,
        release_if_first: bool = False,
        timeout: float = 60.0,
        progress: Callable[[int], None] | None = None,
    ) -> pb.Version:
        """Upload `artifact` as a version of a model; `version` 0 takes the next free number.

        `progress` is told the number of bytes of each chunk as it leaves. The answer's `revision` is what a
        request to a router takes as `min_revision` to be answered by one that knows of it.
        """
        header = pb.PublishRequest.Header(
            tenant=tenant,
            name=name,
            version=version,
            artifact=hashlib.sha256(artifact).digest(),
            size=len(artifact),
            release_if_first=release_if_first,
        )

        async def parts() -> AsyncIterator[pb.PublishRequest]:
            yield pb.PublishRequest(header=header)
            for start in range(0, len(artifact), _CHUNK_BYTES):
                chunk = artifact[start : start + _CHUNK_BYTES]
                yield pb.PublishRequest(chunk=chunk)
                if progress is not None:
                    progress(len(chunk))

        return await self._call(pb.Version, "Publish", parts(), timeout)

    def publish_many(
        self,
        items: Iterable[BulkItem] | AsyncIterable[BulkItem],
        *,
        release: bool = False,
        reason: str = "",
        author: str = "",
    ) -> AsyncGenerator[BulkOutcome, None]:
        """Publish each of `items`, and with `release` move its model's traffic to it; an outcome for each.

        No cell is asked to load anything first. What is published already, or is when a call breaks, is not
        sent again, so that doing all of it again does no harm. No two of `items` may be of one model at a
        time. `async with contextlib.aclosing(...)` ends it early.
        """
        options = pb.PublishManyRequest.Options(release=release, reason=reason, author=author)
        return BulkPublish(self._managers, items, options).outcomes()

    async def list_models(self, request: pb.ListModelsRequest) -> pb.ListModelsResponse:
        return await self._call(pb.ListModelsResponse, "ListModels", request)

    async def get_model(self, tenant: str, name: str) -> pb.Model:
        return await self._call(pb.Model, "GetModel", pb.GetModelRequest(tenant=tenant, name=name))

    async def get_usage(self, tenant: str, name: str, version: int = 0) -> pb.Usage:
        """What the tenant's cells have answered with a model, or with one version of it."""
        request = pb.GetUsageRequest(tenant=tenant, name=name, version=version)
        return await self._call(pb.Usage, "GetUsage", request)

    async def delete_version(self, tenant: str, name: str, version: int) -> None:
        request = pb.DeleteVersionRequest(tenant=tenant, name=name, version=version)
        await self._call(pb.DeleteVersionResponse, "DeleteVersion", request)

    async def delete_model(self, tenant: str, name: str) -> None:
        await self._call(
            pb.DeleteModelResponse, "DeleteModel", pb.DeleteModelRequest(tenant=tenant, name=name)
        )

    async def set_release(self, request: pb.SetReleaseRequest, timeout: float = 60.0) -> pb.Release:
        """Change what is served; cells may take their time to load what is new in it."""
        return await self._call(pb.Release, "SetRelease", request, timeout)

    async def rollback_release(self, request: pb.RollbackReleaseRequest, timeout: float = 60.0) -> pb.Release:
        """Serve again what an earlier release did; cells may take their time, as of `set_release`."""
        return await self._call(pb.Release, "RollbackRelease", request, timeout)

    async def get_release_history(self, tenant: str, name: str) -> pb.ReleaseHistory:
        """The releases of a model that are kept, the latest first."""
        request = pb.GetReleaseHistoryRequest(tenant=tenant, name=name)
        return await self._call(pb.ReleaseHistory, "GetReleaseHistory", request)

    async def resolve(self, request: pb.ResolveRequest) -> pb.ResolveResponse:
        return await self._call(pb.ResolveResponse, "Resolve", request)

    async def get_generation(self, number: int = 0) -> pb.Generation:
        return await self._call(pb.Generation, "GetGeneration", pb.GetGenerationRequest(number=number))

    async def set_generation(self, generation: pb.Generation, expected_number: int) -> pb.Generation:
        request = pb.SetGenerationRequest(generation=generation, expected_number=expected_number)
        return await self._call(pb.Generation, "SetGeneration", request)

    async def change_shards(self, request: pb.SetGenerationRequest) -> pb.Generation:
        """As `set_generation`, with who makes it and what for, and how."""
        return await self._call(pb.Generation, "SetGeneration", request)

    async def plan_generation(self, request: pb.PlanGenerationRequest, timeout: float = 60.0) -> pb.Plan:
        """What a generation would do in place of the active one."""
        return await self._call(pb.Plan, "PlanGeneration", request, timeout)

    async def get_shard_history(self) -> pb.ShardHistory:
        """The generations that are still there, the latest first."""
        return await self._call(pb.ShardHistory, "GetShardHistory", pb.GetShardHistoryRequest())

    async def set_ramp(self, request: pb.SetRampRequest) -> pb.Ramp:
        """Hold the ramp of the active generation, go on with it, or end it."""
        return await self._call(pb.Ramp, "SetRamp", request)

    async def optimize_shards(self, most: int = 0, timeout: float = 60.0) -> pb.OptimizeShardsResponse:
        """Pins that would spread the load of the heaviest tenants."""
        request = pb.OptimizeShardsRequest(most=most)
        return await self._call(pb.OptimizeShardsResponse, "OptimizeShards", request, timeout)

    async def get_blast(self, request: pb.GetBlastRequest, timeout: float = 60.0) -> pb.Blast:
        """Who is hurt when cells break."""
        return await self._call(pb.Blast, "GetBlast", request, timeout)

    async def list_cell_tenants(
        self, request: pb.ListCellTenantsRequest, timeout: float = 60.0
    ) -> pb.ListCellTenantsResponse:
        """The tenants that have a cell in their hand."""
        return await self._call(pb.ListCellTenantsResponse, "ListCellTenants", request, timeout)

    async def reseed_shards(self, expected_number: int, reason: str) -> pb.Generation:
        """Deal every tenant a new hand: the active generation becomes the next one under a new seed."""
        request = pb.ReseedShardsRequest(expected_number=expected_number, reason=reason)
        return await self._call(pb.Generation, "ReseedShards", request)

    async def repair(self, *, shards_only: bool = False) -> pb.RepairResponse:
        """Write back to etcd what is served, where etcd says nonsense by now or has lost it."""
        return await self._call(pb.RepairResponse, "Repair", pb.RepairRequest(shards_only=shards_only))

    async def get_freeze(self) -> pb.Freeze:
        """Whether the map stands, and what it would lose if it moved."""
        return await self._call(pb.Freeze, "GetFreeze", pb.GetFreezeRequest())

    async def thaw(self, seen: pb.Freeze, reason: str) -> pb.Freeze:
        """Have everybody take what etcd had when it was `seen`; returns what is frozen after that."""
        request = pb.ThawRequest(reason=reason, cluster=seen.cluster, revision=seen.revision)
        return await self._call(pb.Freeze, "Thaw", request)

    async def get_status(self, timeout: float = 10.0) -> pb.Status:
        """What the manager holds and has heard of everybody."""
        return await self._call(pb.Status, "GetStatus", pb.GetStatusRequest(), timeout)

    async def get_tenant(self, tenant: str, timeout: float = 10.0) -> pb.TenantStatus:
        """What of it bears on one tenant."""
        return await self._call(pb.TenantStatus, "GetTenant", pb.GetTenantRequest(tenant=tenant), timeout)

    async def report_router(
        self, request: pb.ReportRouterRequest, timeout: float = 10.0
    ) -> pb.ReportRouterResponse:
        """What the router that calls says of itself, and what it has counted."""
        return await self._call(pb.ReportRouterResponse, "ReportRouter", request, timeout)

    async def get_rates(self, request: pb.GetRatesRequest, timeout: float = 10.0) -> pb.GetRatesResponse:
        """What the busiest tenants or models ask for, and get."""
        return await self._call(pb.GetRatesResponse, "GetRates", request, timeout)

    async def list_cells(self) -> list[pb.Cell]:
        response = await self._call(pb.ListCellsResponse, "ListCells", pb.ListCellsRequest())
        return list(response.cells)

    async def lift_quarantine(self, artifact: bytes, cell: str = "") -> list[str]:
        """Have `cell`, or every cell that reports it, serve the artifact again; returns who will."""
        request = pb.LiftQuarantineRequest(artifact=artifact, cell=cell)
        response = await self._call(pb.LiftQuarantineResponse, "LiftQuarantine", request)
        return list(response.cells)

    async def get_residency(self, tenant: str) -> pb.Residency:
        return await self._call(pb.Residency, "GetResidency", pb.GetResidencyRequest(tenant=tenant))

    async def set_residency(self, request: pb.SetResidencyRequest) -> pb.Residency:
        return await self._call(pb.Residency, "SetResidency", request)

    async def get_limits(self, tenant: str = "") -> pb.KeptLimits:
        """What `tenant` may take; without one, what everybody may who has no limits of their own."""
        return await self._call(pb.KeptLimits, "GetLimits", pb.GetLimitsRequest(tenant=tenant))

    async def set_limits(self, request: pb.SetLimitsRequest) -> pb.KeptLimits:
        return await self._call(pb.KeptLimits, "SetLimits", request)

    async def apply_family(self, request: pb.ApplyFamilyRequest, timeout: float = 60.0) -> pb.KeptFamily:
        """The config of a family or of one model; a dry run reads artifacts, which takes its time."""
        return await self._call(pb.KeptFamily, "ApplyFamily", request, timeout)

    async def rollback_family(
        self, request: pb.RollbackFamilyRequest, timeout: float = 60.0
    ) -> pb.KeptFamily:
        return await self._call(pb.KeptFamily, "RollbackFamily", request, timeout)

    async def get_family(self, name: str, tenant: str = "", number: int = 0) -> pb.KeptFamily:
        """What holds, or config `number`; with a tenant, what its model has in place of the family's."""
        request = pb.GetFamilyRequest(tenant=tenant, name=name, number=number)
        return await self._call(pb.KeptFamily, "GetFamily", request)

    async def list_families(self, tenant: str = "") -> pb.ListFamiliesResponse:
        """All of them; with a tenant, what its models have of their own."""
        return await self._call(
            pb.ListFamiliesResponse, "ListFamilies", pb.ListFamiliesRequest(tenant=tenant)
        )

    async def get_family_history(self, name: str, tenant: str = "") -> pb.FamilyHistory:
        request = pb.GetFamilyHistoryRequest(tenant=tenant, name=name)
        return await self._call(pb.FamilyHistory, "GetFamilyHistory", request)

    async def watch(
        self, revision: int = 0, catalog: str = "", *, protocol: int = 0
    ) -> AsyncIterator[pb.WatchEvent]:
        """The catalog's events from `revision` on; ends or raises when the stream breaks.

        `protocol` is what the watcher announces that it speaks.
        """
        call = self._managers.streaming().Watch(
            pb.WatchRequest(revision=revision, catalog=catalog, protocol=protocol)
        )
        try:
            async for event in call:
                yield event
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        finally:
            # grpcio leaves the call open when its reader is cancelled before the first response.
            call.cancel()
            self._managers.stream_ended()

    def join(self, reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
        """Register a cell and keep it registered with `reports`; an answer for each."""
        return self._reported(self._managers.streaming().Join, reports)

    def report(self, reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
        """As `join`, of a cell that is registered by another manager."""
        return self._reported(self._managers.streaming().Report, reports)

    async def _reported(
        self, method: Callable[..., Any], reports: AsyncIterator[pb.JoinRequest]
    ) -> AsyncIterator[pb.JoinResponse]:
        call = method(reports)
        ending = Ending(call)
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise await ending.error(error) from error
        finally:
            call.cancel()
            self._managers.stream_ended()

    async def _call(self, _answers: type[_T], method: str, request: object, timeout: float = 10.0) -> _T:
        stub = await self._managers.answering()
        call = getattr(stub, method)(request, timeout=timeout, metadata=outgoing())
        ending = Ending(call)
        try:
            response: _T = await call
            return response
        except grpc.aio.AioRpcError as error:
            found = await ending.error(error)
            if not found.request_id and (request_id := current_id()):
                # Nobody answered, and whoever did get it knows it by this.
                found.request_id = request_id
            raise found from error
