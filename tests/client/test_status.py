"""What a server's status becomes, compared with what it becomes inside a fleet."""

import math

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier import errors as served
from croupier.items import item_status
from croupier.transport import status as fleet
from croupier_client import errors
from croupier_client.messages import prediction as pb
from croupier_client.messages import status as status_pb
from croupier_client.status import from_item, from_rpc_error

RAISED = [
    served.InvalidRequest("wrong shape", field="row", reason="WRONG_SHAPE"),
    served.QuotaExceeded("too many", retry_after=2.5, subject="acme"),
    served.TooLarge("too many bytes"),
    served.Unavailable("overload", retry_after=0.25),
    *(
        getattr(served, name)("no", reason="SPECIAL")
        for name in ("NotFound", "FailedPrecondition", "DataLoss")
    ),
    *(getattr(served, name)("no") for name in ("Unauthenticated", "PermissionDenied", "DeadlineExceeded")),
    *(getattr(served, name)("no") for name in ("Cancelled", "Unimplemented", "InternalError", "Conflict")),
    served.AlreadyExists("no", version="3"),
]


def failed(code, message, *metadata):
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*metadata), message)


def facts(error):
    """All that an error says; the two trees have classes of the same names."""
    return type(error).__name__, str(error), vars(error)


def with_details(code, message, details):
    number = next(one for one in grpc.StatusCode if one.value[0] == code)
    return from_rpc_error(failed(number, message, ("other-bin", b"\0"), (fleet.DETAILS_KEY, details)))


@pytest.mark.parametrize("raised", RAISED, ids=lambda error: type(error).__name__)
def test_a_call_fails_with_what_the_server_raised(raised):
    sent = fleet.from_error(raised)
    found = with_details(sent.code, sent.message, sent.details)
    assert facts(found) == facts(raised)
    assert isinstance(found.__cause__, grpc.aio.AioRpcError)


@pytest.mark.parametrize("raised", RAISED, ids=lambda error: type(error).__name__)
def test_an_item_fails_with_what_the_server_raised(raised):
    sent = pb.Status.FromString(item_status(raised).SerializeToString())
    found = from_item(sent)
    assert (type(found).__name__, found.message, found.reason) == (
        type(raised).__name__,
        raised.message,
        raised.reason,
    )
    assert getattr(found, "retry_after", None) == getattr(raised, "retry_after", None)


@pytest.mark.parametrize("code", grpc.StatusCode)
def test_a_status_without_details(code):
    found = from_rpc_error(failed(code, "no"))
    assert facts(found) == facts(fleet.to_error(code.value[0], "no"))


def test_a_code_that_is_no_grpc_status_is_an_error_of_the_server():
    assert type(from_item(pb.Status(code=99, message="no"))) is errors.InternalError


DETAILS = st.one_of(
    st.builds(lambda reason: status_pb.ErrorInfo(reason=reason, metadata={"a": "b"}), st.text(max_size=9)),
    st.builds(
        lambda field: status_pb.BadRequest(field_violations=[{"field": field}] if field else []),
        st.text(max_size=9),
    ),
    st.builds(
        lambda seconds, nanos: status_pb.RetryInfo(retry_delay={"seconds": seconds, "nanos": nanos}),
        st.integers(0, 10**6),
        st.integers(0, 999_999_999),
    ),
)


@given(
    st.sampled_from([code.value[0] for code in grpc.StatusCode]),
    st.lists(st.tuples(DETAILS, st.booleans(), st.integers(0, 3)), max_size=4),
)
def test_details_are_read_as_a_fleet_reads_them_however_they_are_garbled(code, details):
    packed = status_pb.Status(code=code)
    for detail, is_known, cut in details:
        data = detail.SerializeToString()
        packed.details.add(
            type_url="type.googleapis.com/google.rpc." + (detail.DESCRIPTOR.name if is_known else "Other"),
            value=data[: len(data) - cut],
        )
    sent = packed.SerializeToString()
    assert facts(with_details(code, "no", sent)) == facts(fleet.to_error(code, "no", sent))


@given(st.binary(max_size=40))
def test_garbage_for_details(data):
    assert facts(with_details(5, "no", data)) == facts(fleet.to_error(5, "no", data))


def test_an_error_says_what_its_request_is_called():
    sent = fleet.from_error(served.NotFound("no"))
    assert with_details(sent.code, sent.message, sent.details).request_id == ""
    named = sent.details + fleet.request_info("mine-7")
    assert with_details(sent.code, sent.message, named).request_id == "mine-7"
    assert from_rpc_error(failed(grpc.StatusCode.NOT_FOUND, "no", ("x-request-id", "r"))).request_id == "r"
    item = pb.Status.FromString(item_status(served.NotFound("no"), "mine-7").SerializeToString())
    assert from_item(item).request_id == "mine-7"


def test_an_error_has_the_token_that_came_with_it():
    found = from_rpc_error(failed(grpc.StatusCode.NOT_FOUND, "no", ("croupier-debug", "abc,def")))
    assert (found.debug, from_item(pb.Status(code=5), "abc").debug, from_item(pb.Status(code=5)).debug) == (
        "abc,def",
        "abc",
        "",
    )


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("1500", 1.5), ("250", 1.0), ("0", 1.0), ("-1", math.inf), ("soon", math.inf), ("", math.inf)],
)
def test_pushback_of_grpc_is_heeded_beside_the_details(told, seconds):
    details = fleet.from_error(served.Unavailable("overload", retry_after=1.0)).details
    metadata = (("grpc-retry-pushback-ms", told), (fleet.DETAILS_KEY, details))
    found = from_rpc_error(failed(grpc.StatusCode.UNAVAILABLE, "overload", *metadata))
    assert found.retry_after == seconds


def test_pushback_says_nothing_of_what_is_not_tried_again():
    metadata = ("grpc-retry-pushback-ms", "10")
    assert type(from_rpc_error(failed(grpc.StatusCode.NOT_FOUND, "no", metadata))) is errors.NotFound
