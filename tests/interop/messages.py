"""grpc.testing.TestService as both sides need it: its methods, and the payloads that the tests send."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from google.protobuf import message_factory

from croupier.transport.http2.limits import Limits

from . import testing_pb2 as pb

PACKAGE = "grpc.testing"
SERVICE = f"{PACKAGE}.TestService"
ECHO_INITIAL = "x-grpc-test-echo-initial"
ECHO_TRAILING = "x-grpc-test-echo-trailing-bin"
_SEED = 20_150_219
# A thousand large calls at once on one connection are more than a peer may be held by default.
LIMITS = Limits(connection_bytes=2**30, total_bytes=2**30)


@dataclass(frozen=True, slots=True)
class Method:
    """A method by its path, with the classes of its messages."""

    path: str
    request: Any
    response: Any
    client_streaming: bool
    server_streaming: bool

    @property
    def decode(self) -> Callable[[bytes], Any]:
        return self.request.FromString  # type: ignore[no-any-return]


def _methods(service: str) -> dict[str, Method]:
    descriptor = pb.DESCRIPTOR.services_by_name[service]
    return {
        method.name: Method(
            f"/{descriptor.full_name}/{method.name}",
            message_factory.GetMessageClass(method.input_type),
            message_factory.GetMessageClass(method.output_type),
            method.client_streaming,
            method.server_streaming,
        )
        for method in descriptor.methods
    }


METHODS = _methods("TestService")
EMPTY = METHODS["EmptyCall"]
UNARY = METHODS["UnaryCall"]
SERVER_STREAM = METHODS["StreamingOutputCall"]
CLIENT_STREAM = METHODS["StreamingInputCall"]
FULL_DUPLEX = METHODS["FullDuplexCall"]
UNIMPLEMENTED_METHOD = METHODS["UnimplementedCall"]
UNIMPLEMENTED_SERVICE = _methods("UnimplementedService")["UnimplementedCall"]


def zeros(size: int) -> pb.Payload:
    return pb.Payload(body=bytes(size))


def noise(size: int) -> pb.Payload:
    """A payload that no compression makes smaller."""
    return pb.Payload(body=Random(_SEED).randbytes(size))


def wanted(size: int, compressed: bool | None = None) -> pb.ResponseParameters:
    """What asks for a response of `size` bytes; None leaves compression to the server."""
    return pb.ResponseParameters(size=size, compressed=flag(compressed))


def flag(value: bool | None) -> pb.BoolValue | None:
    return None if value is None else pb.BoolValue(value=value)
