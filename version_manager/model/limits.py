"""What a tenant may take of the whole deployment, whichever routers and cells it comes by.

A tenant's own record says some of it, and the default says the rest. Three things can be said of each field:

    a number     so much, and no more
    UNLIMITED    no limit, although the default has one; "none" where people read it
    None         nothing: the default holds

Pure, and each value immutable: while nothing changed, a reader holds the same object.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

from croupier.errors import InvalidRequest

UNLIMITED = math.inf

# One in a quarter of an hour: a bucket that fills more slowly is meant for none at all.
LEAST = 0.001
# Larger numbers lose their last digit.
MOST = 2.0**53


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one tenant, over all routers together.

    `rate` is requests a second, of which each item of a batch is one, `in_flight` how many may be there at
    a time, `cold_loads` models a second that had to be loaded for it, `rows` and `bytes` what its requests
    ask for, a second.
    """

    rate: float | None = None
    in_flight: float | None = None
    cold_loads: float | None = None
    rows: float | None = None
    bytes: float | None = None

    def over(self, default: Limits) -> Limits:
        """What holds if `default` does wherever this says nothing; None now says that nothing limits it."""
        return Limits(*(_settled(own, other) for own, other in zip(self.said(), default.said(), strict=True)))

    def said(self) -> tuple[float | None, ...]:
        """The fields in their order."""
        return (self.rate, self.in_flight, self.cold_loads, self.rows, self.bytes)


NO_LIMITS = Limits()
FIELDS = tuple(one.name for one in fields(Limits))


def _settled(own: float | None, default: float | None) -> float | None:
    found = default if own is None else own
    return None if found == UNLIMITED else found


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """`default` is for everybody and has nothing UNLIMITED, `tenants` is what some have of their own.

    Hundreds of thousands have nothing of their own, and cost nothing here; NO_LIMITS stands for nobody.
    """

    default: Limits = NO_LIMITS
    tenants: Mapping[str, Limits] = field(default_factory=dict)

    def of(self, tenant: str) -> Limits:
        """What holds for `tenant`; None in it: not limited. It changes with this value alone."""
        own = self.tenants.get(tenant)
        return self.default if own is None else own.over(self.default)

    def after(self, changed: Mapping[str, Limits], default: Limits | None = None) -> TenantLimits:
        """What follows; itself if that says the same. NO_LIMITS: no longer any; `default` None: as it is."""
        new = {name: one for name, one in changed.items() if self.tenants.get(name, NO_LIMITS) != one}
        everybodys = self.default if default is None else default.over(NO_LIMITS)
        if not new and everybodys == self.default:
            return self
        tenants = {**self.tenants, **new}
        for name, one in new.items():
            if one == NO_LIMITS:
                del tenants[name]
        return TenantLimits(everybodys, tenants)

    def changed_to(self, after: TenantLimits, names: Iterable[str]) -> Mapping[str, Limits]:
        """What of `names` has other limits in `after`, as its `after` takes it."""
        before, now = self.tenants, after.tenants
        return {
            name: now.get(name, NO_LIMITS)
            for name in names
            if before.get(name, NO_LIMITS) != now.get(name, NO_LIMITS)
        }


def check_limits(limits: Limits) -> Limits:
    """Return `limits` if they can be kept.

    Raises:
        InvalidRequest: a number is none, or out of bounds; `in_flight` is no whole number.
    """
    for name, value in zip(FIELDS, limits.said(), strict=True):
        if value is None or value == UNLIMITED:
            continue
        # NaN is within no bounds.
        if not LEAST <= value <= MOST:
            raise InvalidRequest(
                f"{name} is a number from {LEAST:g} to {MOST:.0f}, or none: not {value:g}", field=name
            )
        if name == "in_flight" and (value < 1 or value != int(value)):
            raise InvalidRequest(f"in_flight is a whole number from 1, or none: not {value:g}", field=name)
    return limits
