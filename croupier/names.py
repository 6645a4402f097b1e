"""What things are called: one check for every name that crosses a boundary.

Tenants, models, labels, cells and zones are used as segments of etcd keys, as metric labels and
in log lines, so a name is refused where it enters and is never escaped afterwards.
"""

from __future__ import annotations

import unicodedata

from croupier.errors import InvalidRequest

MAX_NAME_BYTES = 128
DIGEST_BYTES = 32
MAX_VERSION = 2**63 - 1


class InvalidName(InvalidRequest):
    """A name that is empty, overlong or not safe to use as a path segment. The caller's."""


def check_name(value: str, field: str) -> str:
    """Return `value` if it may name a tenant, model, label, cell or zone.

    A name is 1 to 128 bytes of UTF-8 in Unicode normal form C, printable, without white space at
    its ends, `/` or `\\`, and neither `.` nor `..`.

    Raises:
        InvalidName: naming `field` and what is wrong.
    """
    # Nearly every name is plain ASCII, for which the general checks below say nothing new.
    plain = value.isascii() and value.replace("-", "").replace("_", "").isalnum()
    if plain and len(value) <= MAX_NAME_BYTES:
        return value
    problem = _problem(value)
    if problem:
        raise InvalidName(f"{field} {problem}", field=field)
    return value


def _problem(value: str) -> str:
    if not value:
        return "is empty"
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        return "is not valid UTF-8"
    if len(encoded) > MAX_NAME_BYTES:
        return f"is longer than {MAX_NAME_BYTES} bytes"
    if not value.isprintable():
        return "has a character that cannot be printed"
    if value != value.strip():
        return "begins or ends with white space"
    if "/" in value or "\\" in value:
        return "has a slash or backslash"
    if value in {".", ".."}:
        return "is a relative path"
    if not unicodedata.is_normalized("NFC", value):
        return "is not in Unicode normal form C"
    return ""


def check_digest(value: bytes, field: str = "artifact") -> bytes:
    """Return `value` if it has the 32 bytes of a SHA-256.

    Raises:
        InvalidName: naming `field`.
    """
    if len(value) != DIGEST_BYTES:
        raise InvalidName(f"{field} is not a SHA-256 digest: {len(value)} bytes", field=field)
    return value


def parse_version(value: str, field: str = "model_version") -> int:
    """Return the version number that `value` spells in decimal; 0 for an empty string.

    Raises:
        InvalidName: naming `field`.
    """
    if not value:
        return 0
    if not (value.isascii() and value.isdigit()) or len(value) > 19 or not 0 < int(value) <= MAX_VERSION:
        raise InvalidName(f"{field} is not a version number", field=field)
    return int(value)
