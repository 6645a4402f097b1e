"""Keep gRPC servers on loopback that cannot be told otherwise: Ray's and KServe's ask for every interface."""

from __future__ import annotations

from typing import Any

from grpc.aio import _server


def confine() -> None:
    """For all servers of grpc.aio that this process starts from now on."""
    add = _server.Server.add_insecure_port

    def add_insecure_port(self: Any, address: str) -> int:
        port: int = add(self, address.replace("[::]", "127.0.0.1"))
        return port

    _server.Server.add_insecure_port = add_insecure_port  # type: ignore[method-assign]
