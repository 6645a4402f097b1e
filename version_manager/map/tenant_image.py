"""What operators want of tenants, after what etcd says now: a part of `image`. Pure.

There is no good of one of these records by another, so each holds by itself, and goes away with its key.
"""

from __future__ import annotations

from collections.abc import Mapping

from version_manager.map.keys import Key, LimitsKey, ResidencyKey
from version_manager.map.records import Record
from version_manager.model.limits import NO_LIMITS, Limits, TenantLimits
from version_manager.model.residency import ResidencyRule


def residencies_after(
    before: Mapping[str, ResidencyRule], said: Mapping[Key, Record | None]
) -> Mapping[str, ResidencyRule]:
    touched = {key.tenant: record for key, record in said.items() if isinstance(key, ResidencyKey)}
    if not touched:
        return before
    both = {**before, **touched}
    return {tenant: record for tenant, record in both.items() if isinstance(record, ResidencyRule)}


def limits_after(
    before: TenantLimits, said: Mapping[Key, Record | None]
) -> tuple[TenantLimits, tuple[tuple[str, Limits], ...]]:
    """All limits, and those of tenants that changed: NO_LIMITS where one has none of its own any more."""
    touched = {
        key.tenant: record if isinstance(record, Limits) else NO_LIMITS
        for key, record in said.items()
        if isinstance(key, LimitsKey)
    }
    default = touched.pop("", None)
    after = before.after(touched, default)
    return after, tuple(before.changed_to(after, touched).items())
