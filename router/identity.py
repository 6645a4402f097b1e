"""Who is the tenant: from a verified credential, never from a field that a caller fills in freely.

`TokenIdentity` verifies `authorization: Bearer <JWT>` (`tokens.py`). `HeaderIdentity` believes the
`croupier-tenant` header: for loopback.

Both remember what they made of a call's metadata: one look-up instead of a token's JSON and HMAC, or an ECDSA
signature, which take more than all else of a request. What they remember is bounded in number and in bytes,
since a header may have 16 KiB; the oldest goes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from croupier.errors import PermissionDenied, Unauthenticated
from croupier.names import check_name
from router.keys import Keys
from router.tokens import DEFAULT_RULES, TokenRules, Verified, verify

TENANT_HEADER = "croupier-tenant"
_TENANT_KEY = TENANT_HEADER.encode()
_TOKEN_KEY = b"authorization"
_REMEMBERED = 16_384
_REMEMBERED_BYTES = 16 * 2**20

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


class Memory(Generic[T]):
    """What was made of metadata's values: at most `most` of them, and `most_bytes` of values in all."""

    def __init__(self, most: int = _REMEMBERED, most_bytes: int = _REMEMBERED_BYTES) -> None:
        self.known: dict[tuple[bytes, ...], T] = {}
        self.size = 0
        self._most = most
        self._most_bytes = most_bytes

    def put(self, values: tuple[bytes, ...], found: T) -> T:
        size = sum(map(len, values))
        if size > self._most_bytes:
            return found
        self.drop(values)
        while self.known and (len(self.known) >= self._most or self.size + size > self._most_bytes):
            self.drop(next(iter(self.known)))
        self.known[values] = found
        self.size += size
        return found

    def drop(self, values: tuple[bytes, ...]) -> None:
        if self.known.pop(values, None) is not None:
            self.size -= sum(map(len, values))


class HeaderIdentity:
    """Believes the header `croupier-tenant`."""

    def __init__(self, memory: Memory[str] | None = None) -> None:
        self._memory: Memory[str] = memory or Memory()
        self._known = self._memory.known

    def tenant(self, values: Values) -> str:
        named = values(_TENANT_KEY)
        return self._known.get(named) or self._check(named)

    def _check(self, named: tuple[bytes, ...]) -> str:
        if len(set(named)) != 1:
            raise Unauthenticated(f"exactly one {TENANT_HEADER} header is needed")
        return self._memory.put(named, check_name(_text(named[0]), "tenant"))


class TokenIdentity:
    """Verifies tokens signed with one of `keys`; `now` is the time in seconds since 1970.

    A token that was verified is remembered until it expires, or its key goes.
    """

    def __init__(
        self,
        keys: Keys,
        now: Callable[[], float],
        rules: TokenRules = DEFAULT_RULES,
        memory: Memory[Verified] | None = None,
    ) -> None:
        self._keys = keys
        self._now = now
        self._rules = rules
        self._memory: Memory[Verified] = memory or Memory()
        self._known = self._memory.known

    def use(self, keys: Keys) -> None:
        """Verify with `keys` from now on; tokens of keys that are not among them hold no longer."""
        self._keys = keys
        gone = [values for values, found in self._known.items() if keys.get(found.key.id) != found.key]
        for values in gone:
            self._memory.drop(values)

    def tenant(self, values: Values) -> str:
        credentials = values(_TOKEN_KEY)
        found = self._known.get(credentials) or self._verify(credentials)
        if self._now() >= found.expires:
            self._memory.drop(credentials)
            raise Unauthenticated("the token has expired", reason="TOKEN_EXPIRED")
        tenant = found.tenant
        for claimed in values(_TENANT_KEY):
            check_claim(tenant, _text(claimed))
        return tenant

    def _verify(self, credentials: tuple[bytes, ...]) -> Verified:
        token = ""
        for value in credentials:
            token = _bearer(_text(value), token)
        if not token:
            raise Unauthenticated("a token is needed: authorization: Bearer …")
        return self._memory.put(credentials, verify(token, self._keys, self._rules, self._now))


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
