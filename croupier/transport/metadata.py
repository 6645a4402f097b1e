"""How gRPC writes deadlines, messages and metadata into HTTP/2 header fields, and reads them back.

The rules are those of "gRPC over HTTP2" (grpc/grpc, doc/PROTOCOL-HTTP2.md):

- Custom metadata keys consist of `0-9 a-z _ - .`. A key that ends in `-bin` has bytes for a value,
  which travel as base64; every other value is printable ASCII, without spaces at its ends.
- `grpc-timeout` is at most eight digits and a unit.
- `grpc-message` is UTF-8, percent-encoded outside of printable ASCII.

Sending is strict and receiving is as lenient as the rules ask for: a value that HTTP allows and gRPC
does not is left out, since a handler must be able to send back whatever it was given. A broken
base64 value is an error, because leaving it out would silently change what the caller said.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable

Pairs = tuple[tuple[str, str | bytes], ...]

MAX_TIMEOUT_COUNT = 99_999_999
# What HTTP/2 and gRPC themselves say in header fields: not metadata, whoever wrote it.
_RESERVED = frozenset(
    {
        "connection",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
_KEY = re.compile(r"[0-9a-z_.-]+")
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_SECONDS_IN = {b"H": 3600.0, b"M": 60.0, b"S": 1.0}
_IN_A_SECOND = {b"m": 1e3, b"u": 1e6, b"n": 1e9}
# Peers may strip white space at the ends of a value, and nghttp2 refuses it there.
_ENCODED = re.compile(rb"\A |[^ -$&-~]| \Z")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


def encode_pairs(pairs: Iterable[tuple[str, str | bytes]]) -> list[tuple[bytes, bytes]]:
    """The header fields of custom metadata, in order.

    Raises:
        ValueError: a key that is not metadata's, or a value that cannot travel under its key.
    """
    return [(_encode_key(key), _encode_value(key, value)) for key, value in pairs]


def decode_pairs(raw: Iterable[tuple[bytes, bytes]]) -> Pairs:
    """The custom metadata among header fields, in order.

    Pseudo-headers and what belongs to HTTP/2 or gRPC are left out.

    Raises:
        ValueError: a value under a `-bin` key that is not base64.
    """
    pairs: list[tuple[str, str | bytes]] = []
    for name, value in raw:
        key = name.decode("latin-1")
        if not _is_custom(key):
            continue
        if key.endswith("-bin"):
            # Proxies may join values of one key with commas.
            pairs.extend((key, _decode_base64(key, part.strip())) for part in value.split(b","))
        elif (text := value.decode("latin-1").strip(" \t")).isascii() and text.isprintable():
            pairs.append((key, text))
    return tuple(pairs)


def encode_timeout(seconds: float) -> bytes:
    """`seconds` as grpc-timeout: never shorter than asked, and less than a microsecond or 0.001 % longer.

    Beyond 11,000 years, it is 11,000 years.

    Raises:
        ValueError: `seconds` is not a number.
    """
    if seconds <= 0:
        return b"0n"
    for unit, rate in ((b"u", 1e6), (b"m", 1e3), (b"S", 1.0), (b"M", 1 / 60), (b"H", 1 / 3600)):
        # Below the bound by at least one, so that rounding up stays within it.
        if seconds * rate < MAX_TIMEOUT_COUNT:
            count = math.ceil(seconds * rate)
            # The product may have been rounded down to an integer.
            if _seconds(count, unit) < seconds:
                count += 1
            return b"%d%b" % (count, unit)
    if math.isnan(seconds):
        raise ValueError("the timeout is not a number")
    return b"%dH" % MAX_TIMEOUT_COUNT


def decode_timeout(value: bytes) -> float:
    """The seconds that a grpc-timeout says.

    Raises:
        ValueError: it is not one to eight digits and a unit.
    """
    match = _TIMEOUT.fullmatch(value)
    if match is None:
        raise ValueError("grpc-timeout is not one to eight digits and a unit")
    return _seconds(int(match[1]), match[2])


def percent_encode(text: str) -> bytes:
    """`text` as grpc-message; what is not valid Unicode becomes a question mark."""
    raw = text.encode(errors="replace")
    return _ENCODED.sub(lambda match: b"%%%02X" % match[0][0], raw)


def percent_decode(raw: bytes) -> str:
    """The text that a grpc-message says: invalid escapes stay, invalid UTF-8 is replaced."""
    return _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), raw).decode(errors="replace")


def _is_custom(key: str) -> bool:
    return _KEY.fullmatch(key) is not None and not key.startswith("grpc-") and key not in _RESERVED


def _encode_key(key: str) -> bytes:
    if not _is_custom(key):
        raise ValueError(f"{key!r} cannot be a metadata key")
    return key.encode()


def _encode_value(key: str, value: str | bytes) -> bytes:
    if key.endswith("-bin"):
        if not isinstance(value, bytes):
            raise ValueError(f"the value of {key!r} must be bytes")
        return base64.b64encode(value).rstrip(b"=")
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise ValueError(f"the value of {key!r} must be printable ASCII")
    return value.strip(" ").encode()


def _decode_base64(key: str, value: bytes) -> bytes:
    padding = b"" if value.endswith(b"=") else b"=" * (-len(value) % 4)
    try:
        return base64.b64decode(value + padding, validate=True)
    except ValueError as error:
        raise ValueError(f"the value of {key!r} is not base64") from error


def _seconds(count: int, unit: bytes) -> float:
    # Dividing is exact to the last bit, multiplying by 1e-6 is not.
    if rate := _IN_A_SECOND.get(unit):
        return count / rate
    return count * _SECONDS_IN[unit]
