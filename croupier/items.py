"""Errors to the status of one item of the prediction API, and back; those of calls are `transport.status`."""

from __future__ import annotations

from croupier import errors
from croupier.request_ids import read
from croupier.transport.status import cut_text, error_of, from_error
from protos.prediction.v1 import prediction_pb2


def item_status(error: BaseException, request_id: str = "") -> prediction_pb2.Status:
    """What tells a caller of `error`; a foreign exception's text stays inside."""
    status = from_error(error)
    return prediction_pb2.Status(
        code=status.code,
        message=cut_text(status.message),
        reason=status.reason,
        retry_after_ms=round(status.retry_after * 1000),
        request_id=request_id,
    )


def item_error(status: prediction_pb2.Status) -> errors.CroupierError:
    """The error that an item's status stands for; an unknown code becomes InternalError."""
    retry_after = status.retry_after_ms / 1000
    error = error_of(status.code, status.message, reason=status.reason, retry_after=retry_after)
    if request_id := read([status.request_id.encode()]):
        error.request_id = request_id
    return error
