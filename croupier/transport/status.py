"""Errors to gRPC status and back: the one place where the two meet.

A server calls `from_error` once, at its edge; a client of another Croupier process calls
`to_error`, so that a cell's InvalidRequest is the router's InvalidRequest too. Details travel as
`google.rpc.Status` in the trailing metadata `grpc-status-details-bin`.

A status that is none of our errors, or has to pass through unchanged, is an `RpcError`.

This module knows status codes, not grpcio.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message

from croupier import errors, request_ids
from croupier.codes import Code
from protos.status.v1 import status_pb2

DETAILS_KEY = "grpc-status-details-bin"
DOMAIN = "croupier"
# Texts travel up to three times in trailing metadata, percent-encoded once, and peers refuse more
# than 8 KiB of it: so many bytes of UTF-8 always fit.
MAX_TEXT_BYTES = 512
_LONGEST_RETRY_SECONDS = 86_400.0
_TYPE_URL = "type.googleapis.com/google.rpc."


def _field(tag: bytes, value: bytes) -> bytes:
    """A field of bytes, of less than 2**14."""
    size = len(value)
    return tag + (bytes((size,)) if size < 128 else bytes((size & 127 | 128, size >> 7))) + value


# google.protobuf.Any's type_url = 1; its value = 2 and google.rpc.Status's details = 3 are bytes too.
_REQUEST_INFO_HEAD = _field(b"\x0a", (_TYPE_URL + "RequestInfo").encode())

_CODES: dict[type[errors.CroupierError], Code] = {
    errors.Cancelled: Code.CANCELLED,
    errors.InvalidRequest: Code.INVALID_ARGUMENT,
    errors.DeadlineExceeded: Code.DEADLINE_EXCEEDED,
    errors.NotFound: Code.NOT_FOUND,
    errors.AlreadyExists: Code.ALREADY_EXISTS,
    errors.PermissionDenied: Code.PERMISSION_DENIED,
    errors.QuotaExceeded: Code.RESOURCE_EXHAUSTED,
    errors.TooLarge: Code.RESOURCE_EXHAUSTED,
    errors.FailedPrecondition: Code.FAILED_PRECONDITION,
    errors.Conflict: Code.ABORTED,
    errors.Unimplemented: Code.UNIMPLEMENTED,
    errors.InternalError: Code.INTERNAL,
    errors.Unavailable: Code.UNAVAILABLE,
    errors.DataLoss: Code.DATA_LOSS,
    errors.Unauthenticated: Code.UNAUTHENTICATED,
}
# grpc/grpc, doc/http-grpc-status-mapping.md
_HTTP_STATUS = {
    400: Code.INTERNAL,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    429: Code.UNAVAILABLE,
    431: Code.INTERNAL,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}
# grpc/grpc, doc/PROTOCOL-HTTP2.md, "Errors"; every code that is not here stands for INTERNAL.
_RESET = {
    0x7: Code.UNAVAILABLE,  # REFUSED_STREAM: the peer did nothing yet
    0x8: Code.CANCELLED,  # CANCEL
    0xB: Code.RESOURCE_EXHAUSTED,  # ENHANCE_YOUR_CALM
    0xC: Code.PERMISSION_DENIED,  # INADEQUATE_SECURITY
}
_CLASSES: dict[int, type[errors.CroupierError]] = {
    code: cls for cls, code in _CODES.items() if cls is not errors.TooLarge
}


class RpcError(errors.CroupierError):
    """Any gRPC status as an exception.

    Our client raises it for every end that is not OK. A server's handler that raises it ends the
    call with exactly this. `details` is a serialized google.rpc.Status, or empty.
    """

    def __init__(
        self,
        code: int,
        message: str = "",
        details: bytes = b"",
        trailing_metadata: tuple[tuple[str, str | bytes], ...] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.details = details
        self.trailing_metadata = trailing_metadata

    def __str__(self) -> str:
        return f"status {self.code}: {self.message}"


@dataclass(frozen=True, slots=True)
class Status:
    """A gRPC status as it goes on the wire; `details` is a serialized google.rpc.Status."""

    code: int
    message: str
    reason: str
    retry_after: float
    details: bytes


def code_of(error: BaseException) -> int:
    """The gRPC status code for `error`; INTERNAL for anything that is not ours."""
    if isinstance(error, RpcError):
        return error.code
    for cls in type(error).__mro__:
        if cls in _CODES:
            return _CODES[cls]
    return Code.INTERNAL


def http_status_code(status: int) -> int:
    """The gRPC status code for an HTTP response that has no grpc-status."""
    return _HTTP_STATUS.get(status, Code.UNKNOWN)


def reset_code(http2_error: int) -> int:
    """The gRPC status code for a stream that the server reset with an HTTP/2 error code."""
    return _RESET.get(http2_error, Code.INTERNAL)


def from_error(error: BaseException) -> Status:
    """The status that tells a caller of `error`; a foreign exception's text stays inside."""
    if isinstance(error, RpcError):
        known = to_error(error.code, error.message, error.details)
        retry_after = min(max(0.0, getattr(known, "retry_after", 0.0)), _LONGEST_RETRY_SECONDS)
        return Status(error.code, error.message, known.reason, retry_after, error.details)
    if not isinstance(error, errors.CroupierError):
        error = errors.InternalError("internal error")
    code, message = code_of(error), cut_text(error.message)
    retry_after = min(getattr(error, "retry_after", 0.0), _LONGEST_RETRY_SECONDS)
    packed = status_pb2.Status(code=code, message=message)
    for detail in _details(error, message, retry_after):
        packed.details.add(type_url=_TYPE_URL + detail.DESCRIPTOR.name, value=detail.SerializeToString())
    return Status(code, message, error.reason, retry_after, packed.SerializeToString())


def _details(error: errors.CroupierError, message: str, retry_after: float) -> list[Message]:
    found: list[Message] = [
        status_pb2.ErrorInfo(
            reason=error.reason,
            domain=DOMAIN,
            metadata={key: cut_text(value) for key, value in error.metadata.items()},
        )
    ]
    if isinstance(error, errors.InvalidRequest):
        violation = status_pb2.BadRequest.FieldViolation(field=cut_text(error.field), description=message)
        found.append(status_pb2.BadRequest(field_violations=[violation]))
    if isinstance(error, errors.QuotaExceeded):
        quota = status_pb2.QuotaFailure.Violation(
            subject=cut_text(error.metadata.get("subject", "")), description=message
        )
        found.append(status_pb2.QuotaFailure(violations=[quota]))
    if retry_after > 0:
        delay = Duration()
        delay.FromNanoseconds(int(retry_after * 1e9))
        found.append(status_pb2.RetryInfo(retry_delay=delay))
    return found


def cut_text(text: str) -> str:
    """`text` as it can travel: valid Unicode, of at most MAX_TEXT_BYTES."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= MAX_TEXT_BYTES:
        return encoded.decode()
    return encoded[: MAX_TEXT_BYTES - 3].decode(errors="ignore") + "…"


def to_error(code: int, message: str, details: bytes = b"") -> errors.CroupierError:
    """The error that a peer's status stands for; an unknown code becomes InternalError."""
    info, bad_request, retry = status_pb2.ErrorInfo(), status_pb2.BadRequest(), status_pb2.RetryInfo()
    request = status_pb2.RequestInfo()
    for packed in _unpack(details):
        for detail in (info, bad_request, retry, request):
            if packed.type_url == _TYPE_URL + detail.DESCRIPTOR.name:
                _merge(detail, packed.value)
    field = bad_request.field_violations[0].field if bad_request.field_violations else ""
    retry_after = retry.retry_delay.ToNanoseconds() / 1e9
    error = error_of(code, message, reason=info.reason, field=field, retry_after=retry_after)
    error.metadata = dict(info.metadata)
    if request_id := request_ids.read([request.request_id.encode()]):
        error.request_id = request_id
    return error


def request_info(request_id: str) -> bytes:
    """A RequestInfo, to stand behind a serialized google.rpc.Status: its details may come in parts.

    So a status that is remembered, since it takes long to make, goes to every request with its own id.
    """
    value = _field(b"\x0a", request_id.encode())
    return _field(b"\x1a", _REQUEST_INFO_HEAD + _field(b"\x12", value))


def error_of(
    code: int, message: str, *, reason: str = "", field: str = "", retry_after: float = 0.0
) -> errors.CroupierError:
    """As `to_error`, of details that are known; what an error of that code does not have is left out."""
    cls = _CLASSES.get(code, errors.InternalError)
    # Without a reason it is grpcio that refused the size of a message or of the metadata.
    if cls is errors.QuotaExceeded and reason in {"", errors.TooLarge.reason}:
        cls = errors.TooLarge
    extra: dict[str, object] = {}
    if issubclass(cls, errors.InvalidRequest):
        extra["field"] = field
    if issubclass(cls, (errors.QuotaExceeded, errors.Unavailable)):
        extra["retry_after"] = retry_after
    return cls(message, reason=reason, **extra)  # type: ignore[arg-type]


def _unpack(details: bytes) -> list[AnyMessage]:
    try:
        return list(status_pb2.Status.FromString(details).details)
    except DecodeError:
        return []


def _merge(detail: Message, value: bytes) -> None:
    try:
        detail.MergeFromString(value)
    except DecodeError:
        detail.Clear()
