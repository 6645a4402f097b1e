"""What a cell believes, as the admin port tells it (`croupier/telemetry/admin.py`).

    residency   what is resident, and the hottest of it by digest
    loads       what is loading or waits to, and what is refused at once since its load failed
    quarantine  what is not let near native code, the latest first
    batcher     what waits to be scored, and what runs
    memory      what this process takes, and what models may
    fence       the oldest shard map whose requests are answered, by its number; 0: that of all

A cell knows no tenant, and says none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from cell.codec.fence import Fence
from cell.crash.quarantine import Condemned, Quarantine
from cell.loading.host import Host
from cell.loading.singleflight import Load
from cell.memory.keeper import MemoryKeeper
from cell.scoring.batcher import Batcher
from croupier.errors import CroupierError
from croupier.telemetry.admin import MOST, View, some


@dataclass(frozen=True, slots=True)
class Beliefs:
    """The parts of a cell that know. `clock` is that of `host`, in seconds."""

    host: Host
    quarantine: Quarantine
    batcher: Batcher
    keeper: MemoryKeeper
    fence: Fence
    clock: Callable[[], float] = time.monotonic

    @property
    def views(self) -> dict[str, View]:
        return {
            "residency": lambda _: self._residency(),
            "loads": lambda _: self._loads(),
            "quarantine": lambda _: some(self.quarantine.condemned[::-1], _condemned),
            "batcher": lambda _: self.batcher.told(),
            "memory": lambda _: self.keeper.told(),
            "fence": lambda _: {"oldest_generation": self.fence.floor},
        }

    def _residency(self) -> object:
        report = self.host.report()
        hottest = self.host.hottest(MOST)
        return asdict(report) | {
            "hottest": {
                "entries": [self._resident(digest) for digest in hottest],
                "more": report.resident - len(hottest),
            }
        }

    def _resident(self, digest: bytes) -> object:
        uses, seconds = self.host.uses(digest) or (0, 0.0)
        return {"artifact": digest, "uses": uses, "idle_seconds": seconds}

    def _loads(self) -> object:
        return {
            "loads": some(self.host.loads, _load),
            "refused": some(self.host.refused.items(), lambda kept: self._refused(*kept)),
        }

    def _refused(self, digest: bytes, kept: tuple[float, CroupierError]) -> object:
        until, error = kept
        return {"artifact": digest, "reason": error.reason, "seconds": max(0.0, until - self.clock())}


def _load(load: Load) -> object:
    return {
        "artifact": load.digest,
        "has_begun": load.is_begun,
        "expected_seconds": load.seconds,
        "waiting": len(load.waiters),
    }


def _condemned(entry: Condemned) -> object:
    return {"artifact": entry.digest, "since": entry.when, "why": entry.why, "phase": entry.phase}
