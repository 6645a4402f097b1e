"""What goes over the wire, as text: every field's number, label, type and oneof, every enum and method.

`python tests/support/wire.py`, run from the repository's root, records an intended addition in
tests/protos/wire.json. A line that changes or goes away breaks peers of another version.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor

ROOT = Path(__file__).parents[2]

_TYPES = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower()
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
}


def proto_files() -> list[Path]:
    """Every .proto of the repository, relative to its root."""
    return sorted(path.relative_to(ROOT) for path in (ROOT / "protos").rglob("*.proto"))


def load(path: Path) -> FileDescriptor:
    """The descriptor that the code generated from `path` registers."""
    module = importlib.import_module(".".join(path.with_suffix("").parts) + "_pb2")
    descriptor: FileDescriptor = module.DESCRIPTOR
    return descriptor


def describe() -> dict[str, dict[str, Any]]:
    """By .proto: full message, enum and service names with what they hold."""
    return {str(path): _describe_file(load(path)) for path in proto_files()}


def _describe_file(file: FileDescriptor) -> dict[str, Any]:
    messages = [m for top in file.message_types_by_name.values() for m in _nested(top)]
    enums = [*file.enum_types_by_name.values(), *(e for m in messages for e in m.enum_types)]
    return {
        "package": file.package,
        "services": {
            service.full_name: {
                method.name: f"{_stream(method.client_streaming)}{method.input_type.full_name} -> "
                f"{_stream(method.server_streaming)}{method.output_type.full_name}"
                for method in service.methods
            }
            for service in file.services_by_name.values()
        },
        "enums": {enum.full_name: _values(enum) for enum in enums},
        "messages": {message.full_name: _fields(message) for message in messages},
    }


def _nested(message: Descriptor) -> Iterator[Descriptor]:
    yield message
    for inner in message.nested_types:
        yield from _nested(inner)


def _stream(streams: bool) -> str:
    return "stream " if streams else ""


def _values(enum: EnumDescriptor) -> dict[str, str]:
    return {str(value.number): value.name for value in enum.values}


def _fields(message: Descriptor) -> dict[str, str]:
    return {
        str(field.number): _field(field) for field in sorted(message.fields, key=lambda field: field.number)
    }


def _field(field: FieldDescriptor) -> str:
    kind = field.message_type or field.enum_type
    label = "repeated " if field.is_repeated else ""
    oneof = f" in {field.containing_oneof.name}" if field.containing_oneof else ""
    return f"{label}{kind.full_name if kind else _TYPES[field.type]} {field.name}{oneof}"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    (ROOT / "tests/protos/wire.json").write_text(json.dumps(describe(), indent=2) + "\n")
