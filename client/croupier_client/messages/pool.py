"""Message classes from descriptors, on every protobuf that the SDK takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf import descriptor_pool, message_factory

from croupier_client.messages.descriptors import FILES

_POOL = descriptor_pool.DescriptorPool()
for _file in FILES:
    _POOL.AddSerializedFile(_file)

# The function came with protobuf 4.22, and the factory went with 5.
_class_of: Callable[[Any], Any] = (
    message_factory.GetMessageClass
    if hasattr(message_factory, "GetMessageClass")
    else message_factory.MessageFactory(_POOL).GetPrototype  # type: ignore[attr-defined]
)


def message(name: str) -> Any:
    """The class of the message that has the full name `name`."""
    return _class_of(_POOL.FindMessageTypeByName(name))
