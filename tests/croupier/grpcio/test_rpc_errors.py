import grpc
import pytest

from croupier import errors
from croupier.grpcio.rpc_errors import from_rpc_error
from croupier.transport.status import DETAILS_KEY, from_error


def failed(code, message, *metadata):
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*metadata), message)


def test_details_are_read_from_the_metadata():
    status = from_error(errors.InvalidRequest("wrong shape", field="row", reason="WRONG_SHAPE"))
    call = failed(
        grpc.StatusCode.INVALID_ARGUMENT,
        "wrong shape",
        ("other-bin", b"\x00"),
        (DETAILS_KEY, status.details),
    )
    found = from_rpc_error(call)
    assert type(found) is errors.InvalidRequest
    assert (found.message, found.field, found.reason) == ("wrong shape", "row", "WRONG_SHAPE")
    assert found.__cause__ is call


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (grpc.StatusCode.UNIMPLEMENTED, errors.Unimplemented),
        (grpc.StatusCode.CANCELLED, errors.Cancelled),
        (grpc.StatusCode.UNKNOWN, errors.InternalError),
        (grpc.StatusCode.OUT_OF_RANGE, errors.InternalError),
    ],
)
def test_a_status_without_details(code, kind):
    assert type(from_rpc_error(failed(code, "no"))) is kind


def test_details_that_are_garbage_are_passed_over():
    found = from_rpc_error(failed(grpc.StatusCode.NOT_FOUND, "no", (DETAILS_KEY, b"\xff\xff")))
    assert type(found) is errors.NotFound


def test_grpcio_refuses_a_message_by_its_size():
    text = "SERVER: Received message larger than max (20 vs. 10)"
    assert type(from_rpc_error(failed(grpc.StatusCode.RESOURCE_EXHAUSTED, text))) is errors.TooLarge
