"""Every error that Croupier raises on purpose.

    CroupierError
    ├── InvalidRequest        the caller's: mend the request            (names.InvalidName, …)
    ├── Unauthenticated       the caller's: no valid credential
    ├── PermissionDenied      the caller's: a valid credential, another tenant's thing
    ├── NotFound              the caller's: no such model, version, label, cell
    ├── FailedPrecondition    the operator's: it exists and cannot serve now; trying again is no use
    ├── AlreadyExists         the operator's: an immutable thing stands there already
    ├── Conflict              the operator's: written against a stale number; read again
    ├── DataLoss              the operator's: bytes that do not match their digest
    ├── TooLarge              the caller's: a message over the limit
    ├── QuotaExceeded         the tenant's: over its own limit; try again after `retry_after`
    ├── Unavailable           ours, passing: overload, drain, a lost connection; try again
    ├── DeadlineExceeded      the caller's deadline passed
    ├── Cancelled             the caller hung up
    ├── Unimplemented         the caller's: no such method here
    └── InternalError         ours: a bug, or a failure that trying again will not mend

Code raises the class that says whose fault it is; a server maps classes to gRPC status once
(`croupier.transport.status`). Small subclasses stand beside the code that raises them.
"""

from __future__ import annotations

from typing import Self


class CroupierError(Exception):
    """Base of the tree. `reason` is a word for programs, the message a sentence for people."""

    reason = ""
    # What the request was called by whoever answered it with this; "" where that is not known.
    request_id = ""

    def __init__(self, message: str, *, reason: str = "", **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.reason
        self.metadata = metadata

    def without_frames(self) -> Self:
        """To be kept: its frames know who keeps it, and only the collector would free them together."""
        return self.with_traceback(None)


def to_keep(error: Exception) -> Exception:
    """`error` without its frames, unless it is a bug of ours, of which the log has to tell where it is."""
    return error.without_frames() if isinstance(error, CroupierError) else error


class InvalidRequest(CroupierError):
    """`field` names the part of the request that is wrong."""

    reason = "INVALID_REQUEST"

    def __init__(self, message: str, *, field: str = "", reason: str = "", **metadata: str) -> None:
        super().__init__(message, reason=reason, **metadata)
        self.field = field


class Unauthenticated(CroupierError):
    reason = "UNAUTHENTICATED"


class PermissionDenied(CroupierError):
    reason = "PERMISSION_DENIED"


class NotFound(CroupierError):
    reason = "NOT_FOUND"


class FailedPrecondition(CroupierError):
    reason = "FAILED_PRECONDITION"


class AlreadyExists(CroupierError):
    reason = "ALREADY_EXISTS"


class Conflict(CroupierError):
    reason = "CONFLICT"


class DataLoss(CroupierError):
    reason = "DATA_LOSS"


class TooLarge(CroupierError):
    reason = "TOO_LARGE"


class _TryAgain(CroupierError):
    """`retry_after`: seconds after which trying again makes sense; 0 when nothing is known."""

    def __init__(self, message: str, *, retry_after: float = 0.0, reason: str = "", **metadata: str) -> None:
        super().__init__(message, reason=reason, **metadata)
        self.retry_after = retry_after


class QuotaExceeded(_TryAgain):
    reason = "QUOTA_EXCEEDED"


class Unavailable(_TryAgain):
    reason = "UNAVAILABLE"


class DeadlineExceeded(CroupierError):
    reason = "DEADLINE_EXCEEDED"


class Cancelled(CroupierError):
    reason = "CANCELLED"


class Unimplemented(CroupierError):
    reason = "UNIMPLEMENTED"


class InternalError(CroupierError):
    reason = "INTERNAL"
