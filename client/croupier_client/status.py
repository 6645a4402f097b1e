"""A failed call, or an item's status, as a class of `errors`.

Details travel as `google.rpc.Status` in the trailing metadata `grpc-status-details-bin`. A code or a detail
that this release does not know is no failure of its own: the error says what can be read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Union

import grpc
from google.protobuf.message import DecodeError, Message

from croupier_client import errors
from croupier_client.messages import prediction as pb
from croupier_client.messages import status as status_pb

_DETAILS_KEY = "grpc-status-details-bin"
_REQUEST_ID_KEY = "x-request-id"
DEBUG_KEY = "croupier-debug"
# Of gRPC's retries (gRFC A6): milliseconds to wait, or not to try again.
_PUSHBACK_KEY = "grpc-retry-pushback-ms"
_TYPE_URL = "type.googleapis.com/google.rpc."
_Metadata = Iterable[tuple[str, Union[str, bytes]]]
_CLASSES: dict[int, type[errors.CroupierError]] = {
    cls.code: cls
    for cls in (
        errors.Cancelled,
        errors.InvalidRequest,
        errors.DeadlineExceeded,
        errors.NotFound,
        errors.AlreadyExists,
        errors.PermissionDenied,
        errors.QuotaExceeded,
        errors.FailedPrecondition,
        errors.Conflict,
        errors.Unimplemented,
        errors.InternalError,
        errors.Unavailable,
        errors.DataLoss,
        errors.Unauthenticated,
    )
}


def from_rpc_error(error: grpc.aio.AioRpcError | grpc.RpcError) -> errors.CroupierError:
    """The error that a failed call's status stands for, with the call as its cause."""
    details, request_id, pushback = b"", "", 0.0
    metadata: _Metadata = error.trailing_metadata() or ()  # type: ignore[assignment]
    for key, value in metadata:
        if key == _DETAILS_KEY and isinstance(value, bytes):
            details = value
        elif key == _REQUEST_ID_KEY and isinstance(value, str):
            request_id = value
        elif key == _PUSHBACK_KEY:
            pushback = _seconds(value)
    found = _with_details(error.code().value[0], error.details() or "", details)
    _name(found, found.request_id or request_id, debug_of(metadata))
    if isinstance(found, (errors.QuotaExceeded, errors.Unavailable)):
        found.retry_after = max(found.retry_after, pushback)
    found.__cause__ = error
    return found


def _seconds(pushback: str | bytes) -> float:
    """How long not to try again: for ever, if it is below 0 or not a number."""
    return int(pushback) / 1e3 if pushback.isdigit() else math.inf


def debug_of(metadata: _Metadata | None) -> str:
    """What trailing metadata say to who asked which cells answered."""
    return next((str(value) for key, value in metadata or () if key == DEBUG_KEY), "")


def from_item(status: pb.Status, debug: str = "") -> errors.CroupierError:
    """The error that the status of one item stands for."""
    error = _error(status.code, status.message, status.reason, retry_after=status.retry_after_ms / 1e3)
    _name(error, status.request_id, debug)
    return error


def _name(error: errors.CroupierError, request_id: str, debug: str = "") -> None:
    if request_id:
        error.request_id = request_id
    if debug:
        error.debug = debug


def _with_details(code: int, message: str, details: bytes) -> errors.CroupierError:
    info, bad_request, retry = status_pb.ErrorInfo(), status_pb.BadRequest(), status_pb.RetryInfo()
    request = status_pb.RequestInfo()
    for packed in _unpack(details):
        for detail in (info, bad_request, retry, request):
            if packed.type_url == _TYPE_URL + detail.DESCRIPTOR.name:
                _merge(detail, packed.value)
    violations = bad_request.field_violations
    error = _error(
        code,
        message,
        info.reason,
        field=violations[0].field if violations else "",
        retry_after=retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9,
    )
    error.metadata = dict(info.metadata)
    _name(error, request.request_id)
    return error


def _error(
    code: int, message: str, reason: str, *, field: str = "", retry_after: float = 0.0
) -> errors.CroupierError:
    cls = _CLASSES.get(code, errors.InternalError)
    # Without a reason it is grpcio that refused the size of a message or of the metadata.
    if cls is errors.QuotaExceeded and reason in {"", errors.TooLarge.reason}:
        cls = errors.TooLarge
    extra: dict[str, Any] = {}
    if issubclass(cls, errors.InvalidRequest):
        extra["field"] = field
    if issubclass(cls, (errors.QuotaExceeded, errors.Unavailable)):
        extra["retry_after"] = retry_after
    return cls(message, reason=reason, **extra)


def _unpack(details: bytes) -> list[Any]:
    try:
        return list(status_pb.Status.FromString(details).details)
    except DecodeError:
        return []


def _merge(detail: Message, value: bytes) -> None:
    try:
        detail.MergeFromString(value)
    except DecodeError:
        detail.Clear()
