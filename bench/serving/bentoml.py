"""BentoML's gRPC server for a legacy service (`servers/bento_service`): services since 1.2 have HTTP alone.

A model has an API of its own, for then a request is one array of numbers and no more, which is the cheapest
that its protocol (bentoml.grpc.v1) has. What is needed of that protocol is described here: its generated code
wants an older protobuf than ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from bench.engine_models import Array
from bench.serving.foreign import SERVERS, Foreign
from bench.serving.models import Models
from bench.serving.peer import Headers, Wire

_PROTOCOL = """
name: "bench/serving/bentoml.proto" package: "bentoml.grpc.v1" syntax: "proto3"
message_type {
  name: "NDArray"
  field { name: "dtype" number: 1 type: TYPE_INT32 label: LABEL_OPTIONAL }
  field { name: "shape" number: 2 type: TYPE_INT32 label: LABEL_REPEATED }
  field { name: "float_values" number: 3 type: TYPE_FLOAT label: LABEL_REPEATED }
  field { name: "double_values" number: 4 type: TYPE_DOUBLE label: LABEL_REPEATED }
}
message_type {
  name: "Request"
  field { name: "api_name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field {
    name: "ndarray" number: 3 type: TYPE_MESSAGE type_name: ".bentoml.grpc.v1.NDArray" label: LABEL_OPTIONAL
  }
}
message_type {
  name: "Response"
  field {
    name: "ndarray" number: 1 type: TYPE_MESSAGE type_name: ".bentoml.grpc.v1.NDArray" label: LABEL_OPTIONAL
  }
}
"""
_FLOAT = 1
_CONFIGURATION = """\
version: 1
api_server:
  logging: {access: {enabled: false}}
  metrics: {enabled: false}
"""


def _message(name: str) -> Any:
    described = text_format.Parse(_PROTOCOL, descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{described.package}.{name}"))


_Request, _Response = _message("Request"), _message("Response")


class BentoMl(Foreign):
    """`configuration` is the text of its file, YAML."""

    home = "bentoml"
    tells = ("bentoml", "grpcio", "protobuf", "uvloop", "lightgbm")
    # Each model's API is there from the start.
    grows = False

    def __init__(self, name: str, settings: str, configuration: str) -> None:
        self.name = name
        self.settings = settings
        self._configuration = configuration

    def argv(self, models: Models, home: Path, port: int, count: int) -> Sequence[str]:
        file = home / "bentoml.yaml"
        file.write_text(self._configuration)
        return self.alone(
            *("-m", "bentoml", "serve-grpc", "bento_service:svc", "--working-dir", str(SERVERS)),
            *("--host", "127.0.0.1", "--port", str(port), "--api-workers", "1"),
            BENTOML_CONFIG=str(file),
            BENTOML_HOME=str(home / "bentoml"),
            BENTOML_DO_NOT_TRACK="True",
            TMPDIR=str(home),
            FORESTS=str(models.lightgbm(count)),
            FORESTS_COUNT=str(count),
            OMP_NUM_THREADS="1",
        )

    def wire(self, models: Models) -> Wire:
        return BentoWire()


class BentoWire:
    path = "/bentoml.grpc.v1.BentoService/Call"

    def message(self, number: int, row: Array) -> bytes:
        asked = {"dtype": _FLOAT, "shape": [len(row)], "float_values": row.tolist()}
        message: bytes = _Request(api_name=f"m{number}", ndarray=asked).SerializeToString()
        return message

    def headers(self, number: int) -> Headers:
        return ()

    def prediction(self, answer: bytes) -> float:
        array = _Response.FromString(answer).ndarray
        values = array.float_values or array.double_values
        if not values:
            raise ValueError("the answer has no numbers")
        return float(values[-1])


PEER = BentoMl(
    "bentoml",
    "one worker, uvloop, no access log, no metrics, an API a model, C FastPredict, num_threads=1",
    _CONFIGURATION,
)
TRIED = (BentoMl("bentoml-defaults", "its defaults: access log, metrics", "version: 1\n"),)
