"""What the versions.v1 service answers about families: a part of `server`, and as thin."""

# gRPC names the methods.
# ruff: noqa: N802

from __future__ import annotations

import asyncio
from itertools import islice

from protos.versions.v1 import versions_pb2 as pb
from protos.versions.v1 import versions_pb2_grpc
from version_manager import doubts
from version_manager.calling import Context, WhoCalls, actor_of, own_faults
from version_manager.fits import Fits
from version_manager.map.audit import Actor
from version_manager.map.family_image import Configs
from version_manager.map.mirror import Mirror
from version_manager.model.family import Config, FamilyKey
from version_manager.model.family_wire import config_to_pb, family_from_pb
from version_manager.writes.families import FamilyRecords
from version_manager.writes.limits import Why

MOST_ROWS = 5_000


class FamilyMethods(versions_pb2_grpc.VersionManagerServicer):
    def __init__(self, records: FamilyRecords, fits: Fits, mirror: Mirror, caller: WhoCalls) -> None:
        self._records = records
        self._fits = fits
        self._mirror = mirror
        self._caller = caller

    def _actor(self, context: Context) -> Actor:
        return actor_of(self._caller, context)

    async def ApplyFamily(self, request: pb.ApplyFamilyRequest, context: Context) -> pb.KeptFamily:
        told = request.family
        wanted = None if told.removed else family_from_pb(told, 1)
        expected = request.expected_number if request.HasField("expected_number") else None
        why = Why(request.reason, request.author, request.dry_run)
        key = told.tenant, told.name
        with own_faults():
            made = await self._records.apply(key, wanted, expected, self._actor(context), why)
        return await self._answer(key, made, with_findings=request.dry_run)

    async def RollbackFamily(self, request: pb.RollbackFamilyRequest, context: Context) -> pb.KeptFamily:
        expected = request.expected_number if request.HasField("expected_number") else None
        why = Why(request.reason, request.author, request.dry_run)
        key, actor = (request.tenant, request.name), self._actor(context)
        with own_faults():
            made = await self._records.rollback(key, request.number, expected, actor, why)
        return await self._answer(key, made, with_findings=request.dry_run)

    async def GetFamily(self, request: pb.GetFamilyRequest, context: Context) -> pb.KeptFamily:
        key = request.tenant, request.name
        return pb.KeptFamily(family=config_to_pb(key, self._records.get(key, request.number)))

    async def GetFamilyHistory(
        self, request: pb.GetFamilyHistoryRequest, context: Context
    ) -> pb.FamilyHistory:
        key = request.tenant, request.name
        return pb.FamilyHistory(configs=[config_to_pb(key, one) for one in self._records.history(key)])

    async def ListFamilies(
        self, request: pb.ListFamiliesRequest, context: Context
    ) -> pb.ListFamiliesResponse:
        # In a thread: thousands of rows take a while.
        return await asyncio.to_thread(_rows, self._mirror.map.configs, request.tenant)

    async def _answer(self, key: FamilyKey, made: Config, *, with_findings: bool) -> pb.KeptFamily:
        served = self._mirror.map
        answer = pb.KeptFamily(family=config_to_pb(key, made), warnings=doubts.of_family(key, made, served))
        if with_findings and made.family is not None:
            findings, sample = await self._fits.look(made.family)
            answer.findings.extend(findings)
            answer.sample.CopyFrom(sample)
        return answer


def _rows(configs: Configs, tenant: str) -> pb.ListFamiliesResponse:
    held = configs.held.items()
    found = [(key, one) for key, one in held if one.family and (not tenant or key[0] == tenant)]
    found.sort(key=lambda item: item[0])
    rows = [_row(key, one) for key, one in islice(found, MOST_ROWS)]
    return pb.ListFamiliesResponse(rows=rows, rows_total=len(found))


def _row(key: FamilyKey, config: Config) -> pb.FamilyRow:
    family = config.family
    assert family is not None
    return pb.FamilyRow(
        tenant=key[0],
        name=key[1],
        number=config.number,
        owner=family.owner,
        tags=family.tags,
        features=len(family.features),
        stored=sum(feature.is_stored for feature in family.features),
        log_share=family.log.share if family.log else 0.0,
        author=config.author,
        at=config.at,
    )
