"""As much of a version manager as a registering cell sees, behind a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from croupier.grpcio.server import Server
from protos.versions.v1 import versions_pb2 as pb
from protos.versions.v1 import versions_pb2_grpc


class JoinService(versions_pb2_grpc.VersionManagerServicer):
    """Answers reports and notes when a stream ends."""

    def __init__(self) -> None:
        self.reports: list[pb.Cell] = []
        self.left = 0

    async def Join(
        self, requests: AsyncIterator[pb.JoinRequest], context: object
    ) -> AsyncIterator[pb.JoinResponse]:
        try:
            async for request in requests:
                self.reports.append(request.cell)
                yield pb.JoinResponse(lease_seconds=5)
        finally:
            self.left += 1


@asynccontextmanager
async def open_join_service() -> AsyncIterator[tuple[JoinService, str]]:
    """The service and its address."""
    service, server = JoinService(), Server()
    versions_pb2_grpc.add_VersionManagerServicer_to_server(service, server.grpc_server)
    address = await server.start("127.0.0.1:0", [])
    yield service, address
    await server.stop(0)
