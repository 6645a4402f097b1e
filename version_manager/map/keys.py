"""Where things lie in etcd, and what a key stands for.

    <prefix>models/<tenant>/<name>/versions/<number>     one immutable version
    <prefix>models/<tenant>/<name>/release               what is served now
    <prefix>models/<tenant>/<name>/config                what it has in place of its family's config
    <prefix>models/<tenant>/<name>/config/history/<number>    what that was before
    <prefix>families/<name>                              what models of one name have in common
    <prefix>families/<name>/history/<number>             what that was before
    <prefix>spent/<tenant>/<name>                        the highest numbers of what was deleted
    <prefix>shards/generations/<number>                  one immutable shard map
    <prefix>shards/generations/<number>/<place>          a chunk of one that is large; see `chunks`
    <prefix>shards/active                                which of them deals, and which did before
    <prefix>thaw                                         the latest loss that was accepted
    <prefix>shards/seed                                  what keys the hash that deals, in all of them
    <prefix>cells/<id>                                   a registered cell; leased
    <prefix>cells/<id>/protocol                          what it speaks; under the same lease
    <prefix>managers/<id>                                a version manager that runs; leased
    <prefix>tenants/<tenant>/residency                   what its cells keep in memory
    <prefix>tenants/<tenant>/limits                      what it may take
    <prefix>limits                                       what everybody may who has no limits of their own
    <prefix without slash>-releases/<tenant>/<name>/<number>    what was served of a model before
    <prefix without slash>-audit/<time>-<suffix>         one mutation; see `audit`
    <prefix without slash>-audit/outside-<revision>      one that no version manager made

Names are checked where they enter and hold no slash, so they are segments as they are. What holds for all
tenants lies beside `tenants/`: below it, there might be a tenant of that name. The audit and earlier releases
lie beside the prefix, not below it: every start of a manager would list them, and nobody follows them.
"""

from __future__ import annotations

from dataclasses import dataclass

from croupier.errors import FailedPrecondition
from croupier.names import InvalidName, check_name, parse_version
from croupier.settings import InvalidSettings


class BadRecord(FailedPrecondition):
    """A key or a value in etcd that is not one of ours. The operator's.

    `field` is what is wrong within the value: `splits[0].version`; empty: all of it.
    """

    reason = "BAD_RECORD"

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class VersionKey:
    tenant: str
    name: str
    number: int


@dataclass(frozen=True, slots=True)
class ReleaseKey:
    tenant: str
    name: str


@dataclass(frozen=True, slots=True)
class SpentKey:
    tenant: str
    name: str


@dataclass(frozen=True, slots=True)
class GenerationKey:
    number: int


@dataclass(frozen=True, slots=True)
class ChunkKey:
    """Of a generation; places count from 1."""

    number: int
    place: int


@dataclass(frozen=True, slots=True)
class ActiveKey:
    pass


@dataclass(frozen=True, slots=True)
class SeedKey:
    pass


@dataclass(frozen=True, slots=True)
class ThawKey:
    pass


@dataclass(frozen=True, slots=True)
class CellKey:
    id: str


@dataclass(frozen=True, slots=True)
class ProtocolKey:
    """Of a cell."""

    id: str


@dataclass(frozen=True, slots=True)
class ManagerKey:
    id: str


@dataclass(frozen=True, slots=True)
class ResidencyKey:
    tenant: str


@dataclass(frozen=True, slots=True)
class LimitsKey:
    """`tenant` empty: the default."""

    tenant: str = ""


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """Of a family, or with a tenant, of what its model of that name has in place of the family's."""

    tenant: str
    name: str


@dataclass(frozen=True, slots=True)
class OldConfigKey:
    """Of one that does not hold any more."""

    tenant: str
    name: str
    number: int


ModelKey = VersionKey | ReleaseKey
RegistrationKey = CellKey | ProtocolKey
Key = (
    VersionKey
    | ReleaseKey
    | SpentKey
    | GenerationKey
    | ChunkKey
    | ActiveKey
    | SeedKey
    | RegistrationKey
    | ThawKey
    | ManagerKey
    | ResidencyKey
    | LimitsKey
    | ConfigKey
    | OldConfigKey
)


class Keys:
    """The keys under one prefix, which ends with a slash whether it was given with one or not."""

    def __init__(self, prefix: str = "croupier/") -> None:
        bare = prefix.rstrip("/")
        if not bare or not bare.isprintable():
            raise InvalidSettings("the prefix of the keys in etcd is not empty and can be printed")
        self.prefix = f"{bare}/"
        self.thaw = f"{self.prefix}thaw"
        self.shards = f"{self.prefix}shards/"
        self.active = f"{self.shards}active"
        self.seed = f"{self.shards}seed"
        self.audits = f"{bare}-audit/"
        self._releases = f"{bare}-releases/"
        self._leased = (f"{self.prefix}cells/", f"{self.prefix}managers/")

    def model(self, tenant: str, name: str) -> str:
        """The prefix of all keys of a model."""
        return f"{self.prefix}models/{tenant}/{name}/"

    def version(self, tenant: str, name: str, number: int) -> str:
        return f"{self.model(tenant, name)}versions/{number}"

    def release(self, tenant: str, name: str) -> str:
        return f"{self.model(tenant, name)}release"

    def old_releases(self, tenant: str, name: str) -> str:
        """The prefix of what stood at `release` before. Not below `model`: see above."""
        return f"{self._releases}{tenant}/{name}/"

    def old_release(self, tenant: str, name: str, number: int) -> str:
        return f"{self.old_releases(tenant, name)}{number}"

    def config(self, tenant: str, name: str) -> str:
        """Without a tenant, the family's."""
        return f"{self.model(tenant, name)}config" if tenant else f"{self.prefix}families/{name}"

    def old_config(self, tenant: str, name: str, number: int) -> str:
        return f"{self.config(tenant, name)}/history/{number}"

    def spent(self, tenant: str, name: str) -> str:
        """Not below `model`: it outlives the model."""
        return f"{self.prefix}spent/{tenant}/{name}"

    def generation(self, number: int) -> str:
        return f"{self.shards}generations/{number}"

    def chunk(self, number: int, place: int) -> str:
        return f"{self.chunks(number)}{place}"

    def chunks(self, number: int) -> str:
        """What the keys of all chunks of a generation begin with."""
        return f"{self.generation(number)}/"

    def cell(self, cell: str) -> str:
        return f"{self.prefix}cells/{cell}"

    def protocol(self, cell: str) -> str:
        return f"{self.cell(cell)}/protocol"

    def manager(self, manager: str) -> str:
        return f"{self.prefix}managers/{manager}"

    def is_leased(self, key: str) -> bool:
        """Whether `key` lies where cells and managers keep their records."""
        return key.startswith(self._leased)

    def residency(self, tenant: str) -> str:
        return f"{self.prefix}tenants/{tenant}/residency"

    def limits(self, tenant: str = "") -> str:
        """Without a tenant, the default's."""
        return f"{self.prefix}tenants/{tenant}/limits" if tenant else f"{self.prefix}limits"

    def is_config(self, key: str) -> bool:
        """Whether `key` lies where a model keeps its config and what that was."""
        match key.removeprefix(self.prefix).split("/", 4):
            case ["models", _, _, "config", *_]:
                return True
            case _:
                return False

    def tenant_of(self, key: str) -> str:
        """Whose `key` is, whether or not anything else about it is right; empty: nobody's."""
        match key.removeprefix(self.prefix).split("/"):
            case ["models" | "spent" | "tenants", tenant, _, *_]:
                return tenant
            case _:
                return ""

    def audit(self, nanoseconds: int, suffix: str) -> str:
        """Sorts by time: 20 digits of nanoseconds since 1970."""
        return f"{self.audits}{nanoseconds:020d}-{suffix}"

    def audit_outside(self, revision: int, what: str = "") -> str:
        """Of what nobody of ours did at `revision`; behind all that sort by time."""
        return f"{self.audits}outside-{revision:020d}{what and '-'}{what}"

    def parse(self, key: str) -> Key:
        """What `key` stands for.

        Raises:
            BadRecord: nothing of ours has such a key.
        """
        try:
            parsed = _parse(key.removeprefix(self.prefix).split("/"))
        except InvalidName as error:
            raise BadRecord(f"{key!r}: {error.message}") from error
        if parsed is None or not key.startswith(self.prefix):
            raise BadRecord(f"{key!r} is no key of ours")
        return parsed


def _parse(parts: list[str]) -> Key | None:
    match parts:
        case ["models", tenant, name, "versions", number]:
            return VersionKey(check_name(tenant, "tenant"), check_name(name, "name"), _number(number))
        case ["models", tenant, name, "release"]:
            return ReleaseKey(check_name(tenant, "tenant"), check_name(name, "name"))
        case ["families", *_] | ["models", _, _, "config", *_]:
            return _parse_config(parts)
        case ["spent", tenant, name]:
            return SpentKey(check_name(tenant, "tenant"), check_name(name, "name"))
        case ["shards", *_]:
            return _parse_shards(parts)
        case ["cells" | "managers", *_]:
            return _parse_leased(parts)
        case ["thaw"]:
            return ThawKey()
        case ["tenants", *_]:
            return _parse_tenant(parts)
        case ["limits"]:
            return LimitsKey()
        case _:
            return None


def _parse_tenant(parts: list[str]) -> Key | None:
    match parts:
        case ["tenants", tenant, "residency"]:
            return ResidencyKey(check_name(tenant, "tenant"))
        case ["tenants", tenant, "limits"]:
            return LimitsKey(check_name(tenant, "tenant"))
        case _:
            return None


def _parse_config(parts: list[str]) -> Key | None:
    match parts:
        case ["models", tenant, name, "config", *rest]:
            check_name(tenant, "tenant")
        case ["families", name, *rest]:
            tenant = ""
        case _:
            return None
    match rest:
        case []:
            return ConfigKey(tenant, check_name(name, "name"))
        case ["history", number]:
            return OldConfigKey(tenant, check_name(name, "name"), _number(number))
        case _:
            return None


def _parse_shards(parts: list[str]) -> Key | None:
    match parts:
        case ["shards", "generations", number]:
            return GenerationKey(_number(number))
        case ["shards", "generations", number, place]:
            return ChunkKey(_number(number), _number(place))
        case ["shards", "active"]:
            return ActiveKey()
        case ["shards", "seed"]:
            return SeedKey()
        case _:
            return None


def _parse_leased(parts: list[str]) -> Key | None:
    match parts:
        case ["cells", cell]:
            return CellKey(check_name(cell, "cell"))
        case ["cells", cell, "protocol"]:
            return ProtocolKey(check_name(cell, "cell"))
        case ["managers", manager]:
            return ManagerKey(check_name(manager, "manager"))
        case _:
            return None


def _number(text: str) -> int:
    number = parse_version(text, "the number")
    if str(number) != text:
        raise InvalidName("the number is empty or has leading zeros", field="number")
    return number
