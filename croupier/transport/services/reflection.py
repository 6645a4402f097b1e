"""gRPC server reflection, v1 and v1alpha, from protobuf's default descriptor pool.

The two versions differ in their package names only, so v1alpha's messages serve both. A file is answered
with all that it imports, as grpcio does, which spares the client a round trip for each of them.

Of its own services only v1alpha is listed: v1's descriptor is in no package that we depend on, and tools
describe everything that is listed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection_pb2 as pb

from croupier.codes import Code
from croupier.errors import InvalidRequest
from croupier.transport.routes import RouteTable
from croupier.transport.services import health

SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
# Whoever reaches the port may ask: for a name, in one stream or a few.
MAX_REQUEST_BYTES = 4_096
MAX_STREAMS = 8


class Reflection:
    """Tells clients of `services`, by full name, and of every file that this process has loaded."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = sorted({*services, health.SERVICE, SERVICES[1]})
        self._pool: Any = descriptor_pool.Default()
        self._answers: dict[str, Callable[[Any], Any]] = {
            "list_services": self._list_services,
            "file_by_filename": self._file_by_filename,
            "file_containing_symbol": self._file_containing_symbol,
            "file_containing_extension": self._file_containing_extension,
            "all_extension_numbers_of_type": self._all_extension_numbers_of_type,
        }

    def add_to(self, routes: RouteTable) -> None:
        """Serve it by the server of `routes`."""
        for service in SERVICES:
            routes.add_stream(
                f"/{service}/ServerReflectionInfo",
                self._info,
                max_message_bytes=MAX_REQUEST_BYTES,
                max_open=MAX_STREAMS,
            )

    async def _info(self, messages: AsyncIterator[bytes], context: object) -> AsyncIterator[bytes]:
        async for message in messages:
            try:
                request = pb.ServerReflectionRequest.FromString(message)
            except DecodeError as error:
                raise InvalidRequest("a request is not a valid protobuf message") from error
            yield self._answer(request).SerializeToString()

    def _answer(self, request: Any) -> Any:
        kind = request.WhichOneof("message_request")
        if kind is None:
            response = _error(Code.INVALID_ARGUMENT, "the request asks for nothing that is known here")
        else:
            asked = getattr(request, kind)
            try:
                response = self._answers[kind](asked)
            except KeyError:
                response = _error(Code.NOT_FOUND, f"{kind}: not found: {str(asked)[:200]}")
        response.valid_host = request.host
        response.original_request.CopyFrom(request)
        return response

    # Each raises KeyError for what is not there.

    def _list_services(self, _: str) -> Any:
        response = pb.ServerReflectionResponse()
        for name in self._services:
            response.list_services_response.service.add(name=name)
        return response

    def _file_by_filename(self, name: str) -> Any:
        return _files(self._pool.FindFileByName(name))

    def _file_containing_symbol(self, symbol: str) -> Any:
        return _files(self._pool.FindFileContainingSymbol(symbol))

    def _file_containing_extension(self, asked: Any) -> Any:
        extended = self._pool.FindMessageTypeByName(asked.containing_type)
        return _files(self._pool.FindExtensionByNumber(extended, asked.extension_number).file)

    def _all_extension_numbers_of_type(self, name: str) -> Any:
        extensions = self._pool.FindAllExtensions(self._pool.FindMessageTypeByName(name))
        response = pb.ServerReflectionResponse()
        response.all_extension_numbers_response.base_type_name = name
        response.all_extension_numbers_response.extension_number.extend(
            sorted(extension.number for extension in extensions)
        )
        return response


def _files(file: FileDescriptor) -> Any:
    response = pb.ServerReflectionResponse()
    for found in _with_imports(file, {}).values():
        proto = FileDescriptorProto()
        found.CopyToProto(proto)
        response.file_descriptor_response.file_descriptor_proto.append(proto.SerializeToString())
    return response


def _with_imports(file: FileDescriptor, seen: dict[str, FileDescriptor]) -> dict[str, FileDescriptor]:
    """`file` first, then what it imports; imports make no circle."""
    seen[file.name] = file
    for imported in file.dependencies:
        if imported.name not in seen:
            _with_imports(imported, seen)
    return seen


def _error(code: int, message: str) -> Any:
    return pb.ServerReflectionResponse(
        error_response=pb.ErrorResponse(error_code=code, error_message=message)
    )
