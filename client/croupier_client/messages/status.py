"""The messages of `croupier.status.v1`; `status.pyi`, which protoc wrote, has their fields."""

from croupier_client.messages.pool import message

_PACKAGE = "croupier.status.v1"

Status = message(f"{_PACKAGE}.Status")
ErrorInfo = message(f"{_PACKAGE}.ErrorInfo")
BadRequest = message(f"{_PACKAGE}.BadRequest")
QuotaFailure = message(f"{_PACKAGE}.QuotaFailure")
RetryInfo = message(f"{_PACKAGE}.RetryInfo")
RequestInfo = message(f"{_PACKAGE}.RequestInfo")
