"""Whether an ONNX model reads files beside itself.

A tensor may say that its data lies in another file, or even at an address in memory, and ONNX
Runtime looks for such files in the working folder of the process when the model came as bytes
(CVE-2022-25882, CVE-2024-27318, CVE-2025-51480 are about the paths). A packed artifact is whole,
so any such tensor is refused before the runtime sees it.

The `onnx` package is no dependency of a cell. Here is the path to every tensor of a model, with
the field numbers of onnx.proto, in a descriptor pool of its own: protobuf's parser skips the rest.
A model that does not contain the word "location" anywhere, as nearly all, is not even parsed,
since the runtime accepts no external tensor without that key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

_Field = descriptor_pb2.FieldDescriptorProto
_EXTERNAL = 1

# Message: fields as (name, number, message type or None for an int32).
_SHAPE: dict[str, list[tuple[str, int, str | None]]] = {
    "Model": [("graph", 7, "Graph"), ("training", 20, "Training"), ("functions", 25, "Function")],
    "Training": [("initialization", 1, "Graph"), ("algorithm", 2, "Graph")],
    "Function": [("nodes", 7, "Node"), ("defaults", 11, "Attribute")],
    "Graph": [("nodes", 1, "Node"), ("initializers", 5, "Tensor"), ("sparse", 15, "Sparse")],
    "Node": [("attributes", 5, "Attribute")],
    "Attribute": [
        ("tensor", 5, "Tensor"),
        ("graph", 6, "Graph"),
        ("tensors", 10, "Tensor"),
        ("graphs", 11, "Graph"),
        ("one_sparse", 22, "Sparse"),
        ("sparse", 23, "Sparse"),
    ],
    "Sparse": [("values", 1, "Tensor"), ("indices", 2, "Tensor")],
    "Tensor": [("external", 13, "Entry"), ("data_location", 14, None)],
    "Entry": [],
}


def reads_other_files(model: bytes) -> bool:
    """Whether any tensor of the model, in any graph of it, has its data elsewhere.

    Raises:
        DecodeError: the bytes are no ONNX model, or one nested too deeply to be checked.
    """
    if b"location" not in model:
        return False
    return any(
        tensor.external or tensor.data_location == _EXTERNAL for tensor in _tensors(_Model.FromString(model))
    )


def _tensors(message: Any) -> Iterator[Any]:
    if message.DESCRIPTOR.name == "Tensor":
        yield message
        return
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for child in value:
                yield from _tensors(child)


def _model_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="graph.proto", package="graph", syntax="proto2")
    for name, fields in _SHAPE.items():
        message = file.message_type.add(name=name)
        for field_name, number, child in fields:
            # A single field may be sent in pieces, which the runtime merges; all pieces count here.
            field = message.field.add(name=field_name, number=number, label=_Field.LABEL_REPEATED)
            field.type = _Field.TYPE_INT32 if child is None else _Field.TYPE_MESSAGE
            if child is not None:
                field.type_name = f".graph.{child}"
            else:
                field.label = _Field.LABEL_OPTIONAL
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("graph.Model"))


_Model = _model_class()

__all__ = ["DecodeError", "reads_other_files"]
