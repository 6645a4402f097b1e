"""Who is at the other end of a connection, by the names in a certificate that TLS has verified.

A certificate says in its subject alternative names which role it is for, and who in that role:

    croupier://cell/cell-17                     as a URI
    cell-17.cell.croupier                       or as a DNS name
    croupier://publisher/ci                     with any number of tenants beside,
    croupier://tenant/acme                      for whom alone it may then do what its role may

`--role-names` are the patterns of such names. The common name and every other kind of name say nothing.

There is no guessing. One role and one id, or the certificate is nobody's: two roles in one are refused, and
so is every name that looks like one of ours and is none (an unknown role, a wildcard, an id that is not
written in its one canonical way), because the restriction that was meant by it would otherwise be lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, unquote

from croupier.errors import PermissionDenied, Unauthenticated
from croupier.names import InvalidName, check_name

DEFAULT_PATTERNS = ("croupier://{role}/{id}", "{id}.{role}.croupier")

_TENANT = "tenant"
_ROLE, _ID = "{role}", "{id}"
_LABEL = re.compile(r"[a-z0-9]([a-z0-9_-]*[a-z0-9])?")


class Role(StrEnum):
    """What a certificate is for. The first three are processes, the others callers of the API."""

    CELL = "cell"
    ROUTER = "router"
    VERSION_MANAGER = "version-manager"
    PUBLISHER = "publisher"
    OPERATOR = "operator"
    VIEWER = "viewer"


_ROLES = {role.value for role in Role}
_RESTRICTABLE = {Role.PUBLISHER, Role.OPERATOR, Role.VIEWER}


class UnknownCaller(Unauthenticated):
    """A certificate that names no role, or not exactly one. The operator's: have it issued anew."""

    reason = "NO_ROLE"


class WrongPeer(PermissionDenied):
    """A server that is not the one that was to be called. The operator's, or an attack."""

    reason = "WRONG_PEER"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a certificate; an empty `tenants` is no restriction."""

    role: Role
    id: str
    tenants: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.role}/{self.id}"


@dataclass(frozen=True, slots=True)
class AltNames:
    """The subject alternative names of a certificate that can name a role."""

    uris: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()


class RoleNames:
    """Reads certificates' names by `patterns`: those with `://` are of URIs, the others of DNS names."""

    def __init__(self, patterns: Sequence[str] = DEFAULT_PATTERNS) -> None:
        """Raises ValueError for patterns that are none."""
        if not patterns:
            raise ValueError("there is no pattern of a role's name")
        self._uris = [_UriPattern(pattern) for pattern in patterns if "://" in pattern]
        self._dns = [_DnsPattern(pattern) for pattern in patterns if "://" not in pattern]

    def caller(self, names: AltNames) -> Caller:
        """Raises UnknownCaller."""
        found = {*_read_all(self._uris, names.uris), *_read_all(self._dns, names.dns)}
        tenants = frozenset(name for role, name in found if role == _TENANT)
        roles = sorted((role, name) for role, name in found if role != _TENANT)
        if not roles:
            raise UnknownCaller("the certificate names no role")
        if len(roles) > 1:
            listed = ", ".join("/".join(named) for named in roles[:3])
            raise UnknownCaller(f"the certificate names more than one role: {listed}")
        caller = Caller(Role(roles[0][0]), roles[0][1], tenants)
        if tenants and caller.role not in _RESTRICTABLE:
            raise UnknownCaller(f"the certificate restricts a {caller.role} to tenants")
        return caller

    def expect(self, role: Role, id: str) -> Callable[[AltNames], None]:
        """What checks that a certificate is that of `role`/`id`; it raises UnknownCaller or WrongPeer."""

        def check(names: AltNames) -> None:
            found = self.caller(names)
            if (found.role, found.id) != (role, id):
                raise WrongPeer(f"the certificate is that of {found}, and not of {role}/{id}")

        return check


class _UriPattern:
    def __init__(self, pattern: str) -> None:
        scheme = pattern.partition("://")[0]
        is_scheme = re.fullmatch("[a-z][a-z0-9+.-]*", scheme)
        if not is_scheme or pattern.count(_ROLE) != 1 or pattern.count(_ID) != 1:
            raise ValueError(f"{pattern!r} is no pattern like {DEFAULT_PATTERNS[0]}")
        self._scheme = f"{scheme}:"
        name = re.escape(pattern).replace(re.escape(_ROLE), "(?P<role>[a-z-]+)")
        self._name = re.compile(name.replace(re.escape(_ID), "(?P<id>[^/]+)"))

    def is_like(self, name: str) -> bool:
        """Whether `name` is of this pattern's scheme, as a careless reader would see it."""
        return name.strip().lower().startswith(self._scheme)

    def read(self, name: str) -> tuple[str, str] | None:
        found = self._name.fullmatch(name)
        if found is None:
            return None
        decoded = unquote(found["id"], errors="strict")
        return (found["role"], decoded) if quote(decoded, safe="") == found["id"] else None


class _DnsPattern:
    def __init__(self, pattern: str) -> None:
        self._labels = pattern.split(".")
        literal = [label for label in self._labels if label not in (_ROLE, _ID)]
        if len(self._labels) - len(literal) != 2 or _ROLE not in self._labels or _ID not in self._labels:
            raise ValueError(f"{pattern!r} is no pattern like {DEFAULT_PATTERNS[1]}")
        if not literal or not all(map(_LABEL.fullmatch, literal)):
            raise ValueError(f"{pattern!r} would be the name of any host")

    def is_like(self, name: str) -> bool:
        return self._match(name.strip().removesuffix(".").lower()) is not None

    def read(self, name: str) -> tuple[str, str] | None:
        found = self._match(name)
        return found if found and all(map(_LABEL.fullmatch, found)) else None

    def _match(self, name: str) -> tuple[str, str] | None:
        labels = name.split(".")
        if len(labels) != len(self._labels):
            return None
        found = {}
        for wanted, label in zip(self._labels, labels, strict=True):
            if wanted in (_ROLE, _ID):
                found[wanted] = label
            elif wanted != label:
                return None
        return found[_ROLE], found[_ID]


def _read_all(
    patterns: Sequence[_UriPattern] | Sequence[_DnsPattern], names: Iterable[str]
) -> Iterable[tuple[str, str]]:
    """Role and id of each name that is like one of `patterns`; others are hosts', or somebody else's."""
    for name in names:
        if any(pattern.is_like(name) for pattern in patterns):
            yield _read(patterns, name)


def _read(patterns: Sequence[_UriPattern] | Sequence[_DnsPattern], name: str) -> tuple[str, str]:
    try:
        found = next(filter(None, (pattern.read(name) for pattern in patterns)), None)
        if found is not None and found[0] in {*_ROLES, _TENANT} and "*" not in found[1]:
            return found[0], check_name(found[1], "id")
    except (InvalidName, UnicodeDecodeError):
        pass
    raise UnknownCaller(f"the certificate's name {name[:200]!r} is none of a role")
