"""Every error that the SDK raises.

CroupierError
├── InvalidRequest        yours: mend the request               (InvalidFeatures, SeveralOutputs)
├── Unauthenticated       yours: no valid credential
├── PermissionDenied      yours: a valid credential, another tenant's thing
├── NotFound              yours: no such model, version or label
├── TooLarge              yours: a message over the limit
├── Unimplemented         yours: no such method at this server
├── DeadlineExceeded      `timeout` passed
├── Cancelled             the client was closed under the call
├── QuotaExceeded         the tenant is over its limit: try again after `retry_after`
├── Unavailable           passing: overload, a restart, a lost connection. The SDK has tried again already
├── FailedPrecondition    the operator's: it exists and cannot serve now; trying again is no use
├── AlreadyExists, Conflict, DataLoss    the operator's: no prediction ends so
└── InternalError         the server's: a bug, or a failure that trying again will not mend
"""

from __future__ import annotations


class CroupierError(Exception):
    """Base of the tree. `reason` is a word for programs, the message a sentence for people.

    `code` is the gRPC status code that stands for the class, for services that pass an error on. `request_id`
    is what the request is called in the server's logs; "" for an error that did not come from there.
    `debug` is as in `Prediction`.
    """

    code = 2
    reason = ""
    request_id = ""
    debug = ""

    def __init__(self, message: str, *, reason: str = "", **metadata: str) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.reason
        self.metadata = metadata


class InvalidRequest(CroupierError):
    """`field` names the part of the request that is wrong."""

    code = 3
    reason = "INVALID_REQUEST"

    def __init__(self, message: str, *, field: str = "", reason: str = "", **metadata: str) -> None:
        super().__init__(message, reason=reason, **metadata)
        self.field = field


class Unauthenticated(CroupierError):
    code = 16
    reason = "UNAUTHENTICATED"


class PermissionDenied(CroupierError):
    code = 7
    reason = "PERMISSION_DENIED"


class NotFound(CroupierError):
    code = 5
    reason = "NOT_FOUND"


class FailedPrecondition(CroupierError):
    code = 9
    reason = "FAILED_PRECONDITION"


class AlreadyExists(CroupierError):
    code = 6
    reason = "ALREADY_EXISTS"


class Conflict(CroupierError):
    code = 10
    reason = "CONFLICT"


class DataLoss(CroupierError):
    code = 15
    reason = "DATA_LOSS"


class TooLarge(CroupierError):
    code = 8
    reason = "TOO_LARGE"


class _TryAgain(CroupierError):
    """`retry_after`: seconds after which trying again makes sense; 0: nothing is known, infinity: never."""

    def __init__(self, message: str, *, retry_after: float = 0.0, reason: str = "", **metadata: str) -> None:
        super().__init__(message, reason=reason, **metadata)
        self.retry_after = retry_after


class QuotaExceeded(_TryAgain):
    code = 8
    reason = "QUOTA_EXCEEDED"


class Unavailable(_TryAgain):
    code = 14
    reason = "UNAVAILABLE"


class DeadlineExceeded(CroupierError):
    code = 4
    reason = "DEADLINE_EXCEEDED"


class Cancelled(CroupierError):
    code = 1
    reason = "CANCELLED"


class Unimplemented(CroupierError):
    code = 12
    reason = "UNIMPLEMENTED"


class InternalError(CroupierError):
    code = 13
    reason = "INTERNAL"
