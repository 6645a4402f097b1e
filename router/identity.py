"""Who is the tenant: from a verified credential, never from a field that a caller fills in freely.

`TokenIdentity` verifies `authorization: Bearer <JWT>` (HS256, audience `croupier`, the tenant as
subject, an expiry). `HeaderIdentity` believes the `croupier-tenant` header: for loopback.

Both remember what they made of a call's metadata: one look-up, 0.1 µs, instead of 24 µs for a token's HMAC
and JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import jwt

from croupier.errors import PermissionDenied, Unauthenticated
from croupier.names import InvalidName, check_name
from croupier.settings import InvalidSettings

AUDIENCE = "croupier"
TENANT_HEADER = "croupier-tenant"
_TENANT_KEY = TENANT_HEADER.encode()
_TOKEN_KEY = b"authorization"
_MIN_KEY_BYTES = 32
_REMEMBERED = 16_384

# The raw values that a call's metadata have under a key.
Values = Callable[[bytes], tuple[bytes, ...]]
T = TypeVar("T")


class WrongTenant(PermissionDenied):
    """A valid credential, and a request for somebody else's model. The caller's."""

    reason = "WRONG_TENANT"


class Identity(Protocol):
    def tenant(self, values: Values) -> str:
        """The tenant that a call's metadata stand for.

        Raises:
            Unauthenticated: no credential, or one that does not hold.
            PermissionDenied: the metadata also name another tenant.
            InvalidName: a name that no tenant can have.
        """


def check_claim(tenant: str, claimed: str) -> None:
    """Raises WrongTenant if a request says that it is about another tenant's model."""
    if claimed and claimed != tenant:
        raise WrongTenant("the model belongs to another tenant")


class HeaderIdentity:
    """Believes the header `croupier-tenant`."""

    def __init__(self, *, remembered: int = _REMEMBERED) -> None:
        self._remembered = remembered
        self._known: dict[tuple[bytes, ...], str] = {}

    def tenant(self, values: Values) -> str:
        named = values(_TENANT_KEY)
        return self._known.get(named) or self._check(named)

    def _check(self, named: tuple[bytes, ...]) -> str:
        if len(set(named)) != 1:
            raise Unauthenticated(f"exactly one {TENANT_HEADER} header is needed")
        tenant = check_name(_text(named[0]), "tenant")
        return _remember(self._known, named, tenant, self._remembered)


class TokenIdentity:
    """Verifies tokens signed with `key`; `now` is the time in seconds since 1970.

    A token that was verified is remembered until it expires.
    """

    def __init__(self, key: bytes, now: Callable[[], float], *, remembered: int = _REMEMBERED) -> None:
        if len(key) < _MIN_KEY_BYTES:
            raise InvalidSettings(f"the token key is shorter than {_MIN_KEY_BYTES} bytes")
        self._key = key
        self._now = now
        self._remembered = remembered
        self._known: dict[tuple[bytes, ...], tuple[str, float]] = {}

    def tenant(self, values: Values) -> str:
        credentials = values(_TOKEN_KEY)
        tenant, expires = self._known.get(credentials) or self._verify(credentials)
        if self._now() >= expires:
            self._known.pop(credentials, None)
            raise Unauthenticated("the token has expired", reason="TOKEN_EXPIRED")
        for claimed in values(_TENANT_KEY):
            check_claim(tenant, _text(claimed))
        return tenant

    def _verify(self, credentials: tuple[bytes, ...]) -> tuple[str, float]:
        token = ""
        for value in credentials:
            token = _bearer(_text(value), token)
        if not token:
            raise Unauthenticated("a token is needed: authorization: Bearer …")
        return _remember(self._known, credentials, self._decode(token), self._remembered)

    def _decode(self, token: str) -> tuple[str, float]:
        """The tenant and the expiry of a token that is rightly signed and already valid."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["HS256"],
                audience=AUDIENCE,
                # Times are checked by our own clock.
                options={
                    "require": ["exp", "sub", "aud"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
            expires, begins = float(claims["exp"]), float(claims.get("nbf", 0.0))
            tenant = check_name(claims["sub"], "tenant")
        except (jwt.InvalidTokenError, InvalidName, TypeError, ValueError, OverflowError) as error:
            raise Unauthenticated("the token is not valid", reason="INVALID_TOKEN") from error
        if self._now() < begins:
            raise Unauthenticated("the token is not valid yet", reason="INVALID_TOKEN")
        return tenant, expires


def _bearer(value: str, already: str) -> str:
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("the authorization is not a Bearer token")
    if already and already != token:
        raise Unauthenticated("more than one token")
    return token


def _text(value: bytes) -> str:
    """Metadata as text; bytes that are none are refused where the text is looked at."""
    return value.decode(errors="surrogateescape")


def _remember(known: dict[tuple[bytes, ...], T], values: tuple[bytes, ...], found: T, most: int) -> T:
    while len(known) >= most:
        del known[next(iter(known))]
    known[values] = found
    return found
