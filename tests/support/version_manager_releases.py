"""What the version manager in memory knows of models' releases."""

# gRPC names the methods.

from __future__ import annotations

from typing import Any

from croupier.errors import Conflict, NotFound
from protos.versions.v1 import versions_pb2 as pb


class FakeReleases:
    """`releases` and `rollbacks` are what was asked; `release_history` is what it answers."""

    def __init__(self) -> None:
        self.models: dict[tuple[str, str], pb.Model] = {}
        self.releases: list[pb.SetReleaseRequest] = []
        self.rollbacks: list[pb.RollbackReleaseRequest] = []
        self.release_history = pb.ReleaseHistory()

    def SetRelease(self, request: pb.SetReleaseRequest) -> pb.Release:
        self.releases.append(request)
        model = self._model(request)
        if request.expected_number != model.release.number:
            raise Conflict(f"the release is number {model.release.number} by now")
        number = model.release.number + 1
        release = pb.Release(number=number, splits=request.splits, labels=request.labels)
        model.release.CopyFrom(release)
        return pb.Release(number=number, splits=request.splits, labels=request.labels, revision="fake:99")

    def RollbackRelease(self, request: pb.RollbackReleaseRequest) -> pb.Release:
        self.rollbacks.append(request)
        release = self._model(request).release
        return pb.Release(number=release.number + 1, restores=request.number or release.number - 1)

    def GetReleaseHistory(self, request: pb.GetReleaseHistoryRequest) -> pb.ReleaseHistory:
        self._model(request)
        return self.release_history

    def _model(self, request: Any) -> pb.Model:
        found = self.models.get((request.tenant, request.name))
        if found is None:
            raise NotFound(f"tenant {request.tenant} has no model {request.name}")
        return found
