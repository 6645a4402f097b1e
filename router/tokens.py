"""Verifies tokens: JSON Web Tokens (RFC 7519) that say for which tenant, for whom, and until when.

The token's `kid` picks the key and the key says the algorithm; nothing else in the token's header is
followed, and one that has to be understood (`crit`) is refused. Times are checked by a clock that is passed
in, and have to be numbers: JSON as Python reads it has NaN and Infinity, which no comparison holds off.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt

from croupier.errors import Unauthenticated
from croupier.names import InvalidName, check_name
from router.keys import Key, Keys

AUDIENCE = "croupier"
MAX_SECONDS = 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token says: `audience`, and `issuer` unless empty; it may hold for `max_seconds` from now on."""

    audience: str = AUDIENCE
    issuer: str = ""
    max_seconds: float = MAX_SECONDS


DEFAULT_RULES = TokenRules()


@dataclass(frozen=True, slots=True)
class Verified:
    """A good token: for `tenant`, until `expires` (seconds since 1970), signed with `key`."""

    tenant: str
    expires: float
    key: Key


def verify(token: str, keys: Keys, rules: TokenRules, now: Callable[[], float]) -> Verified:
    """Raises Unauthenticated; that a token has expired is left to whoever keeps it."""
    try:
        header = jwt.get_unverified_header(token)
        key = _key_of(header, keys)
        claims: dict[str, Any] = jwt.decode(
            token,
            key.material,
            algorithms=[key.algorithm],
            audience=rules.audience,
            issuer=rules.issuer or None,
            # Times are checked below.
            options={
                "require": ["exp", "sub", "aud", *(["iss"] if rules.issuer else [])],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
        expires, begins = _time(claims["exp"]), _time(claims.get("nbf", 0))
        tenant = check_name(claims["sub"], "tenant")
    except (jwt.PyJWTError, InvalidName, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _invalid("the token is not valid") from error
    if now() < begins:
        raise _invalid("the token is not valid yet")
    if expires - now() > rules.max_seconds:
        raise _invalid(f"the token holds for longer than {rules.max_seconds:g} s, which nobody may have here")
    return Verified(tenant, expires, key)


def _key_of(header: dict[str, Any], keys: Keys) -> Key:
    if "crit" in header:
        raise ValueError("a header that has to be understood")
    key = keys.get(header.get("kid", ""))
    if key is None:
        raise Unauthenticated("the token's key is not known here", reason="UNKNOWN_KEY")
    return key


def _time(value: object) -> float:
    """Raises ValueError or OverflowError for what is no time."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("not a finite number")
    return float(value)


def _invalid(message: str) -> Unauthenticated:
    return Unauthenticated(message, reason="INVALID_TOKEN")
