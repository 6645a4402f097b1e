"""What every tenant's model of one name has in common: its features, where they come from, what is logged.

`churn` of 200,000 tenants is one family, and lies once in etcd. A model may have a config of its own, which
takes the place of the family's, whole. Both are counted up with every change (`number`).

Three things can be a feature's `source`:

    request               the caller sends it
    store                 it is read from the feature store
    request-else-store    the caller sends it, and what it does not send is read

A feature with a `default` has that where it is missing, too old (`max_age`) or out of its range; one without
must be there. The default itself may lie outside the range: -1 or NaN, say, for "not known".

Pure, and each value immutable: while nothing changed, a reader holds the same object.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from croupier.errors import InvalidRequest, TooLarge
from croupier.names import MAX_VERSION, InvalidName, check_name

NUMBER = "number"
TEXT = "text"
DTYPES = (NUMBER, TEXT)

REQUEST = "request"
STORE = "store"
REQUEST_ELSE_STORE = "request-else-store"
SOURCES = (REQUEST, STORE, REQUEST_ELSE_STORE)

DEGRADE = "degrade"
FAIL = "fail"
STORE_FAILURES = (DEGRADE, FAIL)

HASH = "hash"
DROP = "drop"
SENSITIVE = (HASH, DROP)
# What the entity id is called among what is sensitive.
ENTITY = "entity"

ENTITY_ID = "{entity_id}"

MAX_FAMILIES = 10_000
# Models with a config of their own.
MAX_OWN = 10_000
MAX_FEATURES = 512
MAX_BYTES = 256 * 1024
MAX_TAGS = 64
MAX_SENSITIVE = 1024
MAX_ENTITY_BYTES = 512
# Characters of a description, an owner and a default.
MAX_DESCRIPTION = 4096
MAX_OWNER = 256
MAX_DEFAULT = 1024
# Ten years.
MAX_AGE_SECONDS = 3650 * 86_400.0

# Of what a change is told by.
_MOST_CHANGED = 50
# What a feature, or an entry of what is sensitive, takes beside its texts.
_OVERHEAD_BYTES = 48

_PLACE = re.compile(r"\{(?:(entity_id)|(tenant)|param:([^{}]+))\}")

# A tenant and a name; of a family the tenant is empty.
FamilyKey: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """One input of a family's models.

    `group` and `entity` say where in the store it lies: `entity` is a template (see `Template`). `max_age` is
    in seconds, None: it never grows too old. `low` and `high` bound numbers, inclusive.
    """

    name: str
    dtype: str = NUMBER
    source: str = REQUEST
    # Empty if the source is the request alone.
    group: str = ""
    entity: str = ENTITY_ID
    # None: it is required.
    default: float | str | None = None
    max_age: float | None = None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.default != self.default:
            # The same object each time, so that features with it are equal.
            object.__setattr__(self, "default", math.nan)

    @property
    def is_stored(self) -> bool:
        """Whether it may be read from the store."""
        return self.source != REQUEST


@dataclass(frozen=True, slots=True)
class LogRule:
    """Which requests are logged, and what of them leaves the host only as a hash, or not at all.

    `share` is of all requests, 0 to 1, by a hash of the routing key. `sensitive` gives HASH or DROP to names
    of features and outputs, and to ENTITY.
    """

    share: float
    sensitive: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)


@dataclass(frozen=True, slots=True)
class Family:
    """A config. `number` counts up; `tenant`: whose model alone it is for, empty: all of that name."""

    name: str
    number: int
    description: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    features: tuple[FeatureSpec, ...] = ()
    # What is answered when the store does not: defaults, or UNAVAILABLE.
    store_failure: str = DEGRADE
    # None: nothing is logged.
    log: LogRule | None = None
    tenant: str = ""

    @property
    def key(self) -> FamilyKey:
        return self.tenant, self.name


@dataclass(frozen=True, slots=True)
class Config:
    """A config as it was made: `family` None is that there is none from this number on.

    `author`, `reason` and `at` (seconds since 1970) tell of who made it.
    """

    number: int
    family: Family | None
    author: str = ""
    reason: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Families:
    """`families` by name, and of `models`, by tenant and name, what they have instead.

    Hundreds of thousands of models have nothing of their own, and cost nothing here.
    """

    families: Mapping[str, Family] = field(default_factory=dict)
    models: Mapping[tuple[str, str], Family] = field(default_factory=dict)

    def of(self, tenant: str, name: str) -> Family | None:
        """What holds for a model: its own, else its family's, else nothing."""
        return self.models.get((tenant, name)) or self.families.get(name)

    def get(self, tenant: str, name: str) -> Family | None:
        """What is said of a model itself, or with no tenant, of the family."""
        return self.models.get((tenant, name)) if tenant else self.families.get(name)

    def after(self, changed: Mapping[FamilyKey, Family | None]) -> Families:
        """What follows; itself if that says the same. None: there is none any more."""
        new = {key: one for key, one in changed.items() if self.get(*key) != one}
        if not new:
            return self
        families, models = self.families, self.models
        if of_all := {name: one for (tenant, name), one in new.items() if not tenant}:
            families = _merged(families, of_all)
        if own := {key: one for key, one in new.items() if key[0]}:
            models = _merged(models, own)
        return Families(families, models)

    def changed_to(self, after: Families, ids: Iterable[FamilyKey]) -> Mapping[FamilyKey, Family | None]:
        """What of `ids` is another in `after`, as its `after` takes it."""
        return {key: after.get(*key) for key in ids if self.get(*key) != after.get(*key)}

    def all(self) -> Iterator[Family]:
        """Families, then what models have of their own."""
        yield from self.families.values()
        yield from self.models.values()


NO_FAMILIES = Families()


def _merged(held: Mapping[Any, Family], new: Mapping[Any, Family | None]) -> Mapping[Any, Family]:
    both = {**held, **new}
    return {key: one for key, one in both.items() if one is not None}


@dataclass(frozen=True, slots=True)
class Template:
    """An entity's template, taken apart: texts and what stands between them.

    A part is ("text", its letters), ("entity_id", ""), ("tenant", "") or ("param", the parameter's name).
    """

    parts: tuple[tuple[str, str], ...]

    @property
    def params(self) -> tuple[str, ...]:
        """The names of the parameters that a request has to have."""
        return tuple(text for kind, text in self.parts if kind == "param")

    @classmethod
    def of(cls, text: str) -> Template:
        """Raises InvalidRequest: a brace that belongs to none of {entity_id}, {tenant} and {param:NAME}."""
        parts: list[tuple[str, str]] = []
        at = 0
        for found in _PLACE.finditer(text):
            parts += [("text", text[at : found.start()]), _part(found)]
            at = found.end()
        parts.append(("text", text[at:]))
        for kind, words in parts:
            if kind == "text" and ("{" in words or "}" in words):
                raise InvalidRequest(
                    f"{text!r} has a brace that is of none of {{entity_id}}, {{tenant}} and {{param:NAME}}"
                )
        return cls(tuple(part for part in parts if part != ("text", "")))


def _part(found: re.Match[str]) -> tuple[str, str]:
    return ("entity_id", "") if found[1] else ("tenant", "") if found[2] else ("param", found[3])


def check_family(family: Family) -> Family:
    """Return `family` if it can be kept.

    Raises:
        InvalidRequest: what is wrong, and `field` where: features[3].max_age.
        TooLarge: too much of something.
    """
    check_name(family.name, "name")
    if family.tenant:
        check_name(family.tenant, "tenant")
    if not 1 <= family.number <= MAX_VERSION:
        raise _wrong("number", "a config is counted from 1")
    _check_text(family.description, "description", MAX_DESCRIPTION)
    _check_text(family.owner, "owner", MAX_OWNER)
    _check_tags(family.tags)
    _check_one_of(family.store_failure, STORE_FAILURES, "store_failure")
    if len(family.features) > MAX_FEATURES:
        raise TooLarge(f"features: there are {len(family.features)}, and a family may have {MAX_FEATURES}")
    seen: dict[str, int] = {}
    for at, feature in enumerate(family.features):
        _check_feature(feature, f"features[{at}]")
        if (other := seen.setdefault(feature.name, at)) != at:
            raise _wrong(f"features[{at}].name", f"{feature.name} stands in features[{other}] too")
    if family.log is not None:
        _check_log(family.log)
    if (size := _size(family)) > MAX_BYTES:
        raise TooLarge(f"the config has {size} bytes, and {MAX_BYTES} are the most")
    return family


def _check_feature(feature: FeatureSpec, at: str) -> None:
    _check_named(feature.name, f"{at}.name")
    _check_one_of(feature.dtype, DTYPES, f"{at}.dtype")
    _check_one_of(feature.source, SOURCES, f"{at}.source")
    if feature.is_stored:
        if not feature.group:
            raise _wrong(
                f"{at}.group", f"what is read from the store lies in a group: {feature.name} has none"
            )
        _check_named(feature.group, f"{at}.group")
    elif feature.group or feature.max_age is not None or feature.entity != ENTITY_ID:
        name = "group" if feature.group else "entity" if feature.entity != ENTITY_ID else "max_age"
        raise _wrong(f"{at}.{name}", f"{feature.name} is never read from the store: its source is {REQUEST}")
    _check_entity(feature.entity, f"{at}.entity")
    if feature.max_age is not None and not 0 < feature.max_age <= MAX_AGE_SECONDS:
        raise _wrong(f"{at}.max_age", f"an age is above 0 and at most ten years, not {feature.max_age:g} s")
    _check_default(feature, f"{at}.default")
    _check_range(feature, at)


def _check_entity(entity: str, at: str) -> None:
    _check_text(entity, at, MAX_ENTITY_BYTES)
    if not entity or len(entity.encode()) > MAX_ENTITY_BYTES:
        raise _wrong(at, f"a template has 1 to {MAX_ENTITY_BYTES} bytes")
    try:
        template = Template.of(entity)
    except InvalidRequest as error:
        raise _wrong(at, error.message) from error
    for name in template.params:
        _check_named(name, at)


def _check_default(feature: FeatureSpec, at: str) -> None:
    default = feature.default
    if default is None:
        return
    if (feature.dtype == TEXT) != isinstance(default, str):
        raise _wrong(at, f"{feature.name} is a {feature.dtype}, and its default is {default!r}")
    if isinstance(default, str):
        _check_text(default, at, MAX_DEFAULT)
    elif math.isinf(default):
        raise _wrong(at, "a default is a number, not infinite")


def _check_range(feature: FeatureSpec, at: str) -> None:
    for name, value in (("low", feature.low), ("high", feature.high)):
        if value is None:
            continue
        if feature.dtype == TEXT:
            raise _wrong(f"{at}.{name}", f"{feature.name} is a text, and only numbers have a range")
        if not math.isfinite(value):
            raise _wrong(f"{at}.{name}", "a bound is a number, not infinite")
    if feature.low is not None and feature.high is not None and feature.low > feature.high:
        raise _wrong(f"{at}.low", f"{feature.low:g} is above the upper bound, {feature.high:g}")


def _check_log(rule: LogRule) -> None:
    if not 0 <= rule.share <= 1:
        raise _wrong("log.share", f"a share is from 0 to 1, not {rule.share:g}")
    if len(rule.sensitive) > MAX_SENSITIVE:
        raise TooLarge(
            f"log.sensitive: there are {len(rule.sensitive)} names, and {MAX_SENSITIVE} are the most"
        )
    for name, how in rule.sensitive.items():
        _check_named(name, f"log.sensitive.{name}")
        _check_one_of(how, SENSITIVE, f"log.sensitive.{name}")


def _check_tags(tags: tuple[str, ...]) -> None:
    if len(tags) > MAX_TAGS:
        raise TooLarge(f"tags: there are {len(tags)}, and a family may have {MAX_TAGS}")
    for at, tag in enumerate(tags):
        _check_named(tag, f"tags[{at}]")
        if tag in tags[:at]:
            raise _wrong(f"tags[{at}]", f"{tag} stands there twice")


def _check_named(value: str, at: str) -> None:
    try:
        check_name(value, "it")
    except InvalidName as error:
        raise _wrong(at, error.message) from error


def _check_text(value: str, at: str, most: int) -> None:
    if len(value) > most:
        raise _wrong(at, f"it has more than {most} characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _wrong(at, "it is not valid UTF-8") from error


def _check_one_of(value: str, known: tuple[str, ...], at: str) -> None:
    if value not in known:
        raise _wrong(at, f"it is one of {', '.join(known)}: not {value[:64]!r}")


def _wrong(at: str, words: str) -> InvalidRequest:
    return InvalidRequest(f"{at}: {words}", field=at)


def _size(family: Family) -> int:
    """About as many bytes as its record has."""
    texts = [family.name, family.tenant, family.description, family.owner, *family.tags]
    for one in family.features:
        texts += [one.name, one.group, one.entity, one.default if isinstance(one.default, str) else ""]
    sensitive = family.log.sensitive if family.log else {}
    count = len(family.features) + len(sensitive)
    return sum(len(text.encode()) for text in (*texts, *sensitive)) + count * _OVERHEAD_BYTES


def changed_parts(before: Family | None, after: Family | None) -> list[str]:
    """What is another, for people: `store_failure`, `features.age`. At most fifty of them."""
    if before is None or after is None:
        return [] if before is after else ["all"]
    names = ("description", "owner", "tags", "store_failure", "log")
    found = [name for name in names if getattr(before, name) != getattr(after, name)]
    was, now = ({one.name: one for one in family.features} for family in (before, after))
    found += [f"features.{name}" for name in (was | now) if was.get(name) != now.get(name)]
    if not found and before.features != after.features:
        found.append("the order of features")
    return found[:_MOST_CHANGED]
