"""What one Redis and a cluster are told alike: options of redis-py, and words of the protocol."""

from __future__ import annotations

from typing import Any

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from croupier.stores.features_redis_url import RedisPlace

# Of a key, what stood there and what is to stand there, "" for nothing: how `change_many` is one step.
CHANGE = b"""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL') end
return 1
"""


def options(place: RedisPlace, *, attempts: int = 1) -> dict[str, Any]:
    """What redis-py's connections and clients are told alike."""
    found: dict[str, Any] = {
        "username": place.user or None,
        "password": place.password or None,
        # Commands are timed as a whole. What redis-py times, it sends by `wait_for`, which before Python 3.12
        # forgets that it was cancelled if that came at the wrong moment.
        "socket_timeout": None,
        "socket_connect_timeout": place.timeout,
        # An ACL need not allow more than what is used: no HELLO, no CLIENT.
        "protocol": 2,
        "driver_info": None,
        "retry": Retry(NoBackoff(), attempts - 1),
    }
    return found


def tls_options(place: RedisPlace) -> dict[str, Any]:
    return {
        "ssl_ca_certs": place.ca,
        "ssl_certfile": place.certificate,
        "ssl_keyfile": place.key,
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
    }


def command(*words: bytes) -> bytes:
    """A command as Redis reads it (RESP, of its protocol's documentation)."""
    return b"*%d\r\n%s" % (len(words), b"".join([b"$%d\r\n%s\r\n" % (len(word), word) for word in words]))


def milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def escaped(prefix: bytes) -> bytes:
    """`prefix` as a pattern that only it begins."""
    return b"".join(b"\\%c" % sign if sign in b"\\*?[]^-" else b"%c" % sign for sign in prefix)
