"""What redis-py raises, as errors of ours.

no connection, no answer in time, loading, failing over     StoreDown: passes by itself
out of memory                                               StoreFull
a wrong password, a command that the ACL denies, TLS        StoreRefused: no use in trying again
any other error in a reply                                  StoreRefused, in its words
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions as redis

from croupier.stores.feature_store import StoreDown, StoreFull
from croupier.stores.features_redis_url import RedisPlace
from croupier.stores.refused import StoreRefused

_DENIED = (
    redis.AuthenticationError,
    redis.AuthorizationError,
    redis.AuthenticationWrongNumberOfArgsError,
    redis.NoPermissionError,
)
_PASSING = (redis.ConnectionError, redis.ClusterDownError, redis.TryAgainError, redis.AskError, OSError)
# A connection that ends in the middle of TLS ends, as any may.
_ENDED = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


@contextmanager
def translated(place: RedisPlace) -> Iterator[None]:
    """Raises StoreDown, StoreFull or StoreRefused in place of what redis-py and sockets do."""
    try:
        yield
    except (redis.RedisError, redis.RedisClusterException, OSError, TimeoutError) as error:
        raise _error(error, place) from error


def _error(error: Exception, place: RedisPlace) -> StoreDown | StoreFull | StoreRefused:
    if isinstance(error, (TimeoutError, redis.TimeoutError)):
        return StoreDown(f"the feature store {place} does not answer within {place.timeout:g} s")
    if isinstance(error, _DENIED):
        who = place.user or "the default user"
        return StoreRefused(f"the feature store {place} denies access to {who}: {error}")
    if isinstance(error, redis.OutOfMemoryError):
        return StoreFull(f"the feature store {place} is out of memory: {error}")
    if isinstance(error, redis.ReadOnlyError):
        return StoreDown(f"the feature store {place} is a replica now, which takes no writes")
    if (wrong := _of_tls(error)) is not None:
        return StoreRefused(f"the feature store {place} and this do not agree on TLS: {wrong}")
    # A cluster says what happened to each of its nodes by words.
    if isinstance(error, (*_PASSING, redis.RedisClusterException)):
        return StoreDown(f"the feature store {place} is not there: {error}")
    return StoreRefused(f"the feature store {place} refuses: {error}")


def _of_tls(error: BaseException | None) -> ssl.SSLError | None:
    """The error of TLS that `error` came from, if it is one that stays."""
    while error is not None:
        if isinstance(error, ssl.SSLError) and not isinstance(error, _ENDED):
            return error
        error = error.__cause__ or error.__context__
    return None
