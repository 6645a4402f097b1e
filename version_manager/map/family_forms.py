"""How configs of families and of single models lie in etcd."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Annotated, Self

from msgspec import Meta, Struct

from croupier.names import MAX_VERSION
from sharding.generation import MAX_WORDS
from version_manager.map import schema
from version_manager.map.forms import Form
from version_manager.map.keys import BadRecord, ConfigKey, OldConfigKey
from version_manager.model.family import (
    DEGRADE,
    ENTITY_ID,
    NUMBER,
    REQUEST,
    Config,
    Family,
    FeatureSpec,
    LogRule,
    check_family,
)

# What JSON has no number for.
_NAN = "nan"


class _Feature(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    name: str
    dtype: str = NUMBER
    source: str = REQUEST
    group: str = ""
    entity: str = ENTITY_ID
    default: float | str | None = None
    max_age: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, one: FeatureSpec) -> Self:
        default = _NAN if one.default is math.nan else one.default
        bounds = one.max_age, one.low, one.high
        return cls(one.name, one.dtype, one.source, one.group, one.entity, default, *bounds)

    def spec(self) -> FeatureSpec:
        default = math.nan if self.dtype == NUMBER and self.default == _NAN else self.default
        bounds = self.max_age, self.low, self.high
        return FeatureSpec(self.name, self.dtype, self.source, self.group, self.entity, default, *bounds)


class _Log(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    share: float
    sensitive: dict[str, str] | None = None


class ConfigForm(Form, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is not there says what it does by default.

    `number` came last of all, so that nobody writes one that a part does not follow yet.
    """

    number: Annotated[int, Meta(ge=1, le=MAX_VERSION, extra={schema.SINCE: 6})]
    removed: bool = False
    description: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    features: tuple[_Feature, ...] = ()
    store_failure: str = DEGRADE
    log: _Log | None = None
    author: Annotated[str, Meta(max_length=MAX_WORDS)] = ""
    reason: Annotated[str, Meta(max_length=MAX_WORDS)] = ""
    at: Annotated[float, Meta(ge=0)] = 0.0

    @classmethod
    def of(cls, record: Config) -> Self:
        family, made = record.family, (record.author, record.reason, record.at)
        if family is None:
            return cls(record.number, True, "", "", (), (), DEGRADE, None, *made)
        return cls(
            *(record.number, False, family.description, family.owner, family.tags),
            tuple(map(_Feature.of, family.features)),
            family.store_failure,
            _Log(family.log.share, dict(family.log.sensitive) or None) if family.log else None,
            *made,
        )

    def record(self, key: ConfigKey | OldConfigKey) -> Config:
        if isinstance(key, OldConfigKey) and key.number != self.number:
            raise BadRecord(f"it has number {self.number}, and its key has {key.number}", field="number")
        if self.removed and (self.features or self.log):
            raise BadRecord("it says that there is none any more, and has features or a log", field="removed")
        family = None if self.removed else self._family(key)
        return Config(self.number, family, self.author, self.reason, self.at)

    def _family(self, key: ConfigKey | OldConfigKey) -> Family:
        log = LogRule(self.log.share, MappingProxyType(self.log.sensitive or {})) if self.log else None
        return check_family(
            Family(
                *(key.name, self.number, self.description, self.owner, self.tags),
                tuple(one.spec() for one in self.features),
                self.store_failure,
                log,
                key.tenant,
            )
        )
