"""A version manager in memory, on a real gRPC port, for tests of its callers.

It serves from threads, so that a command that runs its own event loop can call it from the test's thread.
"""

import functools
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import grpc
from support.version_manager_bulk import FakeBulk
from support.version_manager_families import FakeFamilies
from support.version_manager_releases import FakeReleases

from croupier.artifacts.checked import checked_of
from croupier.artifacts.format import MAGIC, view
from croupier.errors import Conflict, CroupierError, FailedPrecondition, NotFound, Unimplemented
from croupier.transport.status import DETAILS_KEY, from_error
from protos.versions.v1 import versions_pb2 as pb
from protos.versions.v1 import versions_pb2_grpc as services
from sharding.plan import Population, plan, refusals
from version_manager.model.wire import generation_from_pb

_CODES = {code.value[0]: code for code in grpc.StatusCode}


def _mapped(method: Any) -> Any:
    @functools.wraps(method)
    def call(self: "FakeManager", request: Any, context: Any) -> Any:
        self.metadata = dict(context.invocation_metadata())
        try:
            if self.failures and (failure := self.failures.pop(0)) is not None:
                raise failure
            return method(self, request)
        except CroupierError as error:
            status = from_error(error)
            context.set_trailing_metadata(((DETAILS_KEY, status.details),))
            context.abort(_CODES[status.code], status.message)

    return call


class FakeManager(FakeFamilies, FakeBulk, FakeReleases, services.VersionManagerServicer):
    """`failures`: errors that the next calls end with; None: that call is answered."""

    def __init__(self) -> None:
        FakeFamilies.__init__(self)
        FakeReleases.__init__(self)
        FakeBulk.__init__(self)
        self.artifacts: dict[bytes, bytes] = {}
        self.generations: list[pb.Generation] = []
        self.previous = 0
        self.cells: list[pb.Cell] = []
        self.residencies: dict[str, pb.Residency] = {}
        # By tenant; everybody's under "". What SetLimits was asked; whether this manager knows of limits.
        self.limits: dict[str, pb.KeptLimits] = {}
        self.asked_limits: list[pb.SetLimitsRequest] = []
        self.can_limit = True
        self.failures: list[CroupierError | None] = []
        # Keys for Repair, and those that it can do nothing about.
        self.damaged: list[str] = []
        self.beyond_repair: list[str] = []
        # What GetFreeze tells, before a thaw and after it.
        self.freeze = pb.Freeze()
        self.still_frozen = pb.Freeze()
        self.thaws: list[pb.ThawRequest] = []
        # Why ReseedShards was asked.
        self.reasons: list[str] = []
        # What SetGeneration, SetResidency and SetLimits warn of.
        self.warnings: list[str] = []
        # What SetGeneration, PlanGeneration and SetRamp were asked; whether it plans at all.
        self.changes: list[pb.SetGenerationRequest] = []
        self.plans: list[pb.PlanGenerationRequest] = []
        self.ramps: list[pb.SetRampRequest] = []
        self.can_plan = True
        # What ListCellTenants answers, one after the other, and then nobody.
        self.cell_tenants: list[pb.ListCellTenantsResponse] = []
        # What GetStatus answers before `status`, one after the other.
        self.statuses: list[pb.Status] = []
        # What GetBlast and OptimizeShards answer, and the last that they were asked.
        self.blast = pb.Blast()
        self.proposal = pb.OptimizeShardsResponse()
        self.asked: Any = None
        # What GetUsage answers; None for a manager that does not know it.
        self.usage: pb.Usage | None = pb.Usage()
        # What GetStatus answers; None for a manager that does not know it.
        self.status: pb.Status | None = pb.Status()
        # What GetTenant answers, in the same way.
        self.tenant_status: pb.TenantStatus | None = pb.TenantStatus()
        # What GetRates was asked, and answers; None for a manager that does not know it.
        self.asked_rates: list[pb.GetRatesRequest] = []
        self.rates: pb.GetRatesResponse | None = pb.GetRatesResponse()
        # Of the last call.
        self.metadata: dict[str, Any] = {}
        self.target = ""

    def __enter__(self) -> Self:
        self._server = grpc.server(ThreadPoolExecutor(2))
        services.add_VersionManagerServicer_to_server(self, self._server)
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop(None).wait()

    @_mapped
    def Publish(self, requests: Any) -> pb.Version:
        header = next(requests).header
        data = b"".join(request.chunk for request in requests)
        assert header.artifact == hashlib.sha256(data).digest()
        assert header.size == len(data)
        self.artifacts[header.artifact] = data
        fresh = pb.Model(tenant=header.tenant, name=header.name)
        model = self.models.setdefault((header.tenant, header.name), fresh)
        number = header.version or max((v.number for v in model.versions), default=0) + 1
        version = pb.Version(
            number=number, artifact=header.artifact, size=header.size, engine="onnx", created=1.6e9
        )
        checked = checked_of(view(data)) if data.startswith(MAGIC) else None
        if checked is not None:
            told = {"library": checked.library, "version": checked.version, "difference": checked.difference}
            version.checked.CopyFrom(pb.Comparison(**told, sample=checked.sample, made=checked.made))
        model.versions.append(version)
        answer = pb.Version(revision=f"fake:{number}")
        answer.MergeFrom(version)
        return answer

    @_mapped
    def ListModels(self, request: pb.ListModelsRequest) -> pb.ListModelsResponse:
        keys = sorted(key for key in self.models if request.tenant in ("", key[0]))
        start = int(request.page_token or 0)
        end = start + request.page_size
        following = str(end) if end < len(keys) else ""
        found = [self.models[key] for key in keys[start:end]]
        return pb.ListModelsResponse(models=found, next_page_token=following)

    @_mapped
    def GetModel(self, request: pb.GetModelRequest) -> pb.Model:
        return self._model(request)

    @_mapped
    def GetUsage(self, request: pb.GetUsageRequest) -> pb.Usage:
        self._model(request)
        if self.usage is None:
            raise Unimplemented("unknown method")
        return self.usage

    @_mapped
    def DeleteVersion(self, request: pb.DeleteVersionRequest) -> pb.DeleteVersionResponse:
        model = self._model(request)
        if any(split.version == request.version for split in model.release.splits):
            raise FailedPrecondition(f"version {request.version} is released")
        kept = [version for version in model.versions if version.number != request.version]
        del model.versions[:]
        model.versions.extend(kept)
        return pb.DeleteVersionResponse()

    @_mapped
    def DeleteModel(self, request: pb.DeleteModelRequest) -> pb.DeleteModelResponse:
        self._model(request)
        del self.models[request.tenant, request.name]
        return pb.DeleteModelResponse()

    SetRelease = _mapped(FakeReleases.SetRelease)
    RollbackRelease = _mapped(FakeReleases.RollbackRelease)
    GetReleaseHistory = _mapped(FakeReleases.GetReleaseHistory)

    @_mapped
    def GetGeneration(self, request: pb.GetGenerationRequest) -> pb.Generation:
        number = request.number or len(self.generations)
        if not 0 < number <= len(self.generations):
            raise NotFound(f"there is no generation {number}")
        found = pb.Generation()
        found.CopyFrom(self.generations[number - 1])
        found.previous = self.previous if number == len(self.generations) else 0
        return found

    @_mapped
    def SetGeneration(self, request: pb.SetGenerationRequest) -> pb.Generation:
        if request.expected_number != len(self.generations):
            raise Conflict(f"the active generation is {len(self.generations)}")
        self.changes.append(request)
        generation = self._wanted(request)
        generation.number = len(self.generations) + 1
        generation.author, generation.reason = request.author, request.reason
        self.previous = len(self.generations)
        self.generations.append(generation)
        answer = pb.Generation(warnings=self.warnings)
        answer.MergeFrom(generation)
        return answer

    def _wanted(self, request: pb.SetGenerationRequest | pb.PlanGenerationRequest) -> pb.Generation:
        made = pb.Generation()
        made.CopyFrom(
            self.generations[request.rollback_to - 1] if request.rollback_to else request.generation
        )
        return made

    @_mapped
    def PlanGeneration(self, request: pb.PlanGenerationRequest) -> pb.Plan:
        self.plans.append(request)
        if not self.can_plan:
            raise Unimplemented("unknown method")
        before = generation_from_pb(self.generations[-1])
        after = generation_from_pb(self._wanted(request))
        found = plan(before, after, Population([f"tenant-{n}" for n in range(200)]))
        return pb.Plan(
            active=before.number,
            tenants=200,
            tenants_moved=found.tenants_moved,
            slots=len(found.before.slots),
            slots_moved=found.slots_moved,
            cold_loads=found.cold_loads,
            balance_before=found.balance_before,
            balance_after=found.balance_after,
            overlap_before=found.overlap_before,
            overlap_after=found.overlap_after,
            cells=[
                pb.PlannedCell(cell=one.cell, slots_before=one.slots_before, slots_after=one.slots_after)
                for one in found.cells
            ],
            moves=[pb.PlannedMove(tenant=name, lost=lost, gained=got) for name, lost, got in found.moves()],
            refusals=refusals(found, request.named_cells),
        )

    @_mapped
    def GetShardHistory(self, request: pb.GetShardHistoryRequest) -> pb.ShardHistory:
        return pb.ShardHistory(
            generations=[
                pb.PastGeneration(
                    number=one.number, author=one.author, reason=one.reason, seats=len(one.seats)
                )
                for one in reversed(self.generations)
            ]
        )

    @_mapped
    def SetRamp(self, request: pb.SetRampRequest) -> pb.Ramp:
        self.ramps.append(request)
        return self.generations[-1].ramp

    @_mapped
    def ListCellTenants(self, request: pb.ListCellTenantsRequest) -> pb.ListCellTenantsResponse:
        return self.cell_tenants.pop(0) if self.cell_tenants else pb.ListCellTenantsResponse()

    @_mapped
    def GetBlast(self, request: pb.GetBlastRequest) -> pb.Blast:
        self.asked = request
        return self.blast

    @_mapped
    def OptimizeShards(self, request: pb.OptimizeShardsRequest) -> pb.OptimizeShardsResponse:
        self.asked = request
        return self.proposal

    @_mapped
    def ReseedShards(self, request: pb.ReseedShardsRequest) -> pb.Generation:
        if request.expected_number != len(self.generations):
            raise Conflict(f"the active generation is {len(self.generations)}")
        self.reasons.append(request.reason)
        number = len(self.generations) + 1
        generation = pb.Generation()
        generation.CopyFrom(self.generations[-1])
        generation.MergeFrom(pb.Generation(number=number, seed=generation.seed + 1, seed_since=number))
        self.generations.append(generation)
        return generation

    @_mapped
    def Repair(self, request: pb.RepairRequest) -> pb.RepairResponse:
        repaired = [key for key in self.damaged if "/shards/" in key or not request.shards_only]
        self.damaged = [key for key in self.damaged if key not in repaired]
        return pb.RepairResponse(repaired=repaired, left=self.beyond_repair)

    @_mapped
    def GetFreeze(self, request: pb.GetFreezeRequest) -> pb.Freeze:
        return self.freeze

    @_mapped
    def Thaw(self, request: pb.ThawRequest) -> pb.Freeze:
        self.thaws.append(request)
        self.freeze = self.still_frozen
        return self.freeze

    @_mapped
    def GetStatus(self, request: pb.GetStatusRequest) -> pb.Status:
        if self.status is None:
            raise Unimplemented("unknown method")
        found = pb.Status(generation=len(self.generations))
        found.MergeFrom(self.statuses.pop(0) if self.statuses else self.status)
        return found

    @_mapped
    def GetRates(self, request: pb.GetRatesRequest) -> pb.GetRatesResponse:
        self.asked_rates.append(request)
        if self.rates is None:
            raise Unimplemented("unknown method")
        return self.rates

    @_mapped
    def GetTenant(self, request: pb.GetTenantRequest) -> pb.TenantStatus:
        if self.tenant_status is None:
            raise Unimplemented("unknown method")
        return self.tenant_status

    @_mapped
    def ListCells(self, request: pb.ListCellsRequest) -> pb.ListCellsResponse:
        return pb.ListCellsResponse(cells=self.cells)

    @_mapped
    def LiftQuarantine(self, request: pb.LiftQuarantineRequest) -> pb.LiftQuarantineResponse:
        told = []
        for found in self.cells:
            kept = [one for one in found.load.quarantined if one.artifact != request.artifact]
            if len(kept) < len(found.load.quarantined) and request.cell in ("", found.id):
                del found.load.quarantined[:]
                found.load.quarantined.extend(kept)
                told.append(found.id)
        if not told:
            raise NotFound("no cell reports this artifact")
        return pb.LiftQuarantineResponse(cells=told)

    @_mapped
    def GetResidency(self, request: pb.GetResidencyRequest) -> pb.Residency:
        return self.residencies.get(request.tenant, pb.Residency(tenant=request.tenant))

    @_mapped
    def SetResidency(self, request: pb.SetResidencyRequest) -> pb.Residency:
        stands = self.residencies.get(request.tenant, pb.Residency())
        if request.HasField("expected_revision") and request.expected_revision != stands.revision:
            raise Conflict(f"the residency has revision {stands.revision} by now")
        made = pb.Residency(
            tenant=request.tenant,
            floor_bytes=request.floor_bytes,
            pinned=request.pinned,
            revision=stands.revision + 1,
        )
        self.residencies[request.tenant] = made
        answer = pb.Residency(warnings=self.warnings)
        answer.MergeFrom(made)
        return answer

    @_mapped
    def GetLimits(self, request: pb.GetLimitsRequest) -> pb.KeptLimits:
        if not self.can_limit:
            raise Unimplemented("what?")
        return self._limits(request.tenant, self.limits.get(request.tenant, pb.KeptLimits()))

    @_mapped
    def SetLimits(self, request: pb.SetLimitsRequest) -> pb.KeptLimits:
        self.asked_limits.append(request)
        revision = self.limits.get(request.tenant, pb.KeptLimits()).revision
        if request.HasField("expected_revision") and request.expected_revision != revision:
            raise Conflict(f"the limits have revision {revision} by now")
        made = pb.KeptLimits(limits=request.limits, revision=revision if request.dry_run else revision + 1)
        if not request.dry_run:
            self.limits[request.tenant] = made
        answer = self._limits(request.tenant, made)
        answer.warnings.extend(self.warnings)
        return answer

    def _limits(self, tenant: str, kept: pb.KeptLimits) -> pb.KeptLimits:
        default = self.limits.get("", pb.KeptLimits()) if tenant else kept
        answer = pb.KeptLimits(tenant=tenant, limits=pb.Limits(), default_limits=default.limits)
        answer.MergeFrom(kept)
        return answer

    GetFamily = _mapped(FakeFamilies.GetFamily)
    GetFamilyHistory = _mapped(FakeFamilies.GetFamilyHistory)
    ListFamilies = _mapped(FakeFamilies.ListFamilies)
    ApplyFamily = _mapped(FakeFamilies.ApplyFamily)
    RollbackFamily = _mapped(FakeFamilies.RollbackFamily)


def cell(number: int, zone: str, **fields: Any) -> pb.Cell:
    """A registered cell `cell-<number>` that serves on port 9000 + number."""
    defaults: dict[str, Any] = {"weight": 1.0, "state": "active"}
    return pb.Cell(
        id=f"cell-{number}", zone=zone, address=f"127.0.0.1:{9000 + number}", **(defaults | fields)
    )
