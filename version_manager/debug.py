"""What a version manager believes, as the admin port tells it (`croupier/telemetry/admin.py`).

    map       what it serves, how far it is behind etcd, why it is frozen, and which keys it passes over
    watchers  how many routers follow it, by what they understand

What it has heard of cells and routers is told by `croupierctl status`, over all managers.
"""

from __future__ import annotations

from dataclasses import dataclass

from croupier.telemetry.admin import View, some
from version_manager.map.announcements import Announcements
from version_manager.map.mirror import Mirror

_MOST_KEY = 500


@dataclass(frozen=True, slots=True)
class Beliefs:
    """The parts of a version manager that know."""

    mirror: Mirror
    announcements: Announcements

    @property
    def views(self) -> dict[str, View]:
        return {"map": lambda _: self._map(), "watchers": lambda _: self._watchers()}

    def _map(self) -> object:
        mirror, served = self.mirror, self.mirror.map
        return {
            "is_loaded": mirror.is_loaded,
            "catalog": served.catalog.name,
            "revision": served.catalog.revision,
            "seen_revision": mirror.seen_revision,
            "thaw": served.thaw.number if served.thaw else 0,
            "models": served.catalog.size,
            "cells": len(served.cells),
            "managers": len(served.managers),
            "generations": [generation.number for generation in served.generations],
            "frozen_for": mirror.frozen_for,
            "bad_keys": some(mirror.bad_keys, lambda key: key[:_MOST_KEY]),
        }

    def _watchers(self) -> object:
        watchers = self.announcements.watchers
        return {
            "watchers": sum(watchers.values()),
            "by_protocol": {str(number): count for number, count in sorted(watchers.items())},
            "understood": self.announcements.understood(),
        }
