"""Who is the tenant: from a verified credential, never from a field that a caller fills in freely.

`TokenIdentity` verifies `authorization: Bearer <JWT>` (HS256, audience `croupier`, the tenant as
subject, an expiry). `HeaderIdentity` believes the `croupier-tenant` header: for loopback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import jwt

from croupier.errors import PermissionDenied, Unauthenticated
from croupier.names import InvalidName, check_name
from croupier.settings import InvalidSettings

AUDIENCE = "croupier"
TENANT_HEADER = "croupier-tenant"
_MIN_KEY_BYTES = 32
_REMEMBERED_TOKENS = 16_384

Metadata = Iterable[tuple[str, str | bytes]]


class WrongTenant(PermissionDenied):
    """A valid credential, and a request for somebody else's model. The caller's."""

    reason = "WRONG_TENANT"


class Identity(Protocol):
    def tenant(self, metadata: Metadata) -> str:
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

    def tenant(self, metadata: Metadata) -> str:
        named = {value for key, value in metadata if key == TENANT_HEADER}
        if len(named) != 1:
            raise Unauthenticated(f"exactly one {TENANT_HEADER} header is needed")
        return check_name(str(named.pop()), "tenant")


class TokenIdentity:
    """Verifies tokens signed with `key`; `now` is the time in seconds since 1970.

    A token that was verified is remembered until it expires: 0.4 µs instead of 24 µs for its HMAC
    and JSON.
    """

    def __init__(self, key: bytes, now: Callable[[], float], *, remembered: int = _REMEMBERED_TOKENS) -> None:
        if len(key) < _MIN_KEY_BYTES:
            raise InvalidSettings(f"the token key is shorter than {_MIN_KEY_BYTES} bytes")
        self._key = key
        self._now = now
        self._remembered = remembered
        self._known: dict[str, tuple[str, float]] = {}

    def tenant(self, metadata: Metadata) -> str:
        token = ""
        claims: list[str] = []
        for key, value in metadata:
            if key == "authorization":
                token = _bearer(str(value), token)
            elif key == TENANT_HEADER:
                claims.append(str(value))
        if not token:
            raise Unauthenticated("a token is needed: authorization: Bearer …")
        tenant = self._verify(token)
        for claimed in claims:
            check_claim(tenant, claimed)
        return tenant

    def _verify(self, token: str) -> str:
        known = self._known.get(token)
        if known is None:
            known = self._decode(token)
            while len(self._known) >= self._remembered:
                del self._known[next(iter(self._known))]
            self._known[token] = known
        tenant, expires = known
        if self._now() >= expires:
            del self._known[token]
            raise Unauthenticated("the token has expired", reason="TOKEN_EXPIRED")
        return tenant

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
