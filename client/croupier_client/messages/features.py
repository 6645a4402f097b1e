"""The messages of `croupier.features.v1`; `features.pyi`, which protoc wrote, has their fields."""

from croupier_client.messages.pool import message

_PACKAGE = "croupier.features.v1"

WriteRequest = message(f"{_PACKAGE}.WriteRequest")
Record = message(f"{_PACKAGE}.Record")
Value = message(f"{_PACKAGE}.Value")
WriteResponse = message(f"{_PACKAGE}.WriteResponse")
Rejected = message(f"{_PACKAGE}.Rejected")
