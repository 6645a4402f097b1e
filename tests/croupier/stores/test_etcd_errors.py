import grpc
import pytest

from croupier import errors
from croupier.stores import etcd_errors
from croupier.stores.etcd_errors import translate

Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "words", "expected"),
    [
        (Code.UNAVAILABLE, "etcdserver: no leader", etcd_errors.EtcdUnavailable),
        (Code.UNAVAILABLE, "Socket closed", etcd_errors.EtcdUnavailable),
        (Code.DEADLINE_EXCEEDED, "Deadline Exceeded", etcd_errors.EtcdUnavailable),
        (Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests", etcd_errors.EtcdUnavailable),
        (Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded", etcd_errors.OutOfSpace),
        (Code.RESOURCE_EXHAUSTED, "grpc: received message larger than max (3 vs. 2)", errors.TooLarge),
        (Code.INVALID_ARGUMENT, "etcdserver: request is too large", errors.TooLarge),
        (Code.INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request", errors.InvalidRequest),
        (
            Code.INVALID_ARGUMENT,
            "etcdserver: authentication failed, invalid user ID or password",
            etcd_errors.EtcdUnauthenticated,
        ),
        (Code.INVALID_ARGUMENT, "etcdserver: user name is empty", etcd_errors.EtcdUnauthenticated),
        (Code.INVALID_ARGUMENT, "etcdserver: revision of auth store is old", etcd_errors.EtcdUnauthenticated),
        (Code.UNAUTHENTICATED, "etcdserver: invalid auth token", etcd_errors.EtcdUnauthenticated),
        (Code.PERMISSION_DENIED, "etcdserver: permission denied", etcd_errors.EtcdPermissionDenied),
        (
            Code.FAILED_PRECONDITION,
            "etcdserver: authentication is not enabled",
            etcd_errors.AuthNotEnabled,
        ),
        (Code.NOT_FOUND, "etcdserver: requested lease not found", errors.NotFound),
        (
            Code.OUT_OF_RANGE,
            "etcdserver: mvcc: required revision has been compacted",
            etcd_errors.Compacted,
        ),
        (Code.DATA_LOSS, "etcdserver: corrupt cluster", errors.InternalError),
        (Code.UNKNOWN, "", errors.InternalError),
    ],
)
def test_translate(code: Code, words: str, expected: type[errors.CroupierError]) -> None:
    error = translate(code, words)
    assert expected is type(error)
    assert f"etcd: {words or code.name}" == error.message
