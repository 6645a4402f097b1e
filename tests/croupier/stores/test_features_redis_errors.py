"""Which errors of redis-py pass by themselves."""

import ssl

import pytest
from redis import exceptions as redis

from croupier.stores.features import StoreDown, StoreFull
from croupier.stores.features_redis_errors import translated
from croupier.stores.features_redis_url import parse
from croupier.stores.refused import StoreRefused

PLACE = parse("redis://user:secret@a")


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), StoreDown),
        (redis.TimeoutError("Timeout reading"), StoreDown),
        (redis.ConnectionError("Connection closed by server."), StoreDown),
        (redis.BusyLoadingError("loading the dataset"), StoreDown),
        (redis.ClusterDownError("down"), StoreDown),
        (redis.RedisClusterException("cannot be connected"), StoreDown),
        (redis.ReadOnlyError("read only"), StoreDown),
        (ConnectionRefusedError(), StoreDown),
        (caused(redis.ConnectionError("x"), ssl.SSLEOFError()), StoreDown),
        (caused(redis.ConnectionError("x"), ssl.SSLCertVerificationError()), StoreRefused),
        (redis.AuthenticationError("WRONGPASS"), StoreRefused),
        (redis.NoPermissionError("no permissions"), StoreRefused),
        (redis.ResponseError("MISCONF"), StoreRefused),
        (redis.InvalidResponse("no Redis"), StoreRefused),
        (redis.OutOfMemoryError("over maxmemory"), StoreFull),
    ],
)
def test_each_is_of_its_kind(error, kind):
    with pytest.raises(kind, match="redis://a:6379") as caught, translated(PLACE):
        raise error
    assert caught.value.__cause__ is error
    assert "secret" not in str(caught.value)


def test_bugs_are_left_alone():
    with pytest.raises(KeyError), translated(PLACE):
        raise KeyError
