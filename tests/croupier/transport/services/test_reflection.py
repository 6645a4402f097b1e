"""Server reflection, with grpcio's own answers as the referee."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_reflection.v1alpha import _async, reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from croupier.errors import InvalidRequest
from croupier.grpcio.channels import open_async
from croupier.transport.services.reflection import SERVICES, Reflection
from croupier.transport.serving import Server
from protos.inference.v2 import inference_pb2  # noqa: F401 - loads the descriptors
from protos.prediction.v1 import prediction_pb2  # noqa: F401
from protos.versions.v1 import versions_pb2  # noqa: F401

PREDICTION, INFERENCE = "croupier.prediction.v1.PredictionService", "inference.GRPCInferenceService"
LISTED = [PREDICTION, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection", INFERENCE]
Request, Response = reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse

EXTENSIONS = descriptor_pb2.FileDescriptorProto(
    name="tests/reflection_extensions.proto",
    package="tests.reflection",
    dependency=["google/protobuf/descriptor.proto"],
    extension=[
        descriptor_pb2.FieldDescriptorProto(
            name=f"option_{number}",
            number=number,
            label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
            type=descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
            extendee=".google.protobuf.ServiceOptions",
        )
        for number in (70_003, 70_001)
    ],
)
descriptor_pool.Default().Add(EXTENSIONS)  # type: ignore[no-untyped-call]


def extension(containing_type: str, number: int) -> Any:
    asked = reflection_pb2.ExtensionRequest(containing_type=containing_type, extension_number=number)
    return Request(file_containing_extension=asked)


REQUESTS = {
    "services": Request(list_services=""),
    "a file": Request(file_by_filename="protos/prediction/v1/prediction.proto"),
    "a file that imports": Request(file_by_filename="protos/versions/v1/versions.proto"),
    "a service": Request(file_containing_symbol=PREDICTION),
    "a message": Request(file_containing_symbol="inference.ModelInferRequest"),
    "a nested message": Request(file_containing_symbol="inference.ModelInferRequest.InferInputTensor"),
    "a field": Request(file_containing_symbol="inference.ModelInferRequest.id"),
    "an extension's file": extension("google.protobuf.ServiceOptions", 70_001),
    "extension numbers": Request(all_extension_numbers_of_type="google.protobuf.ServiceOptions"),
    "no extension numbers": Request(all_extension_numbers_of_type="inference.ModelInferRequest"),
    "no such file": Request(file_by_filename="no/such.proto"),
    "no such symbol": Request(file_containing_symbol="no.Such"),
    "an empty symbol": Request(file_containing_symbol=""),
    "a type of no such extension": extension("google.protobuf.ServiceOptions", 9),
    "an extension of no such type": extension("no.Such", 9),
    "extension numbers of no such type": Request(all_extension_numbers_of_type="no.Such"),
    "nothing": Request(),
}


class Registry:
    """Keeps what is registered instead of serving it."""

    def __init__(self, reflection: Reflection) -> None:
        self.stream: dict[str, Callable[..., Any]] = {}
        reflection.add_to(self)  # type: ignore[arg-type]

    def add_stream(self, path: str, handler: Callable[..., Any], **bounds: int) -> None:
        self.stream[path] = handler


async def messages(*given: bytes) -> AsyncIterator[bytes]:
    for message in given:
        yield message


async def requests() -> AsyncIterator[Any]:
    for request in REQUESTS.values():
        yield request


@pytest.mark.parametrize("service", SERVICES)
async def test_the_answers_are_grpcios(service: str) -> None:
    handler = Registry(Reflection([PREDICTION, INFERENCE])).stream[f"/{service}/ServerReflectionInfo"]
    given = [request.SerializeToString() for request in REQUESTS.values()]
    ours = [Response.FromString(answer) async for answer in handler(messages(*given), None)]
    referee: Any = _async.ReflectionServicer(LISTED)
    theirs = [answer async for answer in referee.ServerReflectionInfo(requests(), None)]
    for name, our, their in zip(REQUESTS, ours, theirs, strict=True):
        if our.HasField("error_response"):
            # The text of an error is ours.
            our.error_response.error_message = their.error_response.error_message
        assert our == their, name


async def test_the_host_comes_back() -> None:
    handler = Registry(Reflection([])).stream[f"/{SERVICES[0]}/ServerReflectionInfo"]
    request = Request(host="here", list_services="")
    (answer,) = [a async for a in handler(messages(request.SerializeToString()), None)]
    assert Response.FromString(answer).valid_host == "here"
    assert Response.FromString(answer).original_request == request


async def test_an_undecodable_request() -> None:
    handler = Registry(Reflection([])).stream[f"/{SERVICES[0]}/ServerReflectionInfo"]
    with pytest.raises(InvalidRequest):
        await anext(handler(messages(b"\xff"), None))


@pytest.fixture
async def address() -> AsyncIterator[str]:
    server = Server()
    yield await server.start("127.0.0.1:0", [PREDICTION, INFERENCE])
    await server.stop(0)


@pytest.mark.parametrize("service", SERVICES)
async def test_grpcios_client(address: str, service: str) -> None:
    async with open_async(address) as channel:
        method = channel.stream_stream(
            f"/{service}/ServerReflectionInfo", Request.SerializeToString, Response.FromString
        )
        call: Any = method(iter(REQUESTS.values()), timeout=5)
        answers = [answer async for answer in call]
    assert len(answers) == len(REQUESTS)
    assert [s.name for s in answers[0].list_services_response.service] == LISTED


async def test_everything_that_is_listed_can_be_described(address: str) -> None:
    def describe() -> dict[str, list[str]]:
        with grpc.insecure_channel(address) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)  # type: ignore[no-untyped-call]
            pool = descriptor_pool.DescriptorPool(database)  # type: ignore[no-untyped-call]
            found = [pool.FindServiceByName(name) for name in database.get_services()]
            return {service.full_name: [method.name for method in service.methods] for service in found}

    described = await asyncio.to_thread(describe)
    assert set(described) == set(LISTED)
    assert "ModelInfer" in described[INFERENCE]
