"""What goes over the wire is locked: `wire.json` holds every field, enum value and method."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from google.rpc import error_details_pb2, status_pb2
from support.wire import describe, load, proto_files

from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2
from protos.status.v1 import status_pb2 as own_status

LOCKED = json.loads(Path(__file__).with_name("wire.json").read_text())

# What a router writes for the cell, in whatever message names a model; each that a cell did not always know
# has its number in croupier/protocol.py, and goes to those alone that know it.
OURS = {"artifact": 1000, "owner": 1001, "generation": 1003, "priority": 1005, "resident_only": 1006}
# The same of what is scored; `shared` is of items alone.
GIVEN = {"fetched": 1004, "shared": 1007}

# The published numbers of the Open Inference Protocol; the two numeric parameters are Triton's addition.
PUBLISHED = {
    "ServerLiveRequest": {},
    "ServerLiveResponse": {"live": 1},
    "ServerReadyRequest": {},
    "ServerReadyResponse": {"ready": 1},
    "ModelReadyRequest": {"name": 1, "version": 2},
    "ModelReadyResponse": {"ready": 1},
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {"name": 1, "version": 2, "extensions": 3},
    "ModelMetadataRequest": {"name": 1, "version": 2},
    "ModelMetadataResponse": {"name": 1, "versions": 2, "platform": 3, "inputs": 4, "outputs": 5},
    "ModelMetadataResponse.TensorMetadata": {"name": 1, "datatype": 2, "shape": 3},
    "InferParameter": {
        "bool_param": 1,
        "int64_param": 2,
        "string_param": 3,
        "double_param": 4,
        "uint64_param": 5,
    },
    "InferTensorContents": {
        "bool_contents": 1,
        "int_contents": 2,
        "int64_contents": 3,
        "uint_contents": 4,
        "uint64_contents": 5,
        "fp32_contents": 6,
        "fp64_contents": 7,
        "bytes_contents": 8,
    },
    "ModelInferRequest": {
        "model_name": 1,
        "model_version": 2,
        "id": 3,
        "parameters": 4,
        "inputs": 5,
        "outputs": 6,
        "raw_input_contents": 7,
    },
    "ModelInferRequest.InferInputTensor": {
        "name": 1,
        "datatype": 2,
        "shape": 3,
        "parameters": 4,
        "contents": 5,
    },
    "ModelInferRequest.InferRequestedOutputTensor": {"name": 1, "parameters": 2},
    "ModelInferResponse": {
        "model_name": 1,
        "model_version": 2,
        "id": 3,
        "parameters": 4,
        "outputs": 5,
        "raw_output_contents": 6,
    },
    "ModelInferResponse.InferOutputTensor": {
        "name": 1,
        "datatype": 2,
        "shape": 3,
        "parameters": 4,
        "contents": 5,
    },
}


def test_every_proto_is_locked() -> None:
    assert sorted(LOCKED) == [str(path) for path in proto_files()]


@pytest.mark.parametrize("path", proto_files(), ids=str)
def test_the_wire_is_as_locked(path: Path) -> None:
    told = "if it is an addition that you want, record it: python tests/support/wire.py"
    assert LOCKED[str(path)] == describe()[str(path)], told


@pytest.mark.parametrize("path", proto_files(), ids=str)
def test_every_proto_is_proto3(path: Path) -> None:
    file = descriptor_pb2.FileDescriptorProto()
    load(path).CopyToProto(file)
    assert file.syntax == "proto3"


@pytest.mark.parametrize("path", proto_files(), ids=str)
def test_generated_code_is_named_alike_in_every_language(path: Path) -> None:
    """Callers import what these options name. What others publish has none where it comes from."""
    part, version = path.parts[1:3]
    ours = {
        "go_package": f"croupier/protos/{part}/{version};{part}{version}",
        "java_package": f"croupier.{part}.{version}",
        "java_outer_classname": f"{part.capitalize()}Proto",
        "java_multiple_files": True,
    }
    options = {field.name: value for field, value in load(path).GetOptions().ListFields()}
    assert options == ({} if part in {"inference", "etcd"} else ours)


@pytest.mark.parametrize(
    "message",
    [inference_pb2.ModelInferRequest, inference_pb2.ModelMetadataRequest, prediction_pb2.Item],
    ids=lambda message: message.DESCRIPTOR.name,
)
def test_what_the_router_writes_has_the_same_numbers_everywhere(message: type) -> None:
    fields = message.DESCRIPTOR.fields  # type: ignore[attr-defined]
    ours = {field.name: field.number for field in fields if field.number >= 1000}
    given = {name: number for name, number in ours.items() if name in GIVEN}
    assert {name: number for name, number in ours.items() if name not in given} == OURS
    assert given.items() <= GIVEN.items()
    names = {"ModelMetadataRequest": set(), "ModelInferRequest": {"fetched"}, "Item": {"fetched", "shared"}}
    assert given.keys() == names[message.DESCRIPTOR.name]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", PUBLISHED)
def test_inference_numbers_are_the_published_ones(name: str) -> None:
    message = inference_pb2.DESCRIPTOR.message_types_by_name[name.split(".")[0]]
    for inner in name.split(".")[1:]:
        message = message.nested_types_by_name[inner]
    theirs = {
        field.name: field.number
        for field in message.fields
        if field.name not in OURS and field.name not in GIVEN
    }
    assert PUBLISHED[name] == theirs


def test_inference_methods_are_the_published_ones() -> None:
    (service,) = inference_pb2.DESCRIPTOR.services_by_name.values()
    assert service.full_name == "inference.GRPCInferenceService"
    methods = ["ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer"]
    assert methods == [method.name for method in service.methods]
    for method in service.methods:
        assert method.input_type.full_name == f"inference.{method.name}Request"
        assert method.output_type.full_name == f"inference.{method.name}Response"
        assert not method.client_streaming
        assert not method.server_streaming


@pytest.mark.parametrize(
    ("ours", "published"),
    [
        (own_status.Status, status_pb2.Status),
        (own_status.ErrorInfo, error_details_pb2.ErrorInfo),
        (own_status.BadRequest, error_details_pb2.BadRequest),
        (own_status.BadRequest.FieldViolation, error_details_pb2.BadRequest.FieldViolation),
        (own_status.QuotaFailure, error_details_pb2.QuotaFailure),
        (own_status.QuotaFailure.Violation, error_details_pb2.QuotaFailure.Violation),
        (own_status.RetryInfo, error_details_pb2.RetryInfo),
        (own_status.RequestInfo, error_details_pb2.RequestInfo),
    ],
    ids=lambda message: message.DESCRIPTOR.full_name,
)
def test_status_fields_are_googles(ours: type, published: type) -> None:
    theirs = published.DESCRIPTOR.fields_by_name  # type: ignore[attr-defined]
    for field in ours.DESCRIPTOR.fields:  # type: ignore[attr-defined]
        assert (field.number, field.type) == (theirs[field.name].number, theirs[field.name].type)
        assert field.is_repeated == theirs[field.name].is_repeated
