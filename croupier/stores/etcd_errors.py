"""etcd's refusals as Croupier's errors: the one place that reads etcd's status codes and words.

etcd says some things with the wrong code: a wrong password and a request that is too large are
INVALID_ARGUMENT, a full database is RESOURCE_EXHAUSTED. Those are told by their words
(`api/v3rpc/rpctypes/error.go` of etcd).
"""

from __future__ import annotations

import grpc

from croupier.errors import (
    CroupierError,
    FailedPrecondition,
    InternalError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    TooLarge,
    Unauthenticated,
    Unavailable,
)


class EtcdUnavailable(Unavailable):
    """etcd cannot be reached, or does not answer now. Passing; what is served goes on without it."""

    reason = "ETCD_UNAVAILABLE"


class EtcdUnauthenticated(Unauthenticated):
    """etcd does not accept our user, password or token. The operator's, never the caller's."""

    reason = "ETCD_UNAUTHENTICATED"


class EtcdPermissionDenied(PermissionDenied):
    """etcd knows our user and does not let it do this. The operator's, never the caller's."""

    reason = "ETCD_PERMISSION_DENIED"


class Compacted(FailedPrecondition):
    """etcd has forgotten the revision that was asked for. List again."""

    reason = "ETCD_COMPACTED"


class OutOfSpace(FailedPrecondition):
    """etcd's database is full and takes no writes. The operator's: compact, defragment, disarm."""

    reason = "ETCD_OUT_OF_SPACE"


class AuthNotEnabled(FailedPrecondition):
    """A user is configured and etcd asks for none."""

    reason = "ETCD_AUTH_NOT_ENABLED"


_BY_WORDS: tuple[tuple[str, type[CroupierError]], ...] = (
    ("authentication failed", EtcdUnauthenticated),
    ("invalid auth token", EtcdUnauthenticated),
    ("user name is empty", EtcdUnauthenticated),
    ("revision of auth store is old", EtcdUnauthenticated),
    ("authentication is not enabled", AuthNotEnabled),
    ("request is too large", TooLarge),
    ("larger than max", TooLarge),
    ("database space exceeded", OutOfSpace),
)

_BY_CODE: dict[grpc.StatusCode, type[CroupierError]] = {
    grpc.StatusCode.UNAVAILABLE: EtcdUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: EtcdUnavailable,
    grpc.StatusCode.CANCELLED: EtcdUnavailable,
    grpc.StatusCode.ABORTED: EtcdUnavailable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: EtcdUnavailable,
    grpc.StatusCode.UNAUTHENTICATED: EtcdUnauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: EtcdPermissionDenied,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.OUT_OF_RANGE: Compacted,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
}


def translate(code: grpc.StatusCode, words: str) -> CroupierError:
    """The error that a call ended in `code` with `words` stands for."""
    for part, by_words in _BY_WORDS:
        if part in words:
            return by_words(f"etcd: {words}")
    return _BY_CODE.get(code, InternalError)(f"etcd: {words or code.name}")
