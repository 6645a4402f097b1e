"""The status of one item: what it says of an error, and which error it stands for."""

import pytest
from google.rpc import error_details_pb2

from croupier.errors import CroupierError, InternalError, InvalidRequest, QuotaExceeded, TooLarge, Unavailable
from croupier.items import item_error, item_status
from croupier.transport.status import MAX_TEXT_BYTES, RpcError
from protos.prediction.v1 import prediction_pb2
from protos.status.v1 import status_pb2


@pytest.mark.parametrize("seconds", [-5, 10_000_000])
def test_a_hostile_retry_time(seconds: int) -> None:
    details = status_pb2.Status(code=14)
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromSeconds(seconds)
    details.details.add().Pack(retry)
    item = item_status(RpcError(14, "busy", details.SerializeToString()))
    assert item.retry_after_ms == (0 if seconds < 0 else 86_400_000)


def test_a_status_of_elsewhere() -> None:
    item = item_status(RpcError(8, "\ud800" + "x" * 1_000))
    assert (item.code, item.reason) == (8, "TOO_LARGE")
    assert len(item.message.encode()) <= MAX_TEXT_BYTES
    assert item_status(RpcError(2, "odd")).message == "odd"


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("busy", reason="LOADING", retry_after=0.25),
        QuotaExceeded("too many", retry_after=1.5),
        QuotaExceeded("too many for this model", reason="MODEL_QUOTA"),
        TooLarge("large"),
        InvalidRequest("wrong shape"),
        InternalError("internal error"),
    ],
)
def test_there_and_back(error: CroupierError) -> None:
    back = item_error(item_status(error, "call-1"))
    assert type(back) is type(error)
    assert back.request_id == "call-1"
    assert (back.message, back.reason) == (error.message, error.reason)
    assert getattr(back, "retry_after", None) == getattr(error, "retry_after", None)


def test_an_unknown_code() -> None:
    assert type(item_error(prediction_pb2.Status(code=99, message="odd"))) is InternalError
