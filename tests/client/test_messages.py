"""The SDK's messages are those of the .proto files, and it has every method and every message of them."""

import pytest

from croupier_client.messages import features, prediction, status
from croupier_client.stub import Stub
from protos.features.v1 import features_pb2
from protos.prediction.v1 import prediction_pb2
from protos.status.v1 import status_pb2

FILES = pytest.mark.parametrize(
    ("ours", "generated"), [(features, features_pb2), (prediction, prediction_pb2), (status, status_pb2)]
)


@FILES
def test_every_message_has_a_class(ours, generated):
    named = {name for name, value in vars(ours).items() if hasattr(value, "DESCRIPTOR")}
    assert named == set(generated.DESCRIPTOR.message_types_by_name)


@FILES
def test_a_class_has_the_fields_of_the_file(ours, generated):
    for name, descriptor in generated.DESCRIPTOR.message_types_by_name.items():
        held = getattr(ours, name).DESCRIPTOR
        assert [(field.number, field.name, field.type) for field in held.fields] == [
            (field.number, field.name, field.type) for field in descriptor.fields
        ]
        assert held.full_name == descriptor.full_name
        assert held.file.pool is not descriptor.file.pool


class Channel:
    """Notes which methods are asked for."""

    def __init__(self):
        self.methods = {}

    def unary_unary(self, path, **functions):
        self.methods[path] = (False, False, functions)

    def stream_unary(self, path, **functions):
        self.methods[path] = (True, False, functions)

    def stream_stream(self, path, **functions):
        self.methods[path] = (True, True, functions)


def test_the_stub_has_every_method():
    channel = Channel()
    Stub(channel)
    described = [
        (messages, service)
        for messages, generated in ((prediction, prediction_pb2), (features, features_pb2))
        for service in generated.DESCRIPTOR.services_by_name.values()
    ]
    assert len(channel.methods) == sum(len(service.methods) for _, service in described)
    for messages, service in described:
        for method in service.methods:
            *streams, functions = channel.methods[f"/{service.full_name}/{method.name}"]
            assert streams == [method.client_streaming, method.server_streaming]
            asked, answered = (
                getattr(messages, kind.name)() for kind in (method.input_type, method.output_type)
            )
            assert functions["request_serializer"](asked) == b""
            assert functions["response_deserializer"](b"") == answered
