"""What the version manager in memory knows of families."""

# gRPC names the methods.

from __future__ import annotations

from typing import Any

from croupier.errors import Conflict, NotFound
from protos.versions.v1 import versions_pb2 as pb


class FakeFamilies:
    """`families` by tenant and name, the latest config first; `fits` is what a dry run says."""

    warnings: list[str]

    def __init__(self) -> None:
        self.families: dict[tuple[str, str], list[pb.Family]] = {}
        self.asked_families: list[Any] = []
        self.fits = pb.KeptFamily()

    def GetFamily(self, request: pb.GetFamilyRequest) -> pb.KeptFamily:
        for one in self._history(request):
            if request.number in (0, one.number):
                return pb.KeptFamily(family=one)
        raise NotFound("not kept", reason="UNKNOWN_FAMILY")

    def GetFamilyHistory(self, request: pb.GetFamilyHistoryRequest) -> pb.FamilyHistory:
        return pb.FamilyHistory(configs=self._history(request))

    def ListFamilies(self, request: pb.ListFamiliesRequest) -> pb.ListFamiliesResponse:
        rows = [
            pb.FamilyRow(
                tenant=tenant, name=name, number=held.number, features=len(held.features), log_share=0.25
            )
            for (tenant, name), (held, *_) in sorted(self.families.items())
            if request.tenant in ("", tenant) and not held.removed
        ]
        return pb.ListFamiliesResponse(rows=rows, rows_total=len(rows))

    def ApplyFamily(self, request: pb.ApplyFamilyRequest) -> pb.KeptFamily:
        return self._apply(request, request.family)

    def RollbackFamily(self, request: pb.RollbackFamilyRequest) -> pb.KeptFamily:
        kept = self._history(request)
        (found,) = [one for one in kept if one.number == (request.number or kept[1].number)]
        return self._apply(request, found)

    def _history(self, request: Any) -> list[pb.Family]:
        if (request.tenant, request.name) not in self.families:
            raise NotFound("there is no config", reason="UNKNOWN_FAMILY")
        return self.families[request.tenant, request.name]

    def _apply(self, request: Any, wanted: pb.Family) -> pb.KeptFamily:
        self.asked_families.append(request)
        kept = self.families.get((wanted.tenant, wanted.name), [])
        number = kept[0].number if kept else 0
        if request.HasField("expected_number") and request.expected_number != number:
            raise Conflict(f"the config is {number} by now", reason="STALE_FAMILY")
        made = pb.Family(author=request.author, reason=request.reason, at=1e9)
        made.MergeFrom(wanted)
        made.number, made.reason, made.author = number + 1, request.reason, request.author
        answer = pb.KeptFamily(family=made, warnings=self.warnings)
        if request.dry_run:
            answer.MergeFrom(self.fits)
        else:
            self.families[wanted.tenant, wanted.name] = [made, *kept]
        return answer
