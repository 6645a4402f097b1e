"""Status mapping, with Google's own packages as the referee."""

from __future__ import annotations

import inspect
from typing import TypeVar

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from hypothesis import given
from hypothesis import strategies as st

from croupier import errors
from croupier.errors import CroupierError, InvalidRequest, QuotaExceeded, TooLarge, Unavailable
from croupier.names import InvalidName
from croupier.transport.status import (
    DETAILS_KEY,
    MAX_TEXT_BYTES,
    RpcError,
    code_of,
    from_error,
    http_status_code,
    request_info,
    reset_code,
    to_error,
)

CODES = {
    errors.Cancelled: grpc.StatusCode.CANCELLED,
    errors.InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.QuotaExceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.TooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Conflict: grpc.StatusCode.ABORTED,
    errors.Unimplemented: grpc.StatusCode.UNIMPLEMENTED,
    errors.InternalError: grpc.StatusCode.INTERNAL,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DataLoss: grpc.StatusCode.DATA_LOSS,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
}
M = TypeVar("M", bound=Message)
NUMBERS = {code.value[0]: code for code in grpc.StatusCode}


class FinishedCall:
    """A call as `grpc_status` reads it."""

    def __init__(self, code: int, message: str, details: bytes) -> None:
        self._code, self._message, self._details = NUMBERS[code], message, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._message

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        return ((DETAILS_KEY, self._details),)


def as_google_reads(error: BaseException) -> status_pb2.Status:
    """Also checks, as `grpc_status` does, that code and message agree with the details."""
    status = from_error(error)
    read = rpc_status.from_call(FinishedCall(status.code, status.message, status.details))  # type: ignore[arg-type]
    assert read is not None
    return read


def detail(status: status_pb2.Status, kind: type[M]) -> M | None:
    for packed in status.details:
        found = kind()
        if packed.Unpack(found):
            return found
    return None


def test_every_class_has_its_code() -> None:
    public = {
        cls
        for cls in vars(errors).values()
        if inspect.isclass(cls) and issubclass(cls, CroupierError) and not cls.__name__.startswith("_")
    }
    assert set(CODES) == public - {CroupierError}


@pytest.mark.parametrize("cls", CODES)
def test_codes(cls: type[CroupierError]) -> None:
    assert NUMBERS[code_of(cls("no"))] is CODES[cls]
    read = as_google_reads(cls("no luck", cell="c1"))
    info = detail(read, error_details_pb2.ErrorInfo)
    assert (read.code, read.message) == (CODES[cls].value[0], "no luck")
    assert info is not None
    assert (info.reason, info.domain, dict(info.metadata)) == (cls.reason, "croupier", {"cell": "c1"})


def test_a_subclass_has_its_bases_code_and_comes_back_as_the_base() -> None:
    status = from_error(InvalidName("model is empty", field="model"))
    assert status.code == 3
    back = to_error(status.code, status.message, status.details)
    assert type(back) is InvalidRequest
    assert back.field == "model"


@pytest.mark.parametrize(
    "error", [ValueError("secret"), KeyError("secret"), ExceptionGroup("secret", [ValueError()])]
)
def test_a_foreign_exception_is_internal_and_keeps_its_text_inside(error: Exception) -> None:
    status = from_error(error)
    assert (status.code, status.message) == (13, "internal error")
    assert b"secret" not in status.details


def test_details_of_a_bad_request() -> None:
    found = detail(as_google_reads(InvalidRequest("a is empty", field="a")), error_details_pb2.BadRequest)
    assert found is not None
    (violation,) = found.field_violations
    assert (violation.field, violation.description) == ("a", "a is empty")


def test_details_of_a_quota() -> None:
    read = as_google_reads(QuotaExceeded("too many", retry_after=0.25, subject="tenant:acme"))
    quota = detail(read, error_details_pb2.QuotaFailure)
    retry = detail(read, error_details_pb2.RetryInfo)
    assert quota is not None
    assert retry is not None
    (violation,) = quota.violations
    assert (violation.subject, violation.description) == ("tenant:acme", "too many")
    assert retry.retry_delay.ToMilliseconds() == 250


def test_no_retry_info_when_nothing_is_known() -> None:
    assert detail(as_google_reads(Unavailable("down")), error_details_pb2.RetryInfo) is None


@pytest.mark.parametrize(("seconds", "sent"), [(1e300, 86_400.0), (float("inf"), 86_400.0), (-1.0, 0.0)])
def test_a_retry_time_that_does_not_fit(seconds: float, sent: float) -> None:
    status = from_error(Unavailable("down", retry_after=seconds))
    assert to_error(status.code, status.message, status.details).retry_after == sent  # type: ignore[attr-defined]


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(st.sampled_from(sorted(CODES, key=str)), text, text, st.floats(0, 1000), st.dictionaries(text, text))
def test_there_and_back(
    cls: type[CroupierError], message: str, field: str, seconds: float, metadata: dict[str, str]
) -> None:
    error = cls(message)
    error.metadata = metadata
    for name, value in (("field", field), ("retry_after", seconds)):
        if hasattr(error, name):
            setattr(error, name, value)
    status = from_error(error)
    back = to_error(status.code, status.message, status.details)
    assert type(back) is cls
    assert (back.message, back.reason, back.metadata) == (message, error.reason, metadata)
    assert getattr(back, "field", field) == field
    assert getattr(back, "retry_after", seconds) == pytest.approx(seconds, abs=1e-8)


def test_googles_bytes_are_understood() -> None:
    status = status_pb2.Status(code=14, message="busy")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="DRAIN", metadata={"cell": "c1"}))
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(1_500)
    status.details.add().Pack(retry)
    back = to_error(14, "busy", status.SerializeToString())
    assert isinstance(back, Unavailable)
    assert (back.reason, back.retry_after, back.metadata) == ("DRAIN", 1.5, {"cell": "c1"})


@pytest.mark.parametrize("code", sorted(NUMBERS))
def test_a_bare_status_from_elsewhere(code: int) -> None:
    back = to_error(code, "no")
    assert NUMBERS[code_of(back)] is {
        grpc.StatusCode.OK: grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN: grpc.StatusCode.INTERNAL,
        grpc.StatusCode.OUT_OF_RANGE: grpc.StatusCode.INTERNAL,
    }.get(NUMBERS[code], NUMBERS[code])
    assert back.message == "no"


def test_grpcios_own_resource_exhausted_is_about_size() -> None:
    assert type(to_error(8, "CLIENT: Received message larger than max (5 vs. 4)")) is TooLarge


@given(st.integers(-5, 99), st.binary(max_size=200))
def test_hostile_details_still_make_an_error(code: int, details: bytes) -> None:
    assert isinstance(to_error(code, "no", details), CroupierError)


@given(st.binary(max_size=60))
def test_hostile_details_inside_good_ones(value: bytes) -> None:
    status = status_pb2.Status(code=3)
    for name in ("ErrorInfo", "BadRequest", "RetryInfo"):
        status.details.add(type_url=f"type.googleapis.com/google.rpc.{name}", value=value)
    assert isinstance(to_error(3, "no", status.SerializeToString()), InvalidRequest)


@given(st.text(max_size=2_000), st.text(max_size=2_000))
def test_any_text_travels_in_a_size_that_peers_take(message: str, field: str) -> None:
    status = from_error(InvalidRequest(message, field=field))
    assert len(status.message.encode()) <= MAX_TEXT_BYTES
    base64_of_details = len(status.details) * 4 / 3
    assert len(status.message.encode()) * 3 + base64_of_details < 8 * 1024
    assert to_error(status.code, status.message, status.details).message == status.message


def test_a_long_text_is_cut_where_a_character_ends() -> None:
    message = from_error(InvalidRequest("é" * 1_000)).message
    assert message == "é" * ((MAX_TEXT_BYTES - 3) // 2) + "…"
    assert from_error(InvalidRequest("\ud800 lone")).message == "? lone"


class TestRpcError:
    def test_code_message_and_details_stay_as_they_are(self) -> None:
        error = RpcError(11, "é" * 1_000, b"\xff not a status", (("key", "value"),))
        status = from_error(error)
        assert (status.code, status.message, status.details) == (11, "é" * 1_000, b"\xff not a status")
        assert code_of(error) == 11
        assert isinstance(error, CroupierError)
        assert error.trailing_metadata == (("key", "value"),)
        assert str(RpcError(5, "no such thing")) == "status 5: no such thing"

    def test_what_the_details_say_is_known(self) -> None:
        origin = from_error(Unavailable("busy", retry_after=1.5, reason="DRAIN"))
        status = from_error(RpcError(origin.code, origin.message, origin.details))
        assert status == origin


@pytest.mark.parametrize(
    ("http", "code"),
    [
        (200, grpc.StatusCode.UNKNOWN),
        (400, grpc.StatusCode.INTERNAL),
        (401, grpc.StatusCode.UNAUTHENTICATED),
        (403, grpc.StatusCode.PERMISSION_DENIED),
        (404, grpc.StatusCode.UNIMPLEMENTED),
        (418, grpc.StatusCode.UNKNOWN),
        (429, grpc.StatusCode.UNAVAILABLE),
        (431, grpc.StatusCode.INTERNAL),
        (500, grpc.StatusCode.UNKNOWN),
        (502, grpc.StatusCode.UNAVAILABLE),
        (503, grpc.StatusCode.UNAVAILABLE),
        (504, grpc.StatusCode.UNAVAILABLE),
    ],
)
def test_a_response_without_grpc_status(http: int, code: grpc.StatusCode) -> None:
    assert NUMBERS[http_status_code(http)] is code


@pytest.mark.parametrize("http2_error", [*range(0xE), 0xFFFFFFFF])
def test_a_reset_stream(http2_error: int) -> None:
    assert NUMBERS[reset_code(http2_error)] is {
        0x7: grpc.StatusCode.UNAVAILABLE,
        0x8: grpc.StatusCode.CANCELLED,
        0xB: grpc.StatusCode.RESOURCE_EXHAUSTED,
        0xC: grpc.StatusCode.PERMISSION_DENIED,
    }.get(http2_error, grpc.StatusCode.INTERNAL)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=128))
def test_a_request_info_may_be_added_to_a_status_that_is_known(request_id: str) -> None:
    known = from_error(InvalidRequest("a is empty", field="a"))
    read = status_pb2.Status.FromString(known.details + request_info(request_id))
    info = detail(read, error_details_pb2.RequestInfo)
    assert info == error_details_pb2.RequestInfo(request_id=request_id)
    error = to_error(known.code, known.message, known.details + request_info(request_id))
    assert (type(error), error.request_id) == (InvalidRequest, request_id)
    assert to_error(known.code, known.message, known.details).request_id == ""


@pytest.mark.parametrize("hostile", ["two words", "x\nERROR", "x" * 129, "é"])
def test_a_hostile_request_info_is_as_none(hostile: str) -> None:
    status = status_pb2.Status(code=5)
    status.details.add().Pack(error_details_pb2.RequestInfo(request_id=hostile))
    assert to_error(5, "gone", status.SerializeToString()).request_id == ""
